"""The two photos of a run: read once, scaled to the working size, their regions found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pydpst.photos.decode import Source
from pydpst.photos.image import load_image
from pydpst.photos.photo import Photo, open_photo
from pydpst.photos.resizing import resize
from pydpst.regions.clusters import REGIONS_SIZE, joint_regions
from pydpst.regions.labels import MaskPair, label_maps
from pydpst.regions.masks import Regions, one_region
from pydpst.regions.scene import GROUPS
from pydpst.regions.scene_regions import scene_regions
from pydpst.transfer.finish import strengths_of
from pydpst.transfer.linear import monge_kantorovich
from pydpst.transfer.look import REGIONS, Look

# See `Pair.whole_share`.
_SCENE_SHARE, _FOUND_SHARE = 0.2, 0.4


@dataclass(frozen=True, eq=False)
class Photos:
    """Two photos, read.

    Attributes:
        photo: the content as it is, with what else its file says, on the CPU.
        content: (3, h, w) in [0, 1], at the working size, on the device to compute on.
        style: (3, h', w'), likewise.
        seen: both at the size at which regions are found.
        regions: those given by label maps, if there are any.
    """

    photo: Photo
    content: Tensor
    style: Tensor
    seen: tuple[Tensor, Tensor]
    regions: Regions | None


@dataclass(frozen=True, eq=False)
class Pair:
    """Two photos at the working size, and their regions.

    Attributes:
        photo: as in `Photos`.
        content: likewise.
        style: likewise.
        regions: what is styled after what.
        masks: (R, h, w), soft, of all the content's regions; those that the style shares first.
        style_masks: (R', h', w'), of the shared ones.
        strengths: of each of the content's regions, from 0 to 1.
        guessed: whether regions were found, and so may be wrong.
    """

    photo: Photo
    content: Tensor
    style: Tensor
    regions: Regions
    masks: Tensor
    style_masks: Tensor
    strengths: list[float]
    guessed: bool

    @property
    def whole_share(self) -> float:
        """How much the photos as wholes count beside their regions, as for `StyleLoss`.

        None of it for regions that were given. Those found may be wrong, and a scene's less often
        than clusters or a subject.
        """
        if not self.guessed:
            return 0.0
        shared = self.regions.names[: self.regions.shared]
        return _SCENE_SHARE if set(shared) <= set(GROUPS) else _FOUND_SHARE


def read_photos(
    content: Source, style: Source, masks: MaskPair | None, size: int, device: torch.device
) -> Photos:
    """Reads two photos, and their label maps.

    Args:
        content: the photo to restyle, as for `load_image`.
        style: the photo whose style it gets, likewise.
        masks: their label maps, if there are any.
        size: the working size, in pixels of the longer side.
        device: where to compute.

    Raises:
        ValueError: for photos and masks that cannot be read, or masks that do not fit.
    """
    photo = open_photo(content, "content")
    whole = (photo.pixels, load_image(style, "style"))
    regions = None if masks is None else label_maps(*whole, masks, size)
    small, example = (resize(image, size).to(device) for image in whole)
    seen = (small, example)
    if size < REGIONS_SIZE:
        seen = (
            resize(whole[0], REGIONS_SIZE).to(device),
            resize(whole[1], REGIONS_SIZE).to(device),
        )
    return Photos(photo, small, example, seen, regions)


def pair_up(photos: Photos, look: Look) -> Pair:
    """Finds what goes to what in two photos.

    Raises:
        ValueError: for a region that the look names and that is not there.
    """
    if photos.regions is not None:
        regions = photos.regions
    elif isinstance(look.regions, Regions):
        regions = look.regions
    else:
        regions = find_regions(*photos.seen, look.regions, look.segmentation_model)
    strengths = strengths_of(regions.names, look.strength, look.lock)
    masks, style_masks = regions.masks(photos.content, photos.style, look.refine_masks)
    guessed = photos.regions is None
    return Pair(
        photos.photo,
        photos.content,
        photos.style,
        regions,
        masks,
        style_masks,
        strengths,
        guessed,
    )


def may_be_one(pair: Pair, look: Look) -> bool:
    """Whether the regions of a pair were found, and nobody has said anything of one of them."""
    found = pair.guessed and not isinstance(look.regions, Regions)
    return found and pair.regions.shared > 1 and len(set(pair.strengths)) == 1


def as_one(pair: Pair) -> Pair:
    """The same with each photo as one region."""
    return replace(
        pair,
        regions=one_region(pair.content, pair.style),
        masks=torch.ones_like(pair.content[:1]),
        style_masks=torch.ones_like(pair.style[:1]),
        strengths=pair.strengths[:1],
    )


def find_regions(
    content: Tensor, style: Tensor, how: str = "auto", model: str | None = None
) -> Regions:
    """Regions of two photos without masks.

    Args:
        content: (3, H, W) in [0, 1].
        style: (3, H', W'), likewise.
        how: auto, clusters or none, as `Look.regions`.
        model: a segmentation model, as for `joint_regions`, which takes the place of the others.

    Raises:
        ValueError: for another way, or a model that cannot be loaded.
        ImportError: for a model, if the transformers library is not installed.
    """
    if how not in REGIONS:
        raise ValueError(f"regions is {how!r}; it must be one of {', '.join(REGIONS)}.")
    if how == "none":
        return one_region(content, style)
    if how == "clusters" or model is not None:
        return joint_regions(content, style, model)
    return scene_regions(content, style, monge_kantorovich)
