"""Whether regions were given looks that do not go together: what was bright is dark beside them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.photos.resizing import resize
from pydpst.regions.pairing import LEAST_STEP, across, median

# Borders are looked at in copies of this longer side.
_SIZE = 160
# What was brighter by a step than its neighbour must not become darker by this, in the median.
_SWAPPED = 0.04


def swaps_brightness(
    content: Tensor, result: Tensor, masks: Tensor, style: tuple[Tensor, Tensor] | None = None
) -> bool:
    """Whether of two regions the brighter became the darker, where they meet.

    Args:
        content: (3, H, W) in [0, 1].
        result: (3, H, W), what it became.
        masks: (R, H, W), where the regions are.
        style: (3, H', W') in [0, 1], and where its regions are, (R, H', W'). Where these clearly
            have that order it does not count: at night lit façades stand before a dark sky.
    """
    before, after = (resize(x, _SIZE) for x in (content, result))
    hard = _hard(masks, before)
    for first in range(len(masks)):
        for second in range(first):
            step = across(before, hard[first], hard[second]).mean(0)
            clear = step.abs() > LEAST_STEP
            changed = across(after, hard[first], hard[second]).mean(0)[clear] * step[clear].sign()
            swapped = median(changed)
            if swapped is None or swapped > -_SWAPPED:
                continue
            order = median(step[clear])
            own = None if style is None else _step(*style, first, second)
            if own is None or order is None or (own if order < 0 else -own) < LEAST_STEP:
                return True
    return False


def _step(photo: Tensor, masks: Tensor, first: int, second: int) -> float | None:
    """How much brighter one region is than another where they meet, in the median."""
    small = resize(photo, _SIZE)
    hard = _hard(masks, small)
    return median(across(small, hard[first], hard[second]).mean(0))


def _hard(masks: Tensor, photo: Tensor) -> Tensor:
    small = F.interpolate(masks[None], photo.shape[-2:], mode="area")[0]
    rest = (1 - small.sum(0, keepdim=True)).clamp_min(0)
    labels = torch.cat([small, rest]).argmax(0)
    return F.one_hot(labels, len(masks) + 1).permute(2, 0, 1)[: len(masks)].to(photo)
