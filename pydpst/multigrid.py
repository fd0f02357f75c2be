"""A multigrid for the matting Laplacian that knows what L leaves alone.

L is all but zero on every p that is locally an affine function of the guide's colours whose slopes
vary slowly. A smooth correction, as in plain multigrid, is no such function where the guide has
texture, so it cannot remove that part of the error. Here the coarse unknowns are the affine
functions themselves: four numbers c (for a grey guide two) at each node of a grid, between which
they are interpolated, so that p = c(x)ᵀ (1, I). In the terms of algebraic multigrid, this is
aggregation with (1, I) as the near-null space (Vaněk, Mandel and Brezina 1996). The coarse
operators are made of one small matrix a cell, like finite elements.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.free import FreeOperator, opponent
from pydpst.gather import Sums, take

# Pixels along a side of the finest cell, where windows are small.
_CELL = 6
# Coarsest systems of at most so many unknowns are solved directly.
_LARGEST_DENSE = 512
# Of the power iteration that finds an operator's largest eigenvalue.
_POWER_STEPS = 8


class _Nodes:
    """A grid of square cells, of which some are used, and the corners of those."""

    def __init__(self, cells: Tensor, shape: tuple[int, int]) -> None:
        """`cells` (K, 2): the used ones' rows and columns, of a grid of `shape`."""
        down, across = shape
        self.cells, self.shape = cells, shape
        corner = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], device=cells.device)
        at = cells[:, None] + corner
        flat = at[..., 0] * (across + 1) + at[..., 1]
        used = torch.zeros((down + 1) * (across + 1), dtype=torch.bool, device=cells.device)
        used[flat] = True
        self.count = int(used.sum())
        self.positions = torch.nonzero(used.view(down + 1, across + 1))
        number = used.cumsum(0) - 1
        self.number = number.masked_fill(~used, self.count).view(down + 1, across + 1)
        self.corners = number[flat]
        self.sums = Sums(self.corners.flatten(), self.count)


class _Level:
    """A coarse operator, held as one matrix a cell; vectors are (nodes, modes, C)."""

    def __init__(self, nodes: _Nodes, matrices: Tensor) -> None:
        """`matrices` (K, 4, modes, 4, modes): corners by corners."""
        self.nodes = nodes
        self.modes = matrices.shape[2]
        side = 4 * self.modes
        self._matrices = matrices
        self._flat = matrices.reshape(-1, side, side)
        blocks = torch.stack([matrices[:, i, :, i] for i in range(4)], 1).flatten(0, 1)
        self.blocks = _ridged_inverse(nodes.sums(blocks))

    def __call__(self, c: Tensor) -> Tensor:
        corners = c[self.nodes.corners]
        product = torch.bmm(self._flat, corners.reshape(len(corners), -1, c.shape[-1]))
        return self.nodes.sums(product.view(-1, *c.shape[1:]))

    def precondition(self, r: Tensor) -> Tensor:
        return torch.bmm(self.blocks, r)

    def dense(self) -> Tensor:
        count = self.nodes.count * self.modes
        place = self.nodes.corners[..., None] * self.modes
        place = (place + torch.arange(self.modes, device=place.device)).flatten(1)
        index = place[:, :, None] * count + place[:, None]
        flat = Sums(index.flatten(), count * count)(self._flat.flatten())
        return flat.view(count, count)

    def coarser(self) -> tuple[_Level, _Transfer]:
        """The operator on cells of twice the side (Galerkin), and the way there and back."""
        cells = self.nodes.cells
        down, across = ((side + 1) // 2 for side in self.nodes.shape)
        flat = cells[:, 0] // 2 * across + cells[:, 1] // 2
        used, parent = torch.unique(flat, return_inverse=True)
        nodes = _Nodes(torch.stack([used // across, used % across], 1), (down, across))
        # Which of its parent's quarters a cell is, and where its corners lie there.
        quarter = cells % 2
        corner = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], device=cells.device)
        at = (quarter[:, None] + corner).to(self._matrices.dtype) / 2
        weights = _bilinear(at[..., 0], at[..., 1])
        matrices = torch.einsum("kia,kimjn,kjb->kambn", weights, self._matrices, weights)
        return _Level(nodes, Sums(parent, len(used))(matrices)), _Transfer(self.nodes, nodes)


class _Transfer:
    """Bilinear interpolation between the nodes of two grids, and its transpose."""

    def __init__(self, fine: _Nodes, coarse: _Nodes) -> None:
        at = fine.positions
        parents, weights = [], []
        for dy in (0, 1):
            for dx in (0, 1):
                y, x = at[:, 0] // 2 + dy, at[:, 1] // 2 + dx
                here = (1 - (at[:, 0] / 2 - y).abs()) * (1 - (at[:, 1] / 2 - x).abs())
                inside = (here > 0) & (y <= coarse.shape[0]) & (x <= coarse.shape[1])
                number = coarse.number[
                    y.clamp(max=coarse.shape[0]), x.clamp(max=coarse.shape[1])
                ].masked_fill(~inside, coarse.count)
                parents.append(number)
                weights.append(here.double())
        self._parents = torch.stack(parents, 1)
        self._weights = torch.stack(weights, 1)[..., None, None]
        self._sums = Sums(self._parents.flatten(), coarse.count)

    def up(self, c: Tensor) -> Tensor:
        return (take(c, self._parents) * self._weights).sum(1)

    def down(self, r: Tensor) -> Tensor:
        return self._sums((r[:, None] * self._weights).flatten(0, 1))


def _bilinear(y: Tensor, x: Tensor) -> Tensor:
    """The weights of a cell's corners (..., 4) at y and x, in cells from its first corner."""
    return torch.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x], -1)


def _ridged_inverse(matrices: Tensor) -> Tensor:
    """Inverses of semi-definite matrices (K, m, m), steadied where they have none."""
    scale = matrices.diagonal(dim1=-2, dim2=-1).clamp(min=1e-30).sqrt()
    outer = scale[:, :, None] * scale[:, None]
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    inverses: Tensor = torch.linalg.inv(matrices / outer + 1e-8 * identity)
    return inverses / outer


def _at(plane: Tensor, outside: int, rows: Tensor, columns: Tensor) -> Tensor:
    """A plane's values at each cell's rows (K, h) and columns (K, w), as (K, h·w)."""
    height, width = plane.shape
    y, x = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    values = plane.flatten()[y[:, :, None] * width + x[:, None]]
    inside = (y == rows)[:, :, None] & (x == columns)[:, None]
    return values.masked_fill(~inside, outside).flatten(1)


def _along_rows_and_columns(weights: Tensor, x: Tensor) -> Tensor:
    """The weights (m, n), applied to both n of x (..., n, n, K): (..., m, m, K)."""
    *batch, side, _, count = x.shape
    rows = (weights @ x.reshape(*batch, side, side * count)).view(*batch, -1, side, count)
    return weights @ rows


class _Affine:
    """From the nodes' affine functions to pixels: p = w c(x)ᵀ (1, I), and its transpose.

    w = diag L / (diag L + D) keeps corrections off the pixels that D holds. Between the nodes c is
    bilinear, with a flat strip around each node as wide as a window: then a window meets the nodes
    of one cell only, that of its centre, and L for these functions is a sum over cells.
    """

    def __init__(self, operator: FreeOperator, guide: Tensor) -> None:
        self._operator = operator
        radius = operator.radius
        cell = self._cell = max(_CELL, 4 * radius)
        near = F.pad(operator.windows[None].float(), [radius] * 4)
        near = near.maximum((operator.slots < operator.count)[None])
        used = F.max_pool2d(near, cell, ceil_mode=True)[0] > 0
        self.nodes = _Nodes(torch.nonzero(used), (used.shape[0], used.shape[1]))
        steps = torch.arange(-radius, cell + radius, device=guide.device)
        ramp = ((steps - radius + 1).double() / (cell - 2 * radius + 1)).clamp(0, 1)
        self._line = torch.stack([1 - ramp, ramp])
        line = self._line[:, radius:-radius]
        self._weights = (line[:, None, :, None] * line[:, None]).reshape(4, -1)
        rows, columns = (self.nodes.cells[:, i, None] * cell + steps for i in (0, 1))
        # Of each cell's pixels and the ring around them: which free pixel it is, its colour, and
        # the values of (1, I) there.
        self._slots = _at(operator.slots, operator.count, rows, columns)
        height, width = operator.slots.shape
        index = torch.arange(height * width, device=guide.device).view(height, width)
        colours = opponent(guide[None])[0].flatten(1)
        colours = colours - colours.mean(1, keepdim=True)
        self._colours = colours[:, _at(index, 0, rows, columns)]
        keep = take(1 - operator.added / operator.diagonal, self._slots)
        self._modes = torch.cat([keep[None], keep * self._colours])
        self._rows, self._columns = rows, columns
        self.modes = len(self._modes)

        self._own_slots = self._inner(self._slots)
        self._own_modes = self._inner(self._modes)
        place = self._own_slots.new_zeros(operator.count + 1)
        place[self._own_slots.flatten()] = torch.arange(
            self._own_slots.numel(), device=place.device
        )
        self._place = place[:-1]

    def _inner(self, patches: Tensor) -> Tensor:
        """The pixels of a cell without the ring: (..., S²) to (..., cell²)."""
        radius = self._operator.radius
        side = self._cell + 2 * radius
        grid = torch.unflatten(patches, -1, (side, side))
        return grid[..., radius:-radius, radius:-radius].flatten(-2).contiguous()

    def up(self, c: Tensor) -> Tensor:
        """(nodes, modes, C) to (N, C)."""
        corners = c[self.nodes.corners].permute(2, 3, 0, 1)
        values = corners.contiguous() @ self._weights  # modes, C, cells, pixels
        total = values[0] * self._own_modes[0]
        for value, mode in zip(values[1:], self._own_modes[1:], strict=True):
            total.addcmul_(value, mode)
        return total.flatten(1)[:, self._place].T

    def down(self, r: Tensor) -> Tensor:
        """(N, C) to (nodes, modes, C)."""
        values = take(r, self._own_slots).movedim(2, 0)
        corners = (self._own_modes[:, None] * values) @ self._weights.T
        return self.nodes.sums(corners.permute(2, 3, 0, 1).flatten(0, 1))

    def level(self, whitening: Tensor) -> _Level:
        """L + D for affine functions (the Galerkin product): for each cell, over its windows."""
        radius, cell = self._operator.radius, self._cell
        side, rim = 2 * radius + 1, cell + 2 * radius
        height, width = whitening.shape[-2:]
        index = torch.arange(height * width, device=whitening.device).view(height, width)
        own_rows, own_columns = (x[:, :cell] for x in (self._rows, self._columns))
        windows = _at(index, height * width, own_rows, own_columns)
        valid = (windows < height * width).double()
        windows = windows.clamp(max=height * width - 1)
        added = take(self._operator.added, self._own_slots).view(-1, cell, cell)
        added = F.pad(added, [radius] * 4).flatten(1)
        # The windows' means, and their means weighted with a corner's share, along one axis.
        reach = torch.arange(rim, device=whitening.device)
        reach = reach - torch.arange(cell, device=whitening.device)[:, None]
        member = ((reach >= 0) & (reach < side)).double()
        mean = member / side
        shared = (mean * self._line[:, None]).flatten(0, 1)
        shares = (self._line[:, None, :, None] * self._line[:, None]).reshape(4, -1)
        both = torch.kron(member, member)
        size = 4 * self.modes
        matrices = []
        # So many cells at once that what is made of them stays in a core's cache.
        chunk = max(1, (4096 if whitening.device.type == "cpu" else 2**18) // rim**2)
        for begin in range(0, len(valid), chunk):
            part = slice(begin, begin + chunk)
            # Cells come last, where loops are long; before them rows and columns.
            modes, colours = (
                x[:, part].mT.contiguous().view(len(x), rim, rim, -1)
                for x in (self._modes, self._colours)
            )
            count = colours.shape[-1]
            features = torch.cat([modes[:, None], modes[:, None] * colours], 1)
            means = _along_rows_and_columns(shared, features)
            # modes, features, corner row, row, corner column, column, cells
            means = means.view(self.modes, -1, 2, cell, 2, cell, count)
            colour_mean = _along_rows_and_columns(mean, colours)[:, None, :, None]
            cross = torch.addcmul(means[:, 1:], means[:, :1], colour_mean, value=-1)
            factors = whitening.flatten(1)[:, windows[part].T]
            factors = factors.view(-1, 1, cell, 1, cell, count)
            fits = [means[:, 0]]
            for row in range(len(colours)):
                first = row * (row + 1) // 2
                fit = cross[:, 0] * factors[first]
                for h in range(1, row + 1):
                    fit.addcmul_(cross[:, h], factors[first + h])
                fits.append(fit)
            explained = torch.stack(fits) * (side * valid[part].T.view(cell, 1, cell, count))
            # fits, modes, corner row, row, corner column, column, cells
            explained = explained.permute(6, 2, 4, 1, 0, 3, 5).reshape(count, size, -1)
            basis = shares[:, None] * self._modes[:, part].movedim(1, 0)[:, None]
            basis = basis.flatten(1, 2)
            held = valid[part] @ both + added[part]
            total = torch.bmm(basis * held[:, None], basis.mT)
            matrices.append(total - torch.bmm(explained, explained.mT))
        return _Level(self.nodes, torch.cat(matrices).view(-1, 4, self.modes, 4, self.modes))


class _Smoother:
    """One step of Richardson iteration, scaled: best for the upper part of the spectrum."""

    def __init__(
        self,
        operator: Callable[[Tensor], Tensor],
        scale: Callable[[Tensor], Tensor],
        like: Tensor,
    ) -> None:
        """`scale` is the inverse of the operator's diagonal or diagonal blocks."""
        self._operator, self._scale = operator, scale
        vector = torch.rand(like.shape, generator=torch.Generator().manual_seed(0))
        vector = vector.to(like)
        for _ in range(_POWER_STEPS):
            vector = scale(operator(vector / vector.norm()))
        largest = 1.1 * float(vector.norm())
        # The eigenvalues between the largest and a fourth of it are damped alike.
        self._step = 1.6 / largest

    def __call__(self, b: Tensor, x: Tensor | None = None) -> Tensor:
        """A better x; None is zero."""
        if x is None:
            return self._step * self._scale(b)
        return torch.add(x, self._scale(b - self._operator(x)), alpha=self._step)


class Multigrid:
    """One symmetric V-cycle for L + D on free pixels."""

    def __init__(self, operator: FreeOperator, guide: Tensor, whitening: Tensor) -> None:
        """Takes guide (G, H, W) and whitening (planes, H - 2·radius, W - 2·radius), float64."""
        self._operator = operator
        inverse = 1 / operator.diagonal[:, None]
        self._smoother = _Smoother(operator, lambda r: inverse * r, inverse)
        self.affine = _Affine(operator, guide)
        level = self.affine.level(whitening)
        self._levels = []
        while level.nodes.count * level.modes > _LARGEST_DENSE and max(level.nodes.shape) > 1:
            like = level.blocks[..., :1]
            smoother = _Smoother(level, level.precondition, like)
            coarser, transfer = level.coarser()
            self._levels.append((level, smoother, transfer))
            level = coarser
        self._inverse = _ridged_inverse(level.dense()[None])[0]

    def __call__(self, r: Tensor) -> Tensor:
        """An approximate solution of (L + D) x = r, for r (N, C)."""
        x = self._smoother(r)
        x = x + self.affine.up(self._coarse(self.affine.down(r - self._operator(x)), 0))
        return self._smoother(r, x)

    def _coarse(self, r: Tensor, depth: int) -> Tensor:
        if depth == len(self._levels):
            return (self._inverse @ r.flatten(0, 1)).view(r.shape)
        operator, smoother, transfer = self._levels[depth]
        c = smoother(r)
        c = c + transfer.up(self._coarse(transfer.down(r - operator(c)), depth + 1))
        return smoother(r, c)
