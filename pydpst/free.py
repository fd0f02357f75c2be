"""L + D restricted to the pixels that are free."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst import ops

# Pixels along a side of a tile.
_TILE = 32


class FreeOperator:
    """L + D on the free pixels of one image, whose other pixels are held at zero.

    Only the tiles that hold a free pixel are kept, with all windows that reach into them.
    """

    def __init__(
        self, guide: Tensor, whitening: Tensor, radius: int, diagonal: Tensor, free: Tensor
    ) -> None:
        """Takes guide (G, H, W), whitening as for it, diagonal and free (H, W)."""
        height, width = free.shape
        self.radius = radius
        self.count = int(free.sum())
        self.slots = torch.full((height * width,), self.count, device=free.device)
        self.slots[free.flatten()] = torch.arange(self.count, device=free.device)
        self.slots = self.slots.view(height, width)

        side = max(_TILE, 8 * radius)
        needed = F.max_pool2d(free[None].float(), side, ceil_mode=True)[0] > 0
        begin = torch.nonzero(needed) * side
        size = torch.tensor([height, width], device=free.device)
        end = (begin + side).minimum(size)
        # All parts have one shape, so those at the borders reach further inwards.
        part = size.clamp(max=side + 4 * radius)
        first = (begin - 2 * radius).clamp(min=0).minimum(size - part)
        rows, columns = (
            first[:, i, None] + torch.arange(int(part[i]), device=free.device) for i in (0, 1)
        )
        pixels = rows[:, :, None] * width + columns[:, None]
        reach = 2 * radius
        windows = rows[:, :-reach, None] * (width - reach) + columns[:, None, :-reach]
        self._image = guide.flatten(1)[:, pixels].transpose(0, 1).contiguous()
        self._whitening = whitening.flatten(1)[:, windows].transpose(0, 1).contiguous()
        self._slots = self.slots.flatten()[pixels]
        self._tiles = torch.stack([begin - first, end - first], 2).flatten(1)

        own = ((rows >= begin[:, :1]) & (rows < end[:, :1]))[:, :, None]
        own = own & ((columns >= begin[:, 1:]) & (columns < end[:, 1:]))[:, None]
        own &= self._slots < self.count
        self.added = diagonal[free].double()
        self.diagonal = torch.empty_like(self.added)
        self.diagonal[self._slots[own]] = ops.matting_diagonal(
            self._image, self._whitening, radius
        )[:, 0][own]
        self.diagonal += self.added

    def __call__(self, x: Tensor) -> Tensor:
        """(L + D) x for x (C, N)."""
        product = ops.matting_tiles_matvec(
            self._image, self._whitening, self._slots, self._tiles, x, self.radius
        )
        return product.addcmul_(self.added, x)
