"""The losses that a feed-forward network is trained with."""

from __future__ import annotations

import torch
from torch import Tensor

from pydpst.feedforward.training_settings import Settings
from pydpst.losses.content import CONTENT_LAYERS, ContentLoss
from pydpst.losses.edges import edge_similarity
from pydpst.losses.gram import Features
from pydpst.losses.photorealism import PhotorealismLoss
from pydpst.losses.style import STYLE_LAYERS, StyleLoss
from pydpst.losses.total_variation import tv_loss
from pydpst.losses.vgg import VGGFeatures
from pydpst.photos.resizing import resize

_RANGE_WEIGHT = 30.0


class Criterion:
    """The losses of a batch of restyled photos, means over the photos.

    Args:
        style: the style photo, (3, H, W) in [0, 1].
        settings: whose weights and precision it takes; losses of weight 0 are not computed.
    """

    def __init__(self, style: Tensor, settings: Settings, device: torch.device) -> None:
        self.style = style.to(device)
        self.weights = {name: weight for name, weight in settings.weights().items() if weight > 0}
        dtype = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
        self.vgg = VGGFeatures(CONTENT_LAYERS + STYLE_LAYERS, dtype=dtype).to(device)
        self._style_losses: dict[torch.Size, StyleLoss] = {}

    def __call__(self, contents: Tensor, results: Tensor) -> dict[str, Tensor]:
        """The losses, and their weighted sum as total.

        Args:
            contents: (B, 3, H, W) in [0, 1].
            results: restyled; a little may lie outside [0, 1], which costs.

        Returns:
            Scalars by name.
        """
        with torch.no_grad():
            before = self.vgg(contents)
        after = self.vgg(results.clamp(0, 1))
        sums: dict[str, Tensor] = {name: results.new_zeros(()) for name in self.weights}
        # What lies beyond is lost when the photo is saved.
        sums["range"] = (results - results.clamp(0, 1)).square().mean()
        for i, (content, result) in enumerate(zip(contents, results, strict=True)):
            own = {layer: x[i : i + 1] for layer, x in before.items()}
            features = {layer: x[i : i + 1] for layer, x in after.items()}
            for name in self.weights:
                loss = self._loss(name, own, features, content, result)
                sums[name] = sums[name] + loss / len(contents)
        weights = {**self.weights, "range": _RANGE_WEIGHT}
        total = torch.stack([weights[name] * loss for name, loss in sums.items()]).sum()
        return {**sums, "total": total}

    def _loss(
        self, name: str, own: Features, features: Features, content: Tensor, result: Tensor
    ) -> Tensor:
        if name == "content":
            return ContentLoss(own)(features)
        if name == "style":
            return self._style_loss(content.shape, own)(features)
        if name == "photorealism":
            return PhotorealismLoss(content)(result)
        if name == "edge":
            return 1 - edge_similarity(result.clamp(0, 1), content)
        return tv_loss(result)

    @torch.no_grad()
    def _style_loss(self, shape: torch.Size, content: Features) -> StyleLoss:
        """For a content of this shape; the style photo has the same longer side."""
        if shape not in self._style_losses:
            style = resize(self.style, max(shape))
            height, width = shape[-2:]
            self._style_losses[shape] = StyleLoss(
                content,
                self.vgg(style[None]),
                style.new_ones(1, height, width),
                torch.ones_like(style[:1]),
            )
        return self._style_losses[shape].for_content(content)
