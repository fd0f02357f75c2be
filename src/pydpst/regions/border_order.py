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
    content: Tensor, result: Tensor, masks: Tensor, style: Tensor, style_masks: Tensor
) -> bool:
    """Whether of two regions the brighter became the darker, where they meet.

    At night lit façades stand before a dark sky; so it does not count where the style's own regions
    clearly have that order.

    Args:
        content: (3, H, W) in [0, 1].
        result: (3, H, W), what it became.
        masks: (R, H, W), where the regions are.
        style: (3, H', W') in [0, 1].
        style_masks: (R, H', W').
    """
    before, after, theirs = (resize(x, _SIZE) for x in (content, result, style))
    hard, style_hard = _hard(masks, before), _hard(style_masks, theirs)
    for first in range(len(masks)):
        for second in range(first):
            step = across(before, hard[first], hard[second]).mean(0)
            clear = step.abs() > LEAST_STEP
            changed = across(after, hard[first], hard[second]).mean(0)[clear] * step[clear].sign()
            swapped = median(changed)
            if swapped is None or swapped > -_SWAPPED:
                continue
            own = median(across(theirs, style_hard[first], style_hard[second]).mean(0))
            order = median(step[clear])
            if own is None or order is None or (own if order < 0 else -own) < LEAST_STEP:
                return True
    return False


def _hard(masks: Tensor, photo: Tensor) -> Tensor:
    small = F.interpolate(masks[None], photo.shape[-2:], mode="area")[0]
    rest = (1 - small.sum(0, keepdim=True)).clamp_min(0)
    labels = torch.cat([small, rest]).argmax(0)
    return F.one_hot(labels, len(masks) + 1).permute(2, 0, 1)[: len(masks)].to(photo)
