"""A second look at what the network that reads looks made of a photo, and one grade of both."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pydpst.ops import grade_apply, knot_weights
from pydpst.reading.cells import KNOTS, mean_knot_colors
from pydpst.reading.network import LookReader, Reading

# Where a photo is matched, what a second look adds goes this much further: each look goes only a
# part of the way.
_FURTHER = 1.125


def look_twice(
    network: LookReader,
    photos: Tensor,
    content: Reading,
    style: Reading,
    shares: Tensor,
    style_shares: Tensor,
    further: float = _FURTHER,
    apply: Callable[[Tensor, Tensor, Tensor], Tensor] = grade_apply,
) -> Tensor:
    """The maps that the network gives, with those that it adds when it sees what they make.

    Args:
        network: what looks.
        photos: (B, 3, H, W) in [0, 1], the contents as it saw them.
        content: what it saw in them.
        style: what it saw in the styles.
        shares: (B, N), how much of each cell is in the region.
        style_shares: (B, M).
        further: how far what the second look adds goes, over what it says.
        apply: the operator that renders a grade, or its reference.

    Returns:
        (B, 8, 12), those of one grade.
    """
    maps = network.compare(content, style, shares, style_shares)
    seen = network.read(rendered(maps, photos, apply).clamp(0, 1))
    more = network.compare(seen, style, shares, style_shares)
    identity = torch.eye(3, 4, dtype=more.dtype, device=more.device).flatten()
    return composed(
        identity + further * (more - identity), maps, mean_knot_colors(content.cells, shares)
    )


def rendered(
    maps: Tensor,
    photos: Tensor,
    apply: Callable[[Tensor, Tensor, Tensor], Tensor] = grade_apply,
) -> Tensor:
    """The photos (B, 3, H, W), each with the maps (B, K, 12) of one region that is all of it."""
    return apply(maps[:, None].contiguous(), torch.ones_like(photos[:, :1]), photos.contiguous())


def composed(second: Tensor, first: Tensor, colors: Tensor) -> Tensor:
    """One grade that does what two do, one after the other.

    Deviation from doing them both: each knot's colours are taken to have the luminance that their
    mean gets.

    Args:
        second: (B, K, 12), maps along the luminance of what the first gives.
        first: (B, K, 12).
        colors: (B, K, 3), mean colours of the knots.
    """
    after, before = (x.view(*x.shape[:2], 3, 4) for x in (second, first))
    slopes, shifts = before[..., :3], before[..., 3:]
    luminance = (slopes @ colors[..., None] + shifts).mean((2, 3))
    weights = knot_weights(luminance, KNOTS)
    met = torch.einsum("bjk,bjxy->bkxy", weights, after)
    linear = met[..., :3] @ slopes
    constant = met[..., :3] @ shifts + met[..., 3:]
    return torch.cat([linear, constant], 3).flatten(2)
