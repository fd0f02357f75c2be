"""A multigrid for the matting Laplacian that knows what L leaves alone.

L is all but zero on every p that is locally an affine function of the guide's colours whose slopes
vary slowly. A smooth correction, as in plain multigrid, is no such function where the guide has
texture, so it cannot remove that part of the error. Here the coarse unknowns are the affine
functions themselves: four numbers c (for a grey guide two) at each node of a grid, between which
they are interpolated, so that p = c(x)ᵀ (1, I). In the terms of algebraic multigrid, this is
aggregation with (1, I) as the near-null space (Vaněk, Mandel and Brezina 1996).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pydpst import ops
from pydpst.matting.restricted import FreeOperator

# Pixels along a side of the finest cell, where windows are small.
_CELL = 6
# Coarsest systems of at most so many unknowns are solved directly.
_LARGEST_DENSE = 512
# Of the power iteration for the finest operator's largest eigenvalue. It finds somewhat less than
# that; a step is safe while it is under 2 over the eigenvalue.
_POWER_STEPS = 8
_SAFE_STEP = 1.45

_Linear = Callable[[Tensor], Tensor]


class _Matrix:
    """A sparse matrix of blocks (N, K, a, b), as many in each row; maps (C, M, b) to (C, N, a)."""

    def __init__(self, blocks: Tensor, columns: Tensor) -> None:
        self.blocks, self.columns = blocks.contiguous(), columns.contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        return ops.ellpack_matvec(self.blocks, self.columns, x)


def _opponent(guide: Tensor) -> Tensor:
    """The colours of csrc/window.h, of (G, N)."""
    if len(guide) == 1:
        return guide
    red, green, blue = guide
    return torch.stack([green, red - green, blue - green])


def _ridged_inverse(matrices: Tensor) -> Tensor:
    """Inverses of semi-definite matrices (K, m, m), steadied where they have none."""
    scale = matrices.diagonal(dim1=-2, dim2=-1).clamp(min=1e-30).sqrt()
    outer = scale[:, :, None] * scale[:, None]
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    inverses: Tensor = torch.linalg.inv(matrices / outer + 1e-8 * identity)
    return inverses / outer


def _look_up(plane: Tensor, outside: int, rows: Tensor, columns: Tensor) -> Tensor:
    """A plane's values at rows and columns, of which some lie outside."""
    height, width = plane.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    return plane.flatten()[index].masked_fill(~inside, outside)


class _Transfer:
    """Interpolation from the nodes of a grid of cells to places on a finer grid, both ways.

    Between nodes it is bilinear, with weights that are given: `line` (2, cell) has those of the
    node before and the node after, for each step along a cell.
    """

    def __init__(self, number: Tensor, values: Tensor, line: Tensor) -> None:
        """`number` (H, W): which of the values (N, a, m) a place has, N for none, in order."""
        # In single precision, for speed: the coarse operators are made of what is in use.
        values, line = values.float(), line.float()
        cell = line.shape[1]
        count = len(values)
        at = torch.nonzero(number < count)
        first, step = at // cell, at % cell
        corner = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]], device=at.device)
        rows, columns = (first[:, i, None] + corner[i] for i in (0, 1))
        weights = line[corner[0], step[:, 0, None]] * line[corner[1], step[:, 1, None]]
        used = torch.zeros(
            [(side + cell - 1) // cell + 1 for side in number.shape],
            dtype=torch.bool,
            device=at.device,
        )
        used[rows[weights > 0], columns[weights > 0]] = True
        self.positions = torch.nonzero(used)
        self.count = len(self.positions)
        self.modes = values.shape[-1]
        order = used.flatten().cumsum(0).view_as(used) - 1
        self.number = order.masked_fill(~used, self.count)
        self.up = _Matrix(weights[:, :, None, None] * values[:, None], self.number[rows, columns])
        reach = torch.arange(1 - cell, cell, device=at.device)
        along = torch.cat([line[1, 1:], line[0]])
        reach, along = reach[along > 0], along[along > 0]
        rows, columns = (self.positions[:, i, None] * cell + reach for i in (0, 1))
        places = _look_up(number, count, rows[:, :, None], columns[:, None]).flatten(1)
        weights = (along[:, None] * along).flatten()
        none = values.new_zeros(1, *values.shape[1:])
        self.down = _Matrix(weights[:, None, None] * torch.cat([values, none]).mT[places], places)

    def galerkin(self, operator: _Linear) -> _Matrix:
        """down(operator(up(·))), where each node meets only the eight around it.

        Then nodes three apart do not meet, and one product gives a column of each.
        """
        units = torch.eye(self.modes, dtype=torch.float64, device=self.positions.device)
        blocks, columns = [], []
        colour_pairs = torch.cartesian_prod(*[torch.arange(3)] * 2).to(units.device)
        for colours in torch.split(colour_pairs, 3):
            away = (colours[:, None] - self.positions + 1) % 3 - 1  # to the nodes of a colour
            chosen = (away == 0).all(2).double()
            start = (chosen[:, None, :, None] * units[:, None]).flatten(0, 1)
            products = self.down(operator(self.up(start)))
            blocks.append(products.view(3, self.modes, self.count, -1).permute(2, 0, 3, 1))
            rows, others = (self.positions + away).unbind(2)
            columns.append(_look_up(self.number, self.count, rows, others).T)
        return _Matrix(torch.cat(blocks, 1), torch.cat(columns, 1))


def _affine_functions(operator: FreeOperator, guide: Tensor) -> _Transfer:
    """From the nodes' affine functions to pixels: p = w c(x)ᵀ (1, I), and its transpose.

    w = diag L / (diag L + D) keeps corrections off the pixels that D holds. Between the nodes c is
    bilinear, with a flat strip around each node as wide as a window: then a window meets the nodes
    of one cell only, that of its centre.
    """
    radius = operator.radius
    cell = max(_CELL, 4 * radius)
    ramp = torch.arange(cell, device=guide.device, dtype=guide.dtype) - radius + 1
    ramp = (ramp / (cell - 2 * radius + 1)).clamp(0, 1)
    colours = _opponent(guide[:, operator.slots < operator.count])
    modes = torch.cat([torch.ones_like(colours[:1]), colours - colours.mean(1, keepdim=True)])
    modes = modes * (1 - operator.added / operator.diagonal)
    return _Transfer(operator.slots, modes.T[:, None], torch.stack([1 - ramp, ramp]))


def _largest_eigenvalue(operator: _Linear, inverse: Tensor) -> float:
    """Of an operator scaled with the inverse of its diagonal (N), by power iteration."""
    inverse = inverse[:, None]
    vector = torch.rand(1, *inverse.shape, generator=torch.Generator().manual_seed(0))
    vector = vector.to(inverse)
    for _ in range(_POWER_STEPS):
        vector = inverse * operator(vector / vector.norm())
    return float(vector.norm())


class Multigrid:
    """One symmetric V-cycle for L + D on free pixels."""

    def __init__(self, operator: FreeOperator, guide: Tensor) -> None:
        """Takes guide (G, H, W), float64."""
        self.levels: list[tuple[_Linear, _Matrix, _Transfer]] = []

        def level(x: Tensor) -> Tensor:
            return operator(x[..., 0])[..., None]

        inverse = 1 / operator.diagonal
        step = inverse[:, None, None] * (_SAFE_STEP / _largest_eigenvalue(level, inverse))
        transfer = _affine_functions(operator, guide)
        while True:
            rows = torch.arange(len(step), device=step.device)[:, None]
            self.levels.append((level, _Matrix(step[:, None], rows), transfer))
            level = matrix = transfer.galerkin(level)
            count, modes = transfer.count, transfer.modes
            if count * modes <= _LARGEST_DENSE:
                break
            own = matrix.columns == torch.arange(count, device=step.device)[:, None]
            # A sum over cells of four nodes each has no eigenvalue above 4, so scaled.
            step = 1.9 / 4 * _ridged_inverse(matrix.blocks[own])
            unit = torch.eye(modes, dtype=step.dtype, device=step.device)
            line = torch.tensor([[1, 0.5], [0, 0.5]], dtype=step.dtype, device=step.device)
            transfer = _Transfer(transfer.number, unit.expand(count, -1, -1), line)
        units = torch.eye(count * modes, dtype=step.dtype, device=step.device)
        dense = level(units.view(-1, count, modes)).flatten(1)
        self._inverse = _ridged_inverse(dense[None])[0]

    def __call__(self, r: Tensor) -> Tensor:
        """An approximate solution of (L + D) x = r, for r (C, N)."""
        return self._cycle(r[..., None], 0)[..., 0]

    def _cycle(self, r: Tensor, depth: int) -> Tensor:
        if depth == len(self.levels):
            return (r.flatten(1) @ self._inverse).view(r.shape)
        operator, step, transfer = self.levels[depth]
        x = step(r)
        x = x + transfer.up(self._cycle(transfer.down(r - operator(x)), depth + 1))
        return x + step(r - operator(x))
