"""The losses: content and style (Gatys et al. 2016), photorealism (Luan et al. 2017), smoothness.

Each is normalised, so that one set of weights serves every photo and every resolution.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.laplacian import MattingLaplacian

CONTENT_LAYERS = ("conv4_2",)
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")

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


class StyleLoss:
    """How far the Gram matrices of each region are from the style's (Luan et al. 2017, eq. 6).

    Deviation: each layer's and region's squared distance is relative to the untouched content's
    own, and regions count by their area in the content; so the content's loss is (nearly) 1,
    whatever the photos. Where features come with PIXELS, the colours themselves are one more layer,
    which counts as much as the others together; without it they drift as far from the style's as
    the deeper layers like. The content's loss is then nearly 2.

    Args:
        content: the content's features in STYLE_LAYERS, and in PIXELS or not.
        style: the style's.
        content_masks: (R, H, W), soft, in [0, 1].
        style_masks: (R, H', W').
        whole_share: in [0, 1], how much of the loss is that of all regions taken as one, for
            regions that may be wrong.
    """

    # Where content and style agree from the start, their distance is no measure of anything.
    _LEAST_DISTANCE = 0.02

    def __init__(
        self,
        content: Features,
        style: Features,
        content_masks: Tensor,
        style_masks: Tensor,
        whole_share: float = 0.0,
    ) -> None:
        self.whole_share = whole_share if len(content_masks) > 1 else 0.0
        layers = [layer for layer in (PIXELS, *STYLE_LAYERS) if layer in content]
        self.pixels = {layer: RegionPixels(content_masks, content[layer]) for layer in layers}
        self.targets = {
            layer: self._gram_matrices(
                RegionPixels(style_masks, style[layer]), style[layer].float()
            )
            for layer in layers
        }
        self.scales = self._scales(content)

    def for_content(self, content: Features) -> StyleLoss:
        """The loss of another content of the same size and masks, against the same style."""
        other = copy(self)
        other.scales = other._scales(content)
        return other

    def _scales(self, content: Features) -> dict[str, list[Tensor]]:
        scales = {}
        for layer, pixels in self.pixels.items():
            weight = 1.0 if layer == PIXELS else 1 / len(STYLE_LAYERS)
            shares = [*((1 - self.whole_share) * pixels.areas / pixels.areas.sum())]
            if self.whole_share > 0:
                shares.append(pixels.areas.new_tensor(self.whole_share))
            start = self._gram_matrices(pixels, content[layer].float())
            scales[layer] = [
                weight
                * share
                / ((gram - target).square().sum() + self._LEAST_DISTANCE * target.square().sum())
                for share, gram, target in zip(shares, start, self.targets[layer], strict=True)
            ]
        return scales

    def _gram_matrices(self, pixels: RegionPixels, features: Tensor) -> list[Tensor]:
        """Those of the regions, and of all of them as one if that counts."""
        grams = list(pixels.gram_matrices(features))
        if self.whole_share > 0:
            shares = pixels.areas / pixels.areas.sum()
            grams.append(torch.stack([s * g for s, g in zip(shares, grams, strict=True)]).sum(0))
        return grams

    def __call__(self, features: Features) -> Tensor:
        """The loss of an image's features in the same layers, a scalar."""
        loss = torch.zeros((), device=features[STYLE_LAYERS[0]].device)
        for layer, pixels in self.pixels.items():
            grams = self._gram_matrices(pixels, features[layer])
            for gram, target, scale in zip(
                grams, self.targets[layer], self.scales[layer], strict=True
            ):
                loss = loss + scale * (gram - target).square().sum()
        return loss


class ContentLoss:
    """The squared distance of features from the content's, relative to them (Gatys 2016, eq. 1).

    Args:
        content: the content's features in CONTENT_LAYERS.
    """

    def __init__(self, content: Features) -> None:
        self.targets = {layer: content[layer] for layer in CONTENT_LAYERS}
        self.scales = {
            layer: 1 / target.float().square().mean() for layer, target in self.targets.items()
        }

    def __call__(self, features: Features) -> Tensor:
        """The loss of an image's features in CONTENT_LAYERS, a scalar."""
        distances = [
            self.scales[layer] * (features[layer] - target).float().square().mean()
            for layer, target in self.targets.items()
        ]
        return torch.stack(distances).mean()


class PhotorealismLoss:
    """pᵀL p a pixel: how far an image is from a local recolouring of the content.

    Luan et al. 2017, eq. 4. Deviation: eps is 1e-4 and not 1e-7, which lets the noise of a flat
    wall or sky be stretched into texture at no cost; this eps charges for steep slopes.

    Args:
        content: (3, H, W) in [0, 1].
    """

    def __init__(self, content: Tensor) -> None:
        self.laplacian = MattingLaplacian(content, eps=1e-4)

    def __call__(self, image: Tensor) -> Tensor:
        """The loss of an image (3, H, W), a scalar."""
        return self.laplacian.energy(image) / image[0].numel()


def tv_loss(image: Tensor) -> Tensor:
    """The mean squared difference of neighbouring pixels (as Johnson et al. 2016, section 3.2).

    Args:
        image: (3, H, W).

    Returns:
        A scalar.
    """
    down, right = image.diff(dim=-2), image.diff(dim=-1)
    return down.square().mean() + right.square().mean()
