"""The sliced Wasserstein distance between colours, in CIE L*a*b*."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_DIRECTIONS = 32
_QUANTILES = 1024


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
