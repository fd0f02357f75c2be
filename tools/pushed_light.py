"""Other light for photos: what they show stays, what they look like does not."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def pushed(photo: Tensor, random: np.random.Generator) -> Tensor:
    """A photo in another light, as style photos have it: night, sunset, black and white, faded.

    Args:
        photo: (3, H, W) in [0, 1].
        random: decides.

    Returns:
        (3, H, W) in [0, 1].
    """
    linear = photo.clamp(0, 1) ** 2.2 * 2 ** random.uniform(-1.2, 0.9)
    linear = (
        linear * torch.tensor(np.exp(random.normal(0, 0.18, 3)), dtype=torch.float32)[:, None, None]
    )
    kind = random.random()
    if kind < 0.2:
        linear = _night(linear, random)
    elif kind < 0.4:
        linear = _sunset(linear, random)
    image = linear.clamp(0, 1) ** (random.uniform(0.75, 1.35) / 2.2)
    grey = image.mean(0, keepdim=True)
    saturation = 0.0 if random.random() < 0.15 else random.uniform(0.3, 1.7)
    image = (grey + saturation * (image - grey)).clamp(0, 1)
    if random.random() < 0.5:
        slope = random.uniform(1, 7)
        low, high = (1 / (1 + np.exp(slope * side)) for side in (0.5, -0.5))
        image = (torch.sigmoid(slope * (image - 0.5)) - low) / (high - low)
    if random.random() < 0.25:  # faded
        black, white = random.uniform(0.05, 0.3), random.uniform(0.7, 0.95)
        image = black + (white - black) * image
    if random.random() < 0.1:  # duotone
        tint = torch.tensor(random.uniform(0.5, 1.2, 3), dtype=torch.float32)[:, None, None]
        image = (image.mean(0, keepdim=True) * tint).clamp(0, 1)
    if random.random() < 0.08:
        levels = int(random.integers(3, 9)) / float(image.max() - image.min() + 1e-3)
        image = (image * levels).round() / levels
    return _faults(image.clamp(0, 1), random)


def _night(linear: Tensor, random: np.random.Generator) -> Tensor:
    """Dark and blue; what is bright stays brighter, as lamps do."""
    cast = torch.tensor([0.45, 0.65, 1.0])[:, None, None] ** random.uniform(0, 1.3)
    dark = linear * cast * random.uniform(0.05, 0.4)
    if random.random() < 0.4:
        lamps = (linear.amax(0, keepdim=True) > random.uniform(0.5, 0.9)).float()
        warm = torch.tensor([1.0, 0.75, 0.4])[:, None, None]
        dark = dark + lamps * warm * linear * random.uniform(0.2, 0.8)
    return dark


def _sunset(linear: Tensor, random: np.random.Generator) -> Tensor:
    """Orange to purple, more so towards one side."""
    tint = torch.tensor([1.5, random.uniform(0.5, 0.9), random.uniform(0.2, 0.9)])[:, None, None]
    ramp = torch.linspace(0, 1, linear.shape[1])[None, :, None]
    ramp = ramp if random.random() < 0.5 else 1 - ramp
    amount = random.uniform(0.3, 1.0) * (0.4 + 0.6 * ramp)
    return linear * tint**amount


def _faults(image: Tensor, random: np.random.Generator) -> Tensor:
    """Noise and compression."""
    if random.random() < 0.3:
        noise = random.normal(0, random.uniform(0.005, 0.05), image.shape)
        image = (image + torch.from_numpy(noise).float()).clamp(0, 1)
    if random.random() < 0.3:
        buffer = io.BytesIO()
        array = (image * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(array).save(buffer, "JPEG", quality=int(random.integers(20, 80)))
        image = torch.from_numpy(np.asarray(Image.open(buffer)).copy()).permute(2, 0, 1) / 255
    return image
