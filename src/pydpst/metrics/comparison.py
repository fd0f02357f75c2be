"""What measures compare: a result, the content it was made of, and the style it was to have."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Comparison:
    """A result, its content and its style; checked here, once for all measures.

    Attributes:
        result: (3, H, W), sRGB in [0, 1], float32.
        content: (3, H, W), likewise.
        style: (3, H', W'), likewise.
        content_masks: (R, H, W) in [0, 1], or None: see `masks`.
        style_masks: (R, H', W'), or None.

    Raises:
        ValueError: if the shapes do not agree, one photo alone has masks, or a mask is empty.
    """

    result: Tensor
    content: Tensor
    style: Tensor
    content_masks: Tensor | None = None
    style_masks: Tensor | None = None

    def __post_init__(self) -> None:
        check_same_size(self.result, self.content)
        if (self.content_masks is None) != (self.style_masks is None):
            raise ValueError("there are masks of one photo only; give both or none.")
        photos = (self.content, self.style)
        for masks, photo, name in zip(self.masks, photos, ("content", "style"), strict=True):
            wanted = (len(self.masks[0]), *photo.shape[1:])
            if masks.shape != wanted:
                raise ValueError(
                    f"the {name} masks have the shape {tuple(masks.shape)}; it must be {wanted}."
                )
            for region, mask in enumerate(masks):
                if not mask.any():
                    raise ValueError(f"region {region} of the {name} masks is empty; leave it out.")

    @property
    def masks(self) -> tuple[Tensor, Tensor]:
        """The masks of content and style; without any, one region that is everything."""
        if self.content_masks is None or self.style_masks is None:
            return torch.ones_like(self.content[:1]), torch.ones_like(self.style[:1])
        return self.content_masks, self.style_masks


def check_same_size(result: Tensor, content: Tensor) -> None:
    """Refuses a result that is no photo of the content's size."""
    if result.ndim != 3 or len(result) != 3 or result.shape != content.shape:
        raise ValueError(
            f"the result has the shape {tuple(result.shape)} and the content "
            f"{tuple(content.shape)}; both must be the same (3, H, W)."
        )
