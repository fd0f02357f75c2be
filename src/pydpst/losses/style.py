"""The style loss, by region (Gatys et al. 2016, Luan et al. 2017)."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from pydpst.losses.gram import PIXELS, Features, RegionPixels

# Masks of a partition sum to about 1.
_OVERLAP = 1.1
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


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
        style_masks: (R, H', W'); they may overlap, where regions take the look of one place.
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
            layer: self._with_whole(*_of_style(style_masks, style[layer].float()))
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
        return self._with_whole(list(pixels.gram_matrices(features)), pixels.areas)

    def _with_whole(self, grams: list[Tensor], areas: Tensor) -> list[Tensor]:
        if self.whole_share > 0:
            shares = areas / areas.sum()
            whole = torch.stack([s * g for s, g in zip(shares, grams, strict=True)]).sum(0)
            return [*grams, whole]
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


def _of_style(masks: Tensor, features: Tensor) -> tuple[list[Tensor], Tensor]:
    """The Gram matrices of regions (R, H, W) in features (1, C, H', W'), and their areas (R)."""
    if masks.sum(0).max() < _OVERLAP:
        pixels = RegionPixels(masks, features)
        return list(pixels.gram_matrices(features)), pixels.areas
    # Each against what it has not: two of one place are no rivals for its pixels.
    each = [
        RegionPixels(torch.stack([mask, other]) if other.max() > 0.5 else mask[None], features)
        for mask, other in zip(masks, 1 - masks, strict=True)
    ]
    grams = [pixels.gram_matrices(features)[0] for pixels in each]
    return grams, torch.stack([pixels.areas[0] for pixels in each])
