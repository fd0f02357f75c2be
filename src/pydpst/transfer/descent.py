"""L-BFGS for few numbers whose losses are dear: almost every evaluation is a step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Of what the gradient foretells, a step must bring so much (Armijo).
_SUFFICIENT = 1e-4
# Steps whose curvature is remembered.
_MEMORY = 12
# The first step, of the one that would be right if the curvature were 1 in all directions.
_FIRST = 0.3


class Descent:
    """Limited-memory BFGS (Nocedal 1980) with backtracking: ask `point`, tell what is there.

    The unknowns are best scaled so that the loss's curvature is about 1 in all directions. A line
    search that looks for more than a decrease costs evaluations and brings less.

    Args:
        start: (N).

    Attributes:
        point: where the loss is asked for next, (N).
        best: the best point so far, (N).
        value: the loss there.
    """

    def __init__(self, start: Tensor) -> None:
        self.point = self.best = start
        self.value = math.inf
        self._gradient = torch.zeros_like(start)
        self._direction = torch.zeros_like(start)
        self._length, self._slope = 1.0, 0.0
        self._pairs: list[tuple[Tensor, Tensor]] = []

    def start_over(self) -> None:
        """Goes on from the best point in a loss that is much like the one before.

        What is known of the curvature is kept, and the values there are forgotten.
        """
        self.point, self.value = self.best, math.inf

    def tell(self, value: float, gradient: Tensor) -> None:
        """Takes the loss and its gradient (N) at `point`, and chooses the next point."""
        first = math.isinf(self.value)
        if first or value <= self.value + _SUFFICIENT * self._length * self._slope:
            if not first:
                self._remember(self.point - self.best, gradient - self._gradient)
            self.best, self.value, self._gradient = self.point, value, gradient
            self._turn()
        else:
            # The minimum of the parabola through what is known.
            bend = value - self.value - self._length * self._slope
            length = -self._slope * self._length**2 / (2 * bend) if math.isfinite(bend) else 0.0
            self._length = min(0.5 * self._length, max(0.1 * self._length, length))
        self.point = self.best + self._length * self._direction

    def _remember(self, step: Tensor, change: Tensor) -> None:
        if step @ change > 1e-10:
            self._pairs = [*self._pairs[1 - _MEMORY :], (step, change)]

    def _turn(self) -> None:
        """Sets out in a new direction."""
        self._direction, self._length = -self._solved(self._gradient), 1.0
        self._slope = float(self._gradient @ self._direction)
        if self._slope >= 0:
            self._pairs = []
            self._direction = -_FIRST * self._gradient
            self._slope = float(self._gradient @ self._direction)

    def _solved(self, gradient: Tensor) -> Tensor:
        """The inverse of the curvature as far as it is known, times the gradient."""
        if not self._pairs:
            return _FIRST * gradient
        found, shares = gradient, []
        for step, change in reversed(self._pairs):
            share = (step @ found) / (step @ change)
            found = found - share * change
            shares.append(share)
        step, change = self._pairs[-1]
        found = found * ((step @ change) / (change @ change)).clamp_max(1)
        for (step, change), share in zip(self._pairs, reversed(shares), strict=True):
            found = found + step * (share - (change @ found) / (step @ change))
        return found
