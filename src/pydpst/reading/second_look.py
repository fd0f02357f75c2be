"""A second look at what the network that reads looks made of a photo, and one grade of both."""

from __future__ import annotations

import torch
from torch import Tensor

from pydpst.ops import knot_weights
from pydpst.reading.cells import KNOTS, mean_knot_colors
from pydpst.reading.network import LookReader, Reading


def look_again(
    network: LookReader,
    maps: Tensor,
    graded: Tensor,
    content: Reading,
    style: Reading,
    shares: Tensor,
    style_shares: Tensor,
) -> Tensor:
    """The maps that the network gives, with those that it adds when it sees what they make.

    Args:
        network: what gave the maps.
        maps: (B, 8, 12), of a first look.
        graded: (B, 3, H, W), the contents with these maps, in any range.
        content: of the contents as they were.
        style: of the styles.
        shares: (B, N), how much of each cell is in the region.
        style_shares: (B, M).

    Returns:
        (B, 8, 12), those of one grade.
    """
    seen = network.read(graded.clamp(0, 1))
    more = network.compare(seen, style, shares, style_shares)
    with torch.autocast(maps.device.type, enabled=False):
        return composed(more, maps, mean_knot_colors(content.cells, shares))


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
