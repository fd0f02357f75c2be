"""Rounding to 8 bits without banding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# The additive recurrence of least discrepancy in the plane (Roberts 2018, "The unreasonable
# effectiveness of quasirandom sequences", R2), in 16 bits, so that it is the same everywhere.
_ACROSS, _DOWN = 49472, 37345
_PERIOD = 65536
# Thresholds keep this distance from whole levels, so that whole levels stay what they are.
_MARGIN = 1 / 64
# Gradients this flat, in levels, are flat areas with rounding errors.
_FLAT = 1e-4


def dithered(values: Tensor, top: int = 0) -> Tensor:
    """Whole levels: ordered dithering where neighbouring pixels differ by less than a level.

    Elsewhere, in areas of one colour and on texture, values are rounded. Whole ones stay anywhere.

    Args:
        values: (channels, h, w), float32, in levels.
        top: the row of the photo that the first is, for thresholds that fit those of other rows.

    Returns:
        The same shape, whole numbers.
    """
    channels, height, width = values.shape
    down = (torch.arange(top, top + height) * _DOWN)[:, None]
    place = torch.arange(width) * _ACROSS + down
    offsets = torch.arange(channels)[:, None, None] * (_PERIOD // 3)
    threshold = ((place + offsets) % _PERIOD).float() / _PERIOD
    threshold = threshold.clamp_(_MARGIN, 1 - _MARGIN)
    spread = _spread(values)
    smooth = (spread > _FLAT) & (spread < 1)
    return (values + torch.where(smooth, threshold, 0.5)).floor_()


def _spread(values: Tensor) -> Tensor:
    """The range of each pixel's 3×3 neighbours."""
    padded = F.pad(values[None], (1, 1, 1, 1), mode="replicate")[0]
    high, low = padded, padded
    for axis in (1, 2):
        size = high.shape[axis] - 2
        highs = [high.narrow(axis, shift, size) for shift in range(3)]
        lows = [low.narrow(axis, shift, size) for shift in range(3)]
        high = torch.maximum(torch.maximum(highs[0], highs[1]), highs[2])
        low = torch.minimum(torch.minimum(lows[0], lows[1]), lows[2])
    return high - low
