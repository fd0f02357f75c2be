"""The bundled network that reads looks, asked about two photos."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.losses.bundled import trained
from pydpst.photos.resizing import size_of_area
from pydpst.reading.network import CELL, LookReader, Reading
from pydpst.reading.second_look import look_twice

# Photos are seen at about the area of a square of this side, and no side longer than that.
SEEN_SIDE, _LONGEST = 208, 512


@torch.no_grad()
def read_looks(
    content: Tensor,
    style: Tensor,
    masks: Tensor | None = None,
    style_masks: Tensor | None = None,
    network: LookReader | None = None,
) -> Tensor:
    """The maps that give a photo, or regions of it, the look of another.

    Args:
        content: (3, H, W) in [0, 1].
        style: (3, H', W'), likewise.
        masks: (R, H, W), in [0, 1], the content's regions; None is the whole photo.
        style_masks: (R, H', W'), what each takes the look of.
        network: None is the bundled one.

    Returns:
        (R, 8, 12), float32, on the content's device, as `ops.grade_apply` takes them.
    """
    network = (network or reader()).to(content.device)
    small, shares = _small(content, masks)
    small_style, style_shares = _small(style, style_masks)
    regions = len(shares)
    of_content, of_style = (_repeated(network.read(x), regions) for x in (small, small_style))
    photos = small.expand(regions, -1, -1, -1)
    return look_twice(network, photos, of_content, of_style, shares, style_shares)


def _small(photo: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
    """A photo as the network sees it, (1, 3, h, w), and the regions' shares of cells, (R, N)."""
    planes = torch.ones_like(photo[:1]) if masks is None else masks
    both = torch.cat([photo, planes.to(photo)]).float()[None]
    # Sides are of whole cells, in pairs (see `LookReader.compare`).
    height, width = photo.shape[-2:]
    size = size_of_area(height, width, SEEN_SIDE**2, _LONGEST)
    small = F.interpolate(both, size, mode="area")[0]
    shares = F.avg_pool2d(small[3:], CELL).flatten(1)
    return small[None, :3].clamp(0, 1), shares


def _repeated(reading: Reading, count: int) -> Reading:
    tokens, cells = (x.expand(count, -1, -1) for x in (reading.tokens, reading.cells))
    return Reading(tokens, cells, reading.grid)


@lru_cache
def reader() -> LookReader:
    """The trained network, read once a process."""
    return trained(LookReader(), "reader")
