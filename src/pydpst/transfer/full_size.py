"""The look that was found at a working size, carried to the whole photo."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.matting.guided import local_affine, recolouring
from pydpst.ops import affine_maps_apply
from pydpst.transfer.finish import mixed, shares, with_luminance_of

# A strip has about so many pixels: what is computed for it is small beside any photo.
_STRIP_PIXELS = 2**20


def strip_rows(width: int) -> int:
    """How many rows of a photo of that width are worked on at a time."""
    return max(1, _STRIP_PIXELS // width)


def carry_to_photo(
    photo: Tensor,
    content: Tensor,
    result: Tensor,
    masks: Tensor,
    strengths: Sequence[float],
    *,
    recolour: bool = True,
    preserve_luminance: bool = False,
    rows: int | None = None,
) -> Tensor:
    """Gives a photo the look that its small copy was given, strip by strip.

    The affine maps from the small content to the small result (`guided.recolouring`) are enlarged
    and applied to the photo, whose own detail stays (He and Sun 2015, "Fast Guided Filter"). So are
    the regions' strengths, whose borders then follow the edges of the photo and not of its copy.

    Args:
        photo: (3, H, W) in [0, 1], float32, on any device.
        content: (3, h, w), the photo scaled down, on the device to compute on.
        result: (3, h, w), what the content became, before strengths and brightness.
        masks: (R, h, w), the regions.
        strengths: of each region, as for `finish.blended`.
        recolour: whether the result is a recolouring of the content; if not, it is enlarged.
        preserve_luminance: whether to keep the photo's brightness.
        rows: of a strip; None is `strip_rows`. They do not change the result.

    Returns:
        (3, H, W) in [0, 1], float32, on the CPU.
    """
    height, width = photo.shape[-2:]
    maps = recolouring(content, result)[None]
    share_maps = None
    if any(strength != 1 for strength in strengths):
        share_maps = _share_maps(content, shares(masks, strengths))[None]
    if recolour:
        full = torch.empty(photo.shape)
    else:
        full = F.interpolate(result[None].cpu(), (height, width), mode="bicubic")[0].clamp_(0, 1)
    rows = rows or strip_rows(width)
    for top in range(0, height, rows):
        own = photo[:, top : top + rows].to(content.device)
        strip = full[:, top : top + rows].to(content.device)
        if recolour:
            strip = affine_maps_apply(maps, own[None], top, height)[0].clamp_(0, 1)
        if preserve_luminance:
            strip = with_luminance_of(own, strip)
        if share_maps is not None:
            own_shares = affine_maps_apply(share_maps, own[None], top, height)[0, :2].clamp_(0, 1)
            strip = mixed(own, strip, own_shares)
        full[:, top : top + rows] = strip
    return full


def _share_maps(content: Tensor, planes: Tensor) -> Tensor:
    """The affine maps (12, h, w) from the content to two planes (2, h, w), and to 0."""
    maps = local_affine(content, planes, radius=2, eps=1e-4).flatten(0, 1).float()
    return torch.cat([maps, torch.zeros_like(maps[:4])])
