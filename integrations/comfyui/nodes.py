"""The nodes. Images are ComfyUI's: (B, H, W, 3), float32, in [0, 1]; masks (B, H, W), likewise.

Of several photos each is restyled by itself; a style takes as many photos as there are, or is one
for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

import pydpst
from pydpst.feedforward.bundled import styles
from pydpst.regions.mask_colors import label_image
from pydpst.transfer.look import METHODS, REGIONS
from pydpst.transfer.pair import find_regions

# ComfyUI runs nodes in inference mode, in which a look cannot be optimised, and what is loaded then
# would stay as it is.
_training_allowed = torch.inference_mode(False)
_STRENGTH = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05})


def _photos(images: Tensor) -> list[Tensor]:
    """Photos (3, H, W), without the opacity that images may have."""
    return list(images[..., :3].movedim(-1, 1).clone())


def _images(photos: list[Tensor]) -> Tensor:
    return torch.stack(photos).movedim(1, -1).float().cpu().contiguous()


def _pairs(images: Tensor, style: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    photos, examples = _photos(images), _photos(style)
    if len(examples) not in (1, len(photos)):
        raise ValueError(
            f"there are {len(photos)} photos and {len(examples)} styles; give one style, or one "
            "for each photo."
        )
    return zip(photos, examples * (len(photos) // len(examples)), strict=True)


class Stylize:
    """Gives photos the style of another, region by region, with `pydpst.stylize`."""

    CATEGORY = "image/pydpst"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "stylize"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE",),
                "style": ("IMAGE",),
                "method": (list(METHODS), {"default": "grade"}),
                "regions": (list(REGIONS), {"default": "auto"}),
                "strength": _STRENGTH,
                "size": ("INT", {"default": 1024, "min": 32, "max": 4096, "step": 8}),
            },
            "optional": {"image_regions": ("IMAGE",), "style_regions": ("IMAGE",)},
        }

    @_training_allowed
    def stylize(
        self,
        image: Tensor,
        style: Tensor,
        method: str,
        regions: str,
        strength: float,
        size: int,
        image_regions: Tensor | None = None,
        style_regions: Tensor | None = None,
    ) -> tuple[Tensor]:
        maps: dict[str, Tensor] = {}
        if image_regions is not None or style_regions is not None:
            if image_regions is None or style_regions is None or len(image) > 1:
                raise ValueError(
                    "label maps are for one photo; give image_regions and style_regions."
                )
            (maps["content_mask"],) = _photos(image_regions)
            (maps["style_mask"],) = _photos(style_regions)
        options = {"method": method, "regions": regions, "strength": strength, "size": size}
        restyle: Callable[..., Any] = pydpst.stylize
        results = [restyle(*pair, **maps, **options) for pair in _pairs(image, style)]
        if any(result.interrupted for result in results):
            raise KeyboardInterrupt
        return (_images([result.image for result in results]),)


class Match:
    """Gives photos the look of another in one pass, with `pydpst.match`."""

    CATEGORY = "image/pydpst"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "match"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("IMAGE",), "style": ("IMAGE",), "strength": _STRENGTH}}

    @_training_allowed
    def match(self, image: Tensor, style: Tensor, strength: float) -> tuple[Tensor]:
        pairs = _pairs(image, style)
        return (_images([pydpst.match(*pair, strength=strength).image for pair in pairs]),)


class Apply:
    """Gives photos a bundled style in one pass, with `pydpst.apply_model`."""

    CATEGORY = "image/pydpst"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "apply"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        strength = ("FLOAT", {**_STRENGTH[1], "max": 2.0})
        return {"required": {"image": ("IMAGE",), "model": (list(styles()),), "strength": strength}}

    @_training_allowed
    def apply(self, image: Tensor, model: str, strength: float) -> tuple[Tensor]:
        network = _network(model)
        photos = _photos(image)
        return (_images([pydpst.apply_model(network, p, strength=strength) for p in photos]),)


@lru_cache(maxsize=4)
def _network(model: str) -> nn.Module:
    return pydpst.load_model(model).to("cuda" if torch.cuda.is_available() else "cpu")


class Segment:
    """Finds the regions that two photos share.

    Gives both as label maps, to look at and for `Stylize`; those of the photo also as masks, one a
    region; and the regions' names, a line each.
    """

    CATEGORY = "image/pydpst"
    RETURN_TYPES = ("IMAGE", "IMAGE", "MASK", "STRING")
    RETURN_NAMES = ("image_regions", "style_regions", "masks", "names")
    FUNCTION = "segment"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE",),
                "style": ("IMAGE",),
                "regions": (list(REGIONS), {"default": "auto"}),
            }
        }

    @_training_allowed
    def segment(
        self, image: Tensor, style: Tensor, regions: str
    ) -> tuple[Tensor, Tensor, Tensor, str]:
        if len(image) != 1 or len(style) != 1:
            raise ValueError("regions are found in one photo and one style; give one of each.")
        found = find_regions(_photos(image)[0], _photos(style)[0], regions)
        maps = [label_image(labels, found.names) for labels in (found.content, found.style)]
        each = torch.arange(len(found.names))[:, None, None]
        masks = (found.content.cpu() == each).float()
        return _images(maps[:1]), _images(maps[1:]), masks, "\n".join(found.names)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "PydpstStylize": Stylize,
    "PydpstMatch": Match,
    "PydpstApply": Apply,
    "PydpstSegment": Segment,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "PydpstStylize": "Stylize (pydpst)",
    "PydpstMatch": "Match a look (pydpst)",
    "PydpstApply": "Apply a bundled style (pydpst)",
    "PydpstSegment": "Find regions (pydpst)",
}
