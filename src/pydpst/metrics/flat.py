"""How much a photo's flat areas gain: contours, specks, halos and invented texture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.metrics.comparison import check_same_size
from pydpst.photos.color_spaces import lab

_FLAT_SCALES = (2, 6)
# What a gradient of 8-bit noise comes to, about, in units of Lab a pixel.
_NOISE_GRADIENT = 0.1


def _gaussian_gradient(image: Tensor, sigma: float) -> Tensor:
    """The length of the gradient of all channels together, at the scale of a Gaussian.

    Args:
        image: (C, H, W).
        sigma: the Gaussian's standard deviation, in pixels.

    Returns:
        (H, W), in the channels' unit a pixel.
    """
    reach = round(3 * sigma)
    x = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    bell = torch.exp(-(x**2) / (2 * sigma**2))
    bell = bell / bell.sum()
    slope = x * bell / (x * x * bell).sum()  # 1 for a ramp of 1 a pixel
    padded = F.pad(image[:, None], (reach,) * 4, mode="replicate")
    across = F.conv2d(F.conv2d(padded, bell.view(1, 1, -1, 1)), slope.view(1, 1, 1, -1))
    down = F.conv2d(F.conv2d(padded, slope.view(1, 1, -1, 1)), bell.view(1, 1, 1, -1))
    return (across.square() + down.square()).sum((0, 1)).sqrt()


@torch.no_grad()
def flat_gain(result: Tensor, content: Tensor) -> float:
    """How much more the content's flat areas have gained in gradients than its edges.

    What the other measures do not see: contours in a smooth sky, specks and patterns on an empty
    wall, halos. A pixel is flat where the largest gradient of the content within σ pixels, in CIE
    L*a*b*, is in the lowest quarter of the photo, and an edge where it is in the highest. The
    measure is the gain of the mean gradient where it is flat, divided by the gain at the edges,
    averaged over σ = 2 and 6 pixels.

    Its weak point: a black or white background has no gradients of its own, so any shade that it
    gets weighs much, and a photo more than a quarter of which is such sees nothing else.

    Args:
        result: (3, H, W), sRGB in [0, 1].
        content: (3, H, W), likewise.

    Returns:
        1 for a recolouring that treats flat areas and edges alike; above, where flat areas gained.

    Raises:
        ValueError: if the shapes do not agree.
    """
    check_same_size(result, content)
    ours, own = (lab(x.flatten(1)).view_as(x) for x in (result, content))
    gains = []
    for sigma in _FLAT_SCALES:
        after, before = _gaussian_gradient(ours, sigma), _gaussian_gradient(own, sigma)
        largest = F.max_pool2d(before[None, None], 2 * sigma + 1, 1, sigma)[0, 0]
        ordered = largest.flatten().sort().values
        flat = largest <= ordered[(len(ordered) - 1) // 4]
        edge = largest >= ordered[3 * (len(ordered) - 1) // 4]
        at_edges = after[edge].mean() / before[edge].mean().clamp_min(1e-6)
        in_flat = (after[flat].mean() + _NOISE_GRADIENT) / (before[flat].mean() + _NOISE_GRADIENT)
        gains.append(in_flat / at_edges.clamp_min(1e-6))
    return torch.stack(gains).mean().item()
