"""The matting Laplacian as a linear operator that never forms its matrix."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pydpst import ops
from pydpst.matting.conjugate_gradients import Convergence, ConvergenceError, describe_failure
from pydpst.matting.system import Effort, System


class _Energy(torch.autograd.Function):
    """pᵀL p for each channel of p, and L p, of which the gradient 2 L p is made."""

    generate_vmap_rule = True

    @staticmethod
    def forward(p: Tensor, guide: Tensor, whitening: Tensor, radius: int) -> tuple[Tensor, Tensor]:
        product = ops.matting_matvec(guide, whitening, p, radius)
        # A dot product a row, which needs no other tensor of p's size; their sum cancels (L·1 = 0)
        # and so is in double.
        rows = torch.einsum("...hw,...hw->...h", p, product)
        return rows.sum(-1, dtype=torch.float64).to(p.dtype), product

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: tuple[Tensor, Tensor]) -> None:
        p, guide, whitening, ctx.radius = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(p, guide, whitening, output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, Tensor | None, None, None]:
        if grads[0] is None:
            return None, None, None, None
        p, guide, whitening, product = ctx.saved_tensors
        grad = grads[0][..., None, None]
        if torch.is_grad_enabled():  # for second derivatives, as a function of p
            product = ops.matting_matvec(guide, whitening, p, ctx.radius)
        grad_guide = None
        if ctx.needs_input_grad[1]:
            grad_guide = ops.matting_image_gradient(guide, whitening, p, grad * p, ctx.radius)
        return 2 * grad * product, grad_guide, None, None


class _EnergyInBothModes(_Energy):
    """The same with a forward derivative, of which torch.compile knows nothing."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: tuple[Tensor, Tensor]) -> None:
        _Energy.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:3])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, None]:
        # Of the guide there is none: its whitening has refused it.
        p, guide, whitening = ctx.saved_tensors
        product = ops.matting_matvec(guide, whitening, p, ctx.radius)
        return 2 * (tangents[0] * product).sum((-2, -1)), None


class MattingLaplacian:
    """The matting Laplacian L of a guide image (Levin, Lischinski and Weiss 2008, eq. 12).

    pᵀL p measures how far p is from being, in every window, an affine function of the guide's
    colours. L is symmetric and positive semi-definite, and L·1 = 0. The window statistics are
    computed once, here; a product is then one pass over the image, whatever the radius (He, Sun
    and Tang 2010).

    Everything is computed in float64 if the guide is float64, and otherwise in float32.

    Args:
        image: the guide, (G, H, W) or (B, G, H, W) with G = 1 or 3, a floating-point tensor with
            values in [0, 1]; products are differentiable in it once. It must not be changed in
            place afterwards: uses after that raise RuntimeError.
        eps: the regularisation of the windows' colour covariances, positive.
        radius: windows are 2·radius + 1 pixels a side; at most what the image holds.

    Raises:
        ValueError: if a shape, dtype or value is not as above, or the image is smaller than a
            window.
    """

    def __init__(self, image: Tensor, eps: float = 1e-7, radius: int = 1) -> None:
        if image.ndim not in (3, 4) or image.shape[-3] not in (1, 3):
            raise ValueError(
                f"the guide image has the shape {tuple(image.shape)}; it must be (G, H, W) or "
                "(B, G, H, W) with G = 1 or 3."
            )
        if image.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            raise ValueError(
                f"the guide image is {image.dtype}; it must be float16, bfloat16, float32 or "
                "float64."
            )
        if image.device.type == "meta":
            raise ValueError("the guide image is a meta tensor; it must have values.")
        if not 0 < eps < math.inf:
            raise ValueError(f"eps is {eps}; it must be positive and finite.")
        if isinstance(radius, float) or radius < 1:
            raise ValueError(f"radius is {radius}; it must be a whole number of at least 1.")
        height, width = image.shape[-2:]
        if min(height, width) < 2 * radius + 1:
            raise ValueError(
                f"the guide image is {width}×{height} pixels; it must be at least "
                f"{2 * radius + 1} pixels a side."
            )
        if not _may_be_finite(image):
            raise ValueError("the guide image holds NaN or infinity; it must be finite.")
        self.image = image
        self.eps = eps
        self.radius = radius
        self._dtype = torch.float64 if image.dtype == torch.float64 else torch.float32
        guide = image.to(self._dtype) if image.ndim == 4 else image[None].to(self._dtype)
        self._guide = guide.contiguous()
        self._whitening = ops.matting_whitening(self._guide, eps, radius)
        self._version = self._guide_version()

    def matvec(self, p: Tensor) -> Tensor:
        """L p, channel by channel; differentiable in p to any order.

        Args:
            p: (B, C, H, W), or (C, H, W) if the guide is one image, which also serves a whole
                batch; on the guide's device. Its dtype is what L is computed in, or float16 or
                bfloat16 where that is float32.

        Returns:
            L p, of p's shape and dtype.

        Raises:
            ValueError: if p does not fit the guide image.
        """
        product = ops.matting_matvec(
            self._guide, self._whitening, self._as_channels(p), self.radius
        )
        return product.view(p.shape).to(p.dtype)

    def energy(self, p: Tensor) -> Tensor:
        """The sum over channels of pᵀL p, with its gradient for the price of one product.

        Args:
            p: as for `matvec`.

        Returns:
            A scalar, or (B,) for a batch, in the dtype that L is computed in; differentiable in p
            to second order.

        Raises:
            ValueError: if p does not fit the guide image.
        """
        channels = self._as_channels(p)
        function = _Energy if torch.compiler.is_compiling() else _EnergyInBothModes
        energies: Tensor = function.apply(  # type: ignore[no-untyped-call]
            channels, self._guide, self._whitening, self.radius
        )[0]
        return energies.view(p.shape[:-2]).sum(-1)

    def diagonal(self) -> Tensor:
        """The diagonal of L, from the windows' statistics.

        Returns:
            (H, W), or (B, H, W) for a batch, in the dtype that L is computed in; not
            differentiable.
        """
        self._check_guide()
        diagonal = ops.matting_diagonal(self._guide, self._whitening, self.radius)
        return diagonal.view(*self.image.shape[:-3], *self.image.shape[-2:])

    def solve(
        self,
        b: Tensor,
        diagonal: Tensor,
        x0: Tensor | None = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        *,
        free: Tensor | None = None,
        preconditioner: str | None = None,
        on_failure: str = "raise",
        callback: Callable[[Convergence], None] | None = None,
    ) -> tuple[Tensor, Convergence]:
        """Solves (L + D) x = b by conjugate gradients, in float64 whatever L is computed in.

        Some pixels can be held at their values in x0; the equations of the others are then solved
        for the others alone, and only windows that hold one of those cost anything.

        Args:
            b: as p for `matvec`; each channel is a right-hand side of its own.
            diagonal: the diagonal of D, (H, W), or (B, H, W) for a batch of guides; at least 0,
                and above 0 somewhere unless pixels are held.
            x0: where to start, like b; zeros if None.
            tol: the solve ends when ‖b − (L + D) x‖ ≤ tol ‖b‖ over the free pixels, for each
                right-hand side. What the held pixels contribute counts as part of b.
            max_iter: iterations at most, for each guide image.
            free: which pixels to solve for, bool, shaped like diagonal; all of them if None.
            preconditioner: "multigrid" or "jacobi" (the diagonal of L + D); by default the first
                for radii up to 2, and beyond the second, which is faster there.
            on_failure: "raise", or "warn" to get what there is, if the tolerance is not reached.
            callback: called after each iteration with how far it is.

        Returns:
            x, of b's shape and dtype, and how the solve went: for a batch of guides the most
            iterations and the largest residual.

        Raises:
            ValueError: if an argument is not as above.
            ConvergenceError: if the tolerance is not reached and on_failure is "raise".
        """
        if preconditioner is None:
            preconditioner = "multigrid" if self.radius <= 2 else "jacobi"
        right, start = self._right_hand_sides(b, x0)
        added, where = self._diagonal_and_free(diagonal, free)
        effort = Effort(tol, max_iter, preconditioner, on_failure)
        solutions = []
        went: list[Convergence] = []
        for i in range(len(self._guide)):
            guide, whitening = self._guide[i].detach().double(), self._whitening[i].double()
            system = System(guide, whitening, self.radius, added[i].double(), where[i])
            x, how = system.solve(right[i].double(), start[i].double(), effort, callback)
            solutions.append(x)
            went.append(how)
        result = torch.stack(solutions).view(b.shape).to(b.dtype)
        convergence = Convergence(
            max((one.iterations for one in went), default=0),
            max((one.residual for one in went), default=0.0),
            all(one.converged for one in went),
            any(one.interrupted for one in went),
        )
        if not convergence.converged:
            if on_failure == "raise":
                raise ConvergenceError(describe_failure(convergence, tol))
            warnings.warn(describe_failure(convergence, tol), stacklevel=2)
        return result, convergence

    def _right_hand_sides(self, b: Tensor, x0: Tensor | None) -> tuple[Tensor, Tensor]:
        right = self._as_channels(b.detach())
        if x0 is None:
            return right, torch.zeros_like(right)
        if x0.shape != b.shape:
            raise ValueError(
                f"x0 has the shape {tuple(x0.shape)}; it must be {tuple(b.shape)}, like b."
            )
        return right, self._as_channels(x0.detach())

    def _diagonal_and_free(self, diagonal: Tensor, free: Tensor | None) -> tuple[Tensor, Tensor]:
        added = self._as_planes(diagonal, "diagonal").detach()
        if not torch.isfinite(added).all():
            raise ValueError(
                "diagonal holds NaN or infinity; its values must be finite and at least 0."
            )
        if not (added >= 0).all():
            raise ValueError(
                f"diagonal holds {float(added.min()):g}; its values must be finite and at least 0."
            )
        if free is not None and free.dtype != torch.bool:
            raise ValueError(f"free is {free.dtype}; it must be bool.")
        where = torch.ones_like(added, dtype=torch.bool)
        if free is not None:
            where = self._as_planes(free, "free")
        if not (where.all((-2, -1)) <= (added > 0).any(-1).any(-1)).all():
            raise ValueError(
                "no pixel has a known value, so there is nothing to solve from; diagonal must be "
                "above 0 where one is known, or free must leave out what is held."
            )
        return added, where

    def _guide_version(self) -> int | None:
        """Counts the changes of the guide in place, where torch does."""
        if torch.compiler.is_compiling() or self._guide.is_inference():
            return None
        return self._guide._version

    def _check_guide(self) -> None:
        versions = self._version, self._guide_version()
        if None not in versions and versions[0] != versions[1]:
            raise RuntimeError(
                "the guide image was changed in place after its MattingLaplacian was made; make a "
                "new one, or give it a copy of the image."
            )

    def _as_planes(self, values: Tensor, name: str) -> Tensor:
        """One plane for each guide, (B, H, W)."""
        wanted = self.image.shape[:-3] + self.image.shape[-2:]
        if values.shape != wanted:
            raise ValueError(
                f"{name} has the shape {tuple(values.shape)}; it must be {tuple(wanted)}."
            )
        if values.device != self.image.device:
            raise ValueError(
                f"{name} is on {values.device}; it must be on {self.image.device}, like the guide "
                "image."
            )
        return values.view(-1, *wanted[-2:])

    def _as_channels(self, p: Tensor) -> Tensor:
        """What the kernels take for p: for one guide, a batch is but more channels."""
        self._check_guide()
        batch = self.image.shape[:-3]
        fits = p.ndim == 4 and p.shape[:1] == batch if batch else p.ndim in (3, 4)
        if not fits or p.shape[-2:] != self.image.shape[-2:]:
            height, width = self.image.shape[-2:]
            wanted = f"({batch[0]}, C, {height}, {width})" if batch else f"(C, {height}, {width})"
            more = "" if batch else f" or (B, C, {height}, {width})"
            raise ValueError(f"p has the shape {tuple(p.shape)}; it must be {wanted}{more}.")
        dtypes = [self._dtype]
        if self._dtype == torch.float32:
            dtypes += [torch.float16, torch.bfloat16]
        if p.dtype not in dtypes:
            raise ValueError(f"p is {p.dtype}; it must be {self._dtype}, like the guide image.")
        if p.device != self.image.device:
            raise ValueError(
                f"p is on {p.device}; it must be on {self.image.device}, like the guide image."
            )
        p = p.to(self._dtype)
        return p if batch else p.reshape(1, p.shape[:-2].numel(), *p.shape[-2:])


def _may_be_finite(image: Tensor) -> bool:
    """Whether no value is NaN or infinity, as far as that can be told of values."""
    if torch.compiler.is_compiling():  # a graph cannot depend on them
        return True
    try:
        return bool(torch.isfinite(image).all())
    except RuntimeError:  # nor can vmap
        return True
