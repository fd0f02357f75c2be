"""Faults that photos have, or get from bad processing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pydpst.matting.guided import box_mean


def spoiled(photo: Tensor, random: np.random.Generator) -> Tensor:
    """A photo with one fault: noise, blur, wrong exposure, few levels, halos or a colour cast.

    Args:
        photo: (3, H, W) in [0, 1].
        random: decides.

    Returns:
        (3, H, W) in [0, 1].
    """
    faults = (_noisy, _blurred, _exposed, _posterised, _haloed, _tinted)
    return faults[int(random.integers(len(faults)))](photo, random).clamp(0, 1)


def _noisy(photo: Tensor, random: np.random.Generator) -> Tensor:
    noise = torch.from_numpy(random.normal(0, random.uniform(0.03, 0.2), photo.shape)).float()
    return photo + noise


def _blurred(photo: Tensor, random: np.random.Generator) -> Tensor:
    return _blur(photo, random.uniform(0.004, 0.03) * max(photo.shape))


def _exposed(photo: Tensor, random: np.random.Generator) -> Tensor:
    stops = random.uniform(1, 3) * (1 if random.random() < 0.5 else -1)
    return (photo**2.2 * 2**stops).clamp(0, 1) ** (1 / 2.2)


def _posterised(photo: Tensor, random: np.random.Generator) -> Tensor:
    levels = int(random.integers(2, 7))
    return (photo * levels).round() / levels


def _haloed(photo: Tensor, random: np.random.Generator) -> Tensor:
    """Sharpened far too widely: dark and light seams along edges."""
    detail = photo - _blur(photo, random.uniform(0.01, 0.04) * max(photo.shape))
    return photo + random.uniform(0.8, 2.5) * detail


def _tinted(photo: Tensor, random: np.random.Generator) -> Tensor:
    cast = torch.tensor(random.uniform(0.3, 1.6, 3), dtype=torch.float32)[:, None, None]
    return photo * cast


def _blur(photo: Tensor, sigma: float) -> Tensor:
    """Nearly Gaussian: three box means."""
    for _ in range(3):
        photo = box_mean(photo, max(1, round(float(sigma))))
    return photo
