"""The sliced Wasserstein distance between colours, in CIE L*a*b*."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_DIRECTIONS = 32
_QUANTILES = 1024


def lab(rgb: Tensor) -> Tensor:
    """CIE 1976 L*a*b* of sRGB colours (IEC 61966-2-1), with the white of D65.

    Args:
        rgb: (3, N) in [0, 1].

    Returns:
        (3, N): L* in [0, 100], a* and b* about in [-110, 110].
    """
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = rgb.new_tensor(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    ratio = (to_xyz / to_xyz.sum(1, keepdim=True)) @ linear
    x, y, z = torch.where(
        ratio > (6 / 29) ** 3, ratio.clamp_min(0) ** (1 / 3), ratio * (29 / 6) ** 2 / 3 + 4 / 29
    )
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def sliced_quantiles(points: Tensor, weight: Tensor) -> Tensor:
    """Quantiles of weighted points, projected on directions spread evenly over the half sphere.

    The root of the mean squared difference of two such is the sliced Wasserstein distance of order
    2 (Rabin et al. 2011; Bonneel et al. 2015).

    Args:
        points: (3, N).
        weight: (N), not negative, not all 0.

    Returns:
        (32, 1024), float64: for each direction, the quantiles from lowest to highest.
    """
    inside = weight.nonzero()[:, 0]
    points, weight = points[:, inside], weight[inside].double()
    # A Fibonacci lattice on the half sphere: the other half has the same projections, mirrored.
    step = torch.arange(_DIRECTIONS, dtype=torch.float64)
    height, angle = (step + 0.5) / _DIRECTIONS, step * math.pi * (3 - math.sqrt(5))
    radius = (1 - height**2).sqrt()
    directions = torch.stack([height, radius * angle.cos(), radius * angle.sin()], 1)
    levels = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    levels = levels.to(points.device) * weight.sum()
    quantiles = []
    for direction in directions.to(points):
        values, order = (direction @ points).sort()
        index = torch.searchsorted(weight[order].cumsum(0), levels)
        quantiles.append(values[index.clamp_max(len(values) - 1)].double())
    return torch.stack(quantiles)
