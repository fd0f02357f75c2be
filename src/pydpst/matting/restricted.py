"""L + D restricted to the pixels that are free."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst import ops

# Rows and columns of a tile, at least. Long rows make long vectors.
_TILE = 16, 64


def _tiles(free: Tensor, radius: int) -> Tensor:
    """A grid's tiles, cut down to what is free in them, as `ops.matting_free_matvec` takes them."""
    height, width = free.shape
    tall, wide = (max(side, 8 * radius) for side in _TILE)
    grid = F.pad(free, [0, -width % wide, 0, -height % tall])
    grid = grid.view(-(-height // tall), tall, -(-width // wide), wide)
    used = torch.nonzero(grid.any(3).any(1))
    sides = []
    for axis, lines in enumerate([grid.any(3).transpose(1, 2), grid.any(1)]):
        lines = lines[used[:, 0], used[:, 1]].byte()
        side = lines.shape[1]
        first, after = lines.argmax(1), side - lines.flip(1).argmax(1)
        sides += [used[:, axis] * side + first, used[:, axis] * side + after]
    return torch.stack(sides, 1)


class FreeOperator:
    """L + D on the free pixels of one image, whose other pixels are held at zero.

    Only windows near a free pixel cost anything.
    """

    def __init__(
        self, guide: Tensor, whitening: Tensor, radius: int, diagonal: Tensor, free: Tensor
    ) -> None:
        """Takes guide (G, H, W), whitening as for it, diagonal and free (H, W)."""
        self.guide, self.whitening, self.radius = guide[None], whitening[None], radius
        self.count = int(free.sum())
        self.slots = torch.full(free.shape, self.count, device=free.device)
        self.slots[free] = torch.arange(self.count, device=free.device)
        self._tiles = _tiles(free, radius)
        self.added = diagonal[free].to(guide.dtype)
        own = ops.matting_diagonal(self.guide, self.whitening, radius)[0, 0]
        self.diagonal = own[free] + self.added

    def __call__(self, x: Tensor) -> Tensor:
        """(L + D) x for x (C, N)."""
        product = ops.matting_free_matvec(
            self.guide, self.whitening, self.slots, self._tiles, x, self.radius
        )
        return product.addcmul_(self.added, x)
