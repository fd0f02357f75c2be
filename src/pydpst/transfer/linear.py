"""Linear colour transfer between regions: where the optimisation starts."""

from __future__ import annotations

import torch
from torch import Tensor

# The variance of 8-bit noise and of JPEG in flat regions, which a transfer must not stretch.
NOISE_VARIANCE = 1e-4

# The variance of rounding to 8 bits, about.
_ROUNDING_VARIANCE = 1e-6


def _statistics(pixels: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The weighted mean (3) and covariance (3, 3) of pixels (3, N), regularised."""
    weight = weight / weight.sum()
    mean = pixels @ weight
    centred = pixels - mean[:, None]
    covariance = (centred * weight) @ centred.T
    return mean, covariance + NOISE_VARIANCE * torch.eye(3, dtype=pixels.dtype)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric positive definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    result: Tensor = (vectors * values**exponent) @ vectors.T
    return result


def affine_fit(before: Tensor, after: Tensor, counts: Tensor | None = None) -> Tensor:
    """The affine map nearest to what became of colours, by least squares.

    Args:
        before: colours (3, N), float64.
        after: likewise.
        counts: how much each counts, (N), with a mean of 1; None is all alike.

    Returns:
        (3, 4): the matrix and, last, the offset. Colours that vary too little for a slope keep 1.
    """
    counts = torch.ones_like(before[0]) if counts is None else counts
    mean, wanted = ((counts * x).mean(1, keepdim=True) for x in (before, after))
    centred = before - mean
    noise = _ROUNDING_VARIANCE * torch.eye(3, dtype=before.dtype)
    covariance = (counts * centred) @ centred.T / before.shape[1] + noise
    cross = (counts * centred) @ (after - wanted).T / before.shape[1] + noise
    matrix = torch.linalg.solve(covariance, cross).T
    return torch.cat([matrix, wanted - matrix @ mean], 1)


def monge_kantorovich(
    source: Tensor, target: Tensor, source_weight: Tensor, target_weight: Tensor
) -> tuple[Tensor, Tensor]:
    """The linear map that gives one colour distribution the mean and covariance of another.

    Of all such maps it moves the colours least (Pitié and Kokaram 2007, "The linear
    Monge-Kantorovitch linear colour mapping for example-based colour transfer", eq. 8).

    Args:
        source: colours (3, N).
        target: colours (3, M).
        source_weight: their weights (N), not negative.
        target_weight: likewise (M).

    Returns:
        A (3, 3) and b (3), both float64: a colour x becomes A x + b.
    """
    mean, covariance = _statistics(source.double(), source_weight.double())
    wanted_mean, wanted = _statistics(target.double(), target_weight.double())
    root, inverse_root = _power(covariance, 0.5), _power(covariance, -0.5)
    transform = inverse_root @ _power(root @ wanted @ root, 0.5) @ inverse_root
    return transform, wanted_mean - transform @ mean


def transfer_color(
    content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor
) -> Tensor:
    """Gives each region of the content the colour mean and covariance of the style's region.

    Args:
        content: (3, H, W) in [0, 1].
        style: (3, H', W') in [0, 1].
        content_masks: (R, H, W), soft, summing to at most 1 over the regions; what is missing to 1
            keeps its colours.
        style_masks: (R, H', W').

    Returns:
        (3, H, W) in [0, 1].
    """
    pixels, wanted = content.flatten(1).double().cpu(), style.flatten(1).double().cpu()
    weights, style_weights = content_masks.flatten(1).cpu(), style_masks.flatten(1).cpu()
    result = pixels * (1 - weights.sum(0))
    for weight, style_weight in zip(weights, style_weights, strict=True):
        transform, offset = monge_kantorovich(pixels, wanted, weight, style_weight)
        result += weight * (transform @ pixels + offset[:, None])
    return result.clamp(0, 1).to(content).view_as(content)
