"""The look that was found at a working size, given to the whole photo, strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.matting.guided import EnlargedPlanes, recolouring
from pydpst.ops import affine_maps_apply, grade_apply
from pydpst.transfer.finish import mixed, shares, with_luminance_of

# A strip has about so many pixels: what is computed for it is small beside any photo.
_STRIP_PIXELS = 2**20

# The colours of a strip (3, h, w) of a photo, whose first row is given, in the new look.
Colours = Callable[[Tensor, int], Tensor]


def strip_rows(width: int) -> int:
    """How many rows of a photo of that width are worked on at a time."""
    return max(1, _STRIP_PIXELS // width)


def graded(maps: Tensor, masks: Colours) -> Colours:
    """The colours of a grade.

    Args:
        maps: (R, 1 or 7, K, 12), as for `ops.grade_apply`.
        masks: gives those of a strip: of the graded regions first, summing to 1 over all.
    """

    def colours(strip: Tensor, top: int) -> Tensor:
        shown = masks(strip, top)
        shown = shown[: len(maps)] / shown.sum(0).clamp_min(1e-6)
        return grade_apply(maps[None], shown[None], strip[None])[0].clamp_(0, 1)

    return colours


def recoloured(content: Tensor, result: Tensor, height: int) -> Colours:
    """The colours of a small result that is a local recolouring of the content.

    The affine maps from the small content to the result (`guided.recolouring`) are enlarged and
    applied to the photo, whose own detail stays.

    Args:
        content: (3, h, w), the photo scaled down.
        result: (3, h, w), what the content became.
        height: of the photo.
    """
    maps = recolouring(content, result)[None]
    return lambda strip, top: affine_maps_apply(maps, strip[None], top, height)[0].clamp_(0, 1)


def enlarged(result: Tensor, height: int, width: int) -> Colours:
    """The colours of a small result (3, h, w) that is none: it is enlarged."""
    full = F.interpolate(result[None].cpu(), (height, width), mode="bicubic")[0].clamp_(0, 1)
    return lambda strip, top: full[:, top : top + strip.shape[1]].to(strip.device)


def given_to_photo(
    photo: Tensor,
    content: Tensor,
    colours: Colours,
    masks: Tensor,
    strengths: Sequence[float],
    *,
    preserve_luminance: bool = False,
    rows: int | None = None,
) -> Tensor:
    """Gives a photo new colours, at the strengths of its regions, strip by strip.

    Args:
        photo: (3, H, W) in [0, 1], float32, on any device.
        content: (3, h, w), the photo scaled down, on the device to compute on.
        colours: those of each strip at full strength.
        masks: (R, h, w), the regions.
        strengths: of each region, as for `finish.blended`.
        preserve_luminance: whether to keep the photo's brightness.
        rows: of a strip; None is `strip_rows`. They do not change the result.

    Returns:
        (3, H, W) in [0, 1], float32, on the CPU.
    """
    height, width = photo.shape[-2:]
    own_shares = None
    if any(strength != 1 for strength in strengths):
        own_shares = EnlargedPlanes(content, shares(masks, strengths), height)
    full = torch.empty(photo.shape)
    rows = rows or strip_rows(width)
    for top in range(0, height, rows):
        own = photo[:, top : top + rows].to(content.device)
        strip = colours(own, top)
        if preserve_luminance:
            strip = with_luminance_of(own, strip)
        if own_shares is not None:
            strip = mixed(own, strip, own_shares(own, top))
        full[:, top : top + rows] = strip
    return full
