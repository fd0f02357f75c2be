"""What the network that reads looks is told of colours: statistics of each cell of a photo."""

from __future__ import annotations

import torch
from torch import Tensor

from pydpst.ops import knot_weights

# Maps along the luminance, as in a grade.
KNOTS = 8
# Means of RGB, of OKLab and of its products, of the knots' weights and of these times RGB, and of
# RGB's products.
_PLANES = 3 + 3 + 6 + KNOTS + 3 * KNOTS + 6
# What `color_features` makes of them.
COLOR_FEATURES = 12
# What `region_features` makes of them.
REGION_FEATURES = _PLANES - 6
_PRODUCTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_MIXED = tuple(enumerate(_PRODUCTS[3:]))
# Where the product of two channels is among the six.
_PLACES = ((0, 3, 4), (3, 1, 5), (4, 5, 2))
# Squared deviations below this are no contrast that could be stretched.
_LEAST_VARIANCE = 1e-3
_FAINT = 1e-3


def color_statistics(images: Tensor, lab: Tensor) -> Tensor:
    """What is averaged over cells, (B, 50, H, W)."""
    products = [lab[:, i] * lab[:, j] for i, j in _PRODUCTS]
    luminance = images.mean(1)
    weights = knot_weights(luminance.flatten(1), KNOTS).view(-1, KNOTS, *luminance.shape[1:])
    colors = (weights[:, :, None] * images[:, None]).flatten(1, 2)
    squares = [images[:, i] * images[:, j] for i, j in _PRODUCTS]
    parts = [images, lab, torch.stack(products, 1), weights, colors, torch.stack(squares, 1)]
    return torch.cat(parts, 1)


def color_features(cells: Tensor) -> Tensor:
    """Of statistics (..., 50), OKLab's means, deviations and correlations, and RGB, scaled."""
    mean, products = cells[..., 3:6], cells[..., 6:12]
    deviation = (products[..., :3] - mean.square()).clamp_min(1e-6).sqrt()
    mixed = torch.stack(
        [products[..., 3 + k] - mean[..., i] * mean[..., j] for k, (i, j) in _MIXED], -1
    )
    correlation = mixed / torch.stack(
        [deviation[..., i] * deviation[..., j] + 1e-4 for _, (i, j) in _MIXED], -1
    )
    scale = mean.new_tensor([2.0, 8.0, 8.0])
    rgb = 2 * cells[..., :3] - 1
    return torch.cat([mean * scale, 2 * deviation * scale, correlation, rgb], -1)


def region_mean(cells: Tensor, shares: Tensor) -> Tensor:
    """The statistics of a region, (B, 50)."""
    weights = (shares + 1e-6) / (shares + 1e-6).sum(1, keepdim=True)
    return (weights[..., None] * cells).sum(1)


def region_features(mean: Tensor) -> Tensor:
    """A region's statistics, (B, 44), in a form that is easily compared."""
    amounts, colors = _knot_sums(mean)
    offsets = (colors - (amounts * greys(mean))[..., None]) / (amounts + _FAINT)[..., None]
    lab = color_features(mean)[:, :9]
    return torch.cat([mean[:, :3], lab, amounts.cumsum(1), (4 * offsets).flatten(1)], 1)


def knot_features(features: Tensor) -> Tensor:
    """Of `region_features`, for each knot how much lies below it and its colour: (B, K, 4)."""
    below = features[:, 12 : 12 + KNOTS, None]
    return torch.cat([below, features[:, 12 + KNOTS :].reshape(-1, KNOTS, 3)], 2)


def knot_amounts(cells: Tensor) -> Tensor:
    """How much of each cell is near each knot, (B, N, K)."""
    return cells[..., 12 : 12 + KNOTS]


def mean_knot_colors(cells: Tensor, shares: Tensor) -> Tensor:
    """The mean colour near each knot of regions with shares (B, N) of the cells: (B, 8, 3)."""
    amounts, colors = _knot_sums(region_mean(cells, shares))
    grey = greys(colors)[:, None]
    return (colors + _FAINT * grey) / (amounts[..., None] + _FAINT)


def _knot_sums(mean: Tensor) -> tuple[Tensor, Tensor]:
    """Of a region's statistics (B, 50), the amounts (B, 8) and the sums of RGB (B, 8, 3)."""
    amounts = mean[:, 12 : 12 + KNOTS]
    return amounts, mean[:, 12 + KNOTS : -6].reshape(-1, KNOTS, 3)


def greys(like: Tensor) -> Tensor:
    """The knots' luminances, (8,)."""
    return torch.linspace(0, 1, KNOTS, device=like.device, dtype=like.dtype)


def moments(mean: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (B, 3) and covariance (B, 3, 3) of RGB of statistics (B, 50)."""
    color, products = mean[:, :3], mean[:, -6:]
    rows = [[products[:, _PLACES[i][j]] for j in range(3)] for i in range(3)]
    second = torch.stack([torch.stack(row, 1) for row in rows], 1)
    covariance = second - color[:, :, None] * color[:, None]
    return color, covariance + _LEAST_VARIANCE * identity_like(mean)


def identity_like(values: Tensor) -> Tensor:
    """The identity (3, 3) where values are; made there, since a copy would wait for the device."""
    return torch.eye(3, device=values.device, dtype=values.dtype)
