"""Preconditioned conjugate gradients for (L + D) x = b, several right-hand sides at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Convergence:
    """How a solve went.

    Attributes:
        iterations: how many were done.
        residual: ‖b − (L + D) x‖ / ‖b‖ over the free pixels, the largest of any right-hand side.
        converged: whether that is within the tolerance.
        interrupted: whether Ctrl-C ended it.
    """

    iterations: int
    residual: float
    converged: bool
    interrupted: bool = False


class ConvergenceError(RuntimeError):
    """A solve that did not reach its tolerance."""


def describe_failure(convergence: Convergence, tol: float) -> str:
    """One sentence on a solve that did not converge."""
    cause = "was interrupted" if convergence.interrupted else "did not converge"
    return (
        f"the solve {cause}: after {convergence.iterations} iterations the relative residual is "
        f"{convergence.residual:.1e}, not {tol:.1e}; allow more iterations or a larger tol."
    )


def warn_unless_converged(convergence: Convergence, tol: float) -> None:
    """Says so where a solve did not reach its tolerance."""
    if not convergence.converged:
        warnings.warn(describe_failure(convergence, tol), stacklevel=3)


def conjugate_gradients(
    operator: Callable[[Tensor], Tensor],
    precondition: Callable[[Tensor], Tensor],
    b: Tensor,
    x: Tensor,
    tol: float,
    max_iter: int,
    callback: Callable[[Convergence], None] | None = None,
) -> tuple[Tensor, Convergence]:
    """Solves a symmetric positive definite system for all rows of b at once.

    Every row has its own step lengths, so each converges as if it were alone. What ends the
    iteration is the true residual: that of the recursion drifts from it.

    Args:
        operator: a linear map of (C, N).
        precondition: an approximate inverse of it, symmetric and positive definite.
        b: (C, N), float64.
        x: where to start, like b.
        tol: the largest ‖b − operator(x)‖ / ‖b‖ of any row.
        max_iter: how often to iterate at most.
        callback: called after each iteration. Ctrl-C ends the solve with what it has.

    Returns:
        x, and how it went.
    """
    target = torch.linalg.vector_norm(b, dim=1, keepdim=True)
    scale = torch.where(target > 0, target, 1.0)

    def residual_of(r: Tensor) -> float:
        norms = torch.linalg.vector_norm(r, dim=1, keepdim=True)
        return float((norms / scale).max()) if r.numel() else 0.0

    iterations = 0
    interrupted = False
    r = b - operator(x)
    residual = residual_of(r)
    try:
        while residual > tol and iterations < max_iter:
            direction = torch.zeros_like(r)
            product = torch.ones_like(target)
            while residual > tol and iterations < max_iter:
                z = precondition(r)
                before, product = product, (r * z).sum(1, keepdim=True)
                direction = torch.addcmul(z, direction, _ratio(product, before))
                image = operator(direction)
                step = _ratio(product, (direction * image).sum(1, keepdim=True))
                x = torch.addcmul(x, direction, step)
                r = torch.addcmul(r, image, step, value=-1)
                residual = residual_of(r)
                iterations += 1
                if callback is not None:
                    callback(Convergence(iterations, residual, residual <= tol))
            r = b - operator(x)
            residual = residual_of(r)
    except KeyboardInterrupt:
        interrupted = True
        residual = residual_of(b - operator(x))
    return x, Convergence(iterations, residual, residual <= tol, interrupted)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """A row that has converged to the last bit leaves 0 / 0."""
    return torch.where(denominator > 0, numerator / denominator, 0.0)
