"""One guide's system (L + D) x = b, some of whose pixels may be held, and its solution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pydpst import ops
from pydpst.matting.conjugate_gradients import Convergence, conjugate_gradients
from pydpst.matting.multigrid import Multigrid
from pydpst.matting.restricted import FreeOperator

PRECONDITIONERS = ("multigrid", "jacobi")


@dataclass(frozen=True)
class Effort:
    """How a system is to be solved, as for `MattingLaplacian.solve`.

    Raises:
        ValueError: if an argument is not as there.
    """

    tol: float
    max_iter: int
    preconditioner: str
    on_failure: str

    def __post_init__(self) -> None:
        if self.preconditioner not in PRECONDITIONERS:
            raise ValueError(
                f"preconditioner is {self.preconditioner!r}; it must be one of "
                f"{', '.join(PRECONDITIONERS)}."
            )
        if self.on_failure not in ("raise", "warn"):
            raise ValueError(f"on_failure is {self.on_failure!r}; it must be raise or warn.")
        if not 0 < self.tol < 1:
            raise ValueError(f"tol is {self.tol}; it must lie between 0 and 1.")
        if self.max_iter < 1:
            raise ValueError(f"max_iter is {self.max_iter}; it must be at least 1.")


@dataclass(frozen=True, eq=False)
class System:
    """What is to be solved for one guide.

    Attributes:
        guide: (G, H, W), float64.
        whitening: of it, likewise.
        radius: of its windows.
        diagonal: of D, (H, W), float64.
        free: (H, W), bool; the other pixels are held.
    """

    guide: Tensor
    whitening: Tensor
    radius: int
    diagonal: Tensor
    free: Tensor

    def solve(
        self,
        b: Tensor,
        x: Tensor,
        effort: Effort,
        callback: Callable[[Convergence], None] | None,
    ) -> tuple[Tensor, Convergence]:
        """The solution for right-hand sides b (C, H, W), from x, which gives what is held."""
        operator = FreeOperator(self.guide, self.whitening, self.radius, self.diagonal, self.free)
        if not self.free.all():
            b = b - self._product(torch.where(self.free, 0.0, x))
        solved, convergence = conjugate_gradients(
            operator,
            self._preconditioner(effort.preconditioner, operator),
            b[:, self.free],
            x[:, self.free],
            effort.tol,
            effort.max_iter,
            callback,
        )
        x = x.clone()
        x[:, self.free] = solved
        return x, convergence

    def _product(self, x: Tensor) -> Tensor:
        product = ops.matting_matvec(self.guide[None], self.whitening[None], x[None], self.radius)
        return product[0]

    def _preconditioner(self, name: str, operator: FreeOperator) -> Callable[[Tensor], Tensor]:
        """An approximate inverse of the operator, for vectors (C, N)."""
        if name == "multigrid":
            return Multigrid(operator, self.guide)
        inverse = 1 / operator.diagonal.clamp(min=1e-12)
        return lambda r: inverse * r
