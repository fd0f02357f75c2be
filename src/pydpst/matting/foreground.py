"""Colours for a cut-out."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def estimate_foreground(
    image: Tensor, alpha: Tensor, regularization: float = 1e-5, gradient_weight: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The colours of foreground and background from a matte (Germer et al. 2020).

    "Fast Multi-Level Foreground Estimation": minimises, over F and B, the squared error of
    I = α F + (1 − α) B plus squared differences of neighbouring F and of neighbouring B, weighted
    by regularization + gradient_weight · |difference of α| (eq. 3 of the paper). From a single
    pixel up to the image, each size starts from the last one enlarged and is iterated, each pixel
    solving its 2×2 system with its four neighbours fixed. All pixels do so at
    once, from the values of the iteration before.

    Args:
        image: (3, H, W), values in [0, 1].
        alpha: (H, W), values in [0, 1], on the image's device.
        regularization: the weight of smoothness everywhere.
        gradient_weight: the weight of smoothness across edges of alpha.

    Returns:
        F and B, (3, H, W) each, values in [0, 1].
    """
    height, width = alpha.shape
    steps = max(1, math.ceil(math.log2(max(height, width))))
    foreground, background = (image.mean((1, 2), keepdim=True) for _ in range(2))
    for step in range(steps + 1):
        size = (
            max(1, round(height ** (step / steps))),
            max(1, round(width ** (step / steps))),
        )
        photo = F.interpolate(image[None], size, mode="area")[0]
        opacity = F.interpolate(alpha[None, None], size, mode="area")[0, 0]
        layers = torch.stack([foreground, background])
        layers = F.interpolate(layers, size, mode="nearest-exact")
        iterations = 10 if max(size) <= 32 else 2
        layers = _smooth_layers(photo, opacity, layers, iterations, regularization, gradient_weight)
        foreground, background = layers.unbind()
    return foreground, background


def _smooth_layers(
    image: Tensor,
    alpha: Tensor,
    layers: Tensor,
    iterations: int,
    regularization: float,
    gradient_weight: float,
) -> Tensor:
    """Iterates F and B, stacked as (2, 3, H, W)."""

    def neighbours(x: Tensor) -> list[Tensor]:
        padded = F.pad(x.view(1, -1, *x.shape[-2:]), [1] * 4, mode="replicate").view(
            *x.shape[:-2], x.shape[-2] + 2, x.shape[-1] + 2
        )
        return [
            padded[..., :-2, 1:-1],
            padded[..., 2:, 1:-1],
            padded[..., 1:-1, :-2],
            padded[..., 1:-1, 2:],
        ]

    # Beyond the border a pixel has itself for a neighbour.
    weights = [
        regularization + gradient_weight * (alpha - other).abs() for other in neighbours(alpha)
    ]
    total = torch.stack(weights).sum(0)
    share = torch.stack([alpha, 1 - alpha])[:, None]
    # The system (share shareᵀ + total Id) x = share I + Σ weight·neighbour, solved by
    # Sherman and Morrison.
    norm = total + alpha**2 + (1 - alpha) ** 2
    for _ in range(iterations):
        pull = torch.zeros_like(layers)
        for weight, other in zip(weights, neighbours(layers), strict=True):
            pull.addcmul_(weight.expand_as(other), other)
        mean = pull / total
        error = image - (share * mean).sum(0)
        layers = (mean + share * (error / norm)).clamp(0, 1)
    return layers


def composite(foreground: Tensor, background: Tensor, alpha: Tensor) -> Tensor:
    """α F + (1 − α) B, for F and B (3, H, W) and α (H, W)."""
    return alpha * foreground + (1 - alpha) * background
