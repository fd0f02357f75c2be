"""L + D restricted to the pixels that are free."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst import ops
from pydpst.gather import Sums, take

# Windows along a side of a tile.
_TILE = 32
# Beyond this share of the image in tiles, the whole image is one.
_WORTH_TILING = 0.6


def _window_hits(mask: Tensor, radius: int) -> Tensor:
    """Which windows hold a pixel of a mask: (H, W) to (H - 2·radius, W - 2·radius)."""
    side = 2 * radius + 1
    hits = F.max_pool2d(mask[None].float(), (side, 1), 1)
    return F.max_pool2d(hits, (1, side), 1)[0] > 0


def opponent(guide: Tensor) -> Tensor:
    """The colours of csrc/window.h, of (B, G, H, W)."""
    if guide.shape[1] == 1:
        return guide
    red, green, blue = guide.unbind(1)
    return torch.stack([green, red - green, blue - green], 1)


class FreeOperator:
    """L + D on the free pixels of one image, whose other pixels are held at zero.

    Only the tiles that hold a window with a free pixel are kept. The windows are shared out among
    the tiles, so the sum of the tiles' products is L's, exactly.
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
        self.windows = _window_hits(free, radius)
        self._tiles = []
        places = []
        local_diagonals = []
        for pixels, windows in self._groups(width):
            image = guide.flatten(1)[:, pixels].transpose(0, 1).contiguous()
            factors = whitening.flatten(1)[:, windows].transpose(0, 1).contiguous()
            slots = self.slots.flatten()[pixels]
            self._tiles.append((image, factors, slots))
            places.append(slots.flatten())
            local_diagonals.append(ops.matting_diagonal(image, factors, radius).flatten())
        self._sums = Sums(torch.cat(places), self.count)
        self.added = diagonal[free].double()
        self.diagonal = self._sums(torch.cat(local_diagonals)[:, None])[:, 0] + self.added

    def _groups(self, width: int) -> list[tuple[Tensor, Tensor]]:
        """Tiles of equal shape: the indices of their pixels and of their windows in the image."""
        tile = max(_TILE, 8 * self.radius)
        rows, columns = self.windows.shape
        needed = F.max_pool2d(self.windows[None].float(), tile, ceil_mode=True)[0] > 0
        if needed.float().mean() > _WORTH_TILING:
            tile, needed = max(rows, columns), needed.any()[None, None]
        groups = []
        down, across = rows // tile, columns // tile
        device = self.windows.device
        for vertical, tall in [(slice(0, down), tile), (slice(down, None), rows - down * tile)]:
            for horizontal, wide in [
                (slice(0, across), tile),
                (slice(across, None), columns - across * tile),
            ]:
                y, x = torch.nonzero(needed[vertical, horizontal]).T
                if len(y) == 0 or tall == 0 or wide == 0:
                    continue
                top = (y + (vertical.start or 0)) * tile
                left = (x + (horizontal.start or 0)) * tile
                indices = []
                for margin, stride in [(2 * self.radius, width), (0, columns)]:
                    across_tile = torch.arange(wide + margin, device=device)
                    down_tile = torch.arange(tall + margin, device=device) * stride
                    first = top * stride + left
                    indices.append(first[:, None, None] + down_tile[:, None] + across_tile)
                groups.append((indices[0], indices[1]))
        return groups

    def __call__(self, x: Tensor) -> Tensor:
        """(L + D) x for x (N, C)."""
        parts = []
        for image, factors, slots in self._tiles:
            signal = take(x, slots).movedim(-1, 1)
            product = ops.matting_matvec(image, factors, signal, self.radius)
            parts.append(product.movedim(1, -1).reshape(-1, x.shape[1]))
        return self._sums(torch.cat(parts)) + self.added[:, None] * x
