"""Rows gathered and summed by index, on any device, in an order that is always the same."""

from __future__ import annotations

import torch
from torch import Tensor


def _select(rows: Tensor, index: Tensor) -> Tensor:
    flat = rows.flatten() if rows[:1].numel() == 1 else rows  # one number a row: much faster
    return flat.index_select(0, index.flatten()).view(*index.shape, *rows.shape[1:])


def take(rows: Tensor, index: Tensor) -> Tensor:
    """The rows (N, ...) at an index of any shape; at N there is a row of zeros."""
    return _select(torch.cat([rows, rows.new_zeros(1, *rows.shape[1:])]), index)


class Sums:
    """Sums of the rows that share a slot: neither atomics nor an order that varies."""

    def __init__(self, slots: Tensor, count: int) -> None:
        """`slots` (M,) says which sum each row is part of; from `count` on, of none."""
        ordered, rows = torch.sort(slots, stable=True)
        ordered = ordered[: int(torch.searchsorted(ordered, count))]
        sizes = torch.bincount(ordered, minlength=count)
        starts = sizes.cumsum(0) - sizes
        most = int(sizes.max()) if len(sizes) else 0
        self._table = None
        if count * most <= 2 * len(ordered):
            steps = torch.arange(most, device=slots.device)
            at = (starts[:, None] + steps).clamp(max=len(slots) - 1)
            self._table = rows[at].masked_fill(steps >= sizes[:, None], len(slots))
            return
        # Few sums have many rows, so a table would be mostly empty: the first row of each sum, then
        # the second of those that have two, and so on.
        self._count = count
        self._rounds = []
        for k in range(most):
            targets = torch.nonzero(sizes > k)[:, 0]
            self._rounds.append((targets, rows[starts[targets] + k]))

    def __call__(self, values: Tensor) -> Tensor:
        """`values` (M, ...) to (count, ...)."""
        if self._table is not None:
            return take(values, self._table).sum(1)
        (targets, rows), *rounds = self._rounds
        if len(targets) == self._count:
            sums = _select(values, rows)
        else:
            sums = values.new_zeros(self._count, *values.shape[1:])
            sums[targets] = values[rows]
        for targets, rows in rounds:
            sums[targets] += values[rows]
        return sums
