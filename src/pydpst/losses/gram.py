"""Gram matrices by region (Gatys et al. 2016, Luan et al. 2017)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# The image itself, as the layer before the first.
PIXELS = "pixels"


Features = dict[str, Tensor]


def pixel_features(image: Tensor) -> Features:
    """An image (3, H, W) and a channel of ones: its Gram matrix holds colour means and covariances.

    Returns:
        (1, 4, H, W), under the name PIXELS.
    """
    return {PIXELS: torch.cat([image, torch.ones_like(image[:1])])[None]}


class RegionPixels:
    """Which pixels of a layer belong to each region, and how much.

    The masks are averaged down to the layer (Luan et al. 2017, section 3.2). Deviation: a pixel
    counts for the region that it belongs to most, and for no other. So the style of one region does
    not bleed into the next one's border, and the Gram matrices of all regions cost little more than
    one of the whole layer.

    Args:
        masks: (R, H, W), soft, in [0, 1].
        features: the layer's, (1, C, H', W').
    """

    # A pixel of fainter mask counts for no region.
    _LEAST = 0.05

    def __init__(self, masks: Tensor, features: Tensor) -> None:
        weights = F.interpolate(masks[None], features.shape[-2:], mode="area")[0].flatten(1)
        self.areas = weights.mean(1)
        strongest, region = weights.max(0)
        region[strongest < self._LEAST] = len(weights)  # none
        # A region too small for this layer still has its strongest pixel.
        for r in set(range(len(weights))) - set(torch.unique(region).tolist()):
            region[weights[r].argmax()] = r
        self.counts = torch.bincount(region, minlength=len(weights) + 1)[: len(weights)].tolist()
        # The pixels by region, those of none at the end; and where each of them then is.
        self.order = torch.argsort(region, stable=True)
        self.rank = torch.argsort(self.order)
        sorted_weights = weights.gather(0, region.clamp_max(len(weights) - 1)[None])[0, self.order]
        self.weights = [
            weight[:, None].clamp_min(1e-6)
            for weight in torch.split(sorted_weights[: sum(self.counts)], self.counts)
        ]

    def gram_matrices(self, features: Tensor) -> tuple[Tensor, ...]:
        """The Gram matrix (C, C), float32, of each region of the layer's features (1, C, H, W)."""
        grams: tuple[Tensor, ...] = _RegionGrams.apply(features, self)  # type: ignore[no-untyped-call]
        return grams


class _RegionGrams(torch.autograd.Function):
    """Gram matrices by region; their gradient keeps the features' layout and needs no scatter."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, pixels: RegionPixels) -> tuple[Tensor, ...]:
        rows = features[0].permute(1, 2, 0).flatten(0, 1)
        if len(pixels.counts) > 1:
            rows = rows.index_select(0, pixels.order)
        ctx.save_for_backward(rows)
        ctx.pixels, ctx.shape = pixels, features.shape
        parts = torch.split(rows[: sum(pixels.counts)], pixels.counts)
        return tuple(
            gram_matrix(part, weight) for part, weight in zip(parts, pixels.weights, strict=True)
        )

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        pixels: RegionPixels = ctx.pixels
        result = torch.empty_like(rows)
        counts = [*pixels.counts, len(rows) - sum(pixels.counts)]
        *parts, rest = torch.split(result, counts)
        for part, own, weight, grad in zip(
            parts, torch.split(rows, counts)[:-1], pixels.weights, grads, strict=True
        ):
            share = weight.square() / weight.square().sum()
            torch.mm(own * share.to(own.dtype), (grad + grad.T).to(own.dtype), out=part)
        rest.zero_()
        if len(pixels.counts) > 1:
            result = result.index_select(0, pixels.rank)
        _, channels, height, width = ctx.shape
        return result.view(1, height, width, channels).permute(0, 3, 1, 2), None


def gram_matrix(features: Tensor, weight: Tensor) -> Tensor:
    """The weighted mean over pixels of f fᵀ, a Gram matrix (Gatys et al. 2016, eq. 3).

    Deviation: divided by the sum of the weights, so that regions of different size compare.

    Args:
        features: (N, C).
        weight: (N, 1), the region's mask; it multiplies the features (Luan et al. 2017, eq. 6), so
            it counts squared.

    Returns:
        (C, C), float32.
    """
    weighted = features * (weight * weight.square().sum().rsqrt()).to(features.dtype)
    return (weighted.T @ weighted).float()
