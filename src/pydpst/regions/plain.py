"""Objects before a plain background: a studio shot, a thing on white."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# A cell's colour is the background's if no channel differs from it by more.
_SAME = 0.08
# The least share of the cells along the photo's border that are background.
_BORDER = 0.85
# The shares of the photo that a background may have.
_LEAST, _MOST = 0.25, 0.93


def plain_background(colors: Tensor) -> Tensor | None:
    """Where a plain background is, if there is one.

    Args:
        colors: (3, h, w) in [0, 1], the mean colours of a photo's cells.

    Returns:
        The probability of background, (h, w), or None if the photo has none: its border is of
        more than one colour, or the background nearly nothing or nearly all.
    """
    ring = torch.ones(colors.shape[1:], dtype=torch.bool)
    ring[1:-1, 1:-1] = False
    background = colors[:, ring].median(1).values
    distance = (colors - background[:, None, None]).abs().amax(0)
    same = distance < _SAME
    if same[ring].float().mean() < _BORDER or not _LEAST <= same.float().mean() <= _MOST:
        return None
    # What is of its colour within the object is the object.
    reached = same & ring
    for _ in range(sum(colors.shape[1:])):
        grown = F.max_pool2d(reached[None].float(), 3, 1, 1)[0].bool() & same
        if torch.equal(grown, reached):
            break
        reached = grown
    return torch.where(reached, torch.sigmoid((_SAME - distance) / 0.02), 0.02)
