"""The matting Laplacian as a linear operator that never forms its matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pydpst import ops


class _Energy(torch.autograd.Function):
    """pᵀ(L p) given L p: its gradient 2 L p is already there and costs no second product.

    L p is itself a differentiable function of p, so second derivatives pass through it.
    """

    @staticmethod
    def forward(ctx: Any, p: Tensor, product: Tensor) -> Tensor:
        ctx.save_for_backward(product)
        # L·1 = 0, so p may be centred, which spares the sum its largest terms.
        centred = p - p.mean((-2, -1), keepdim=True)
        return (centred * product).sum((-3, -2, -1))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        (product,) = ctx.saved_tensors
        return 2 * grads[0][..., None, None, None] * product, None


class MattingLaplacian:
    """The matting Laplacian L of a guide image (Levin, Lischinski and Weiss 2008, eq. 12).

    pᵀL p measures how far p is from being, in every window, an affine function of the guide's
    colours. L is symmetric and positive semi-definite, and L·1 = 0. The window statistics are
    computed once, here; a product is then one pass over the image.

    Args:
        image: the guide, (3, H, W) or (B, 3, H, W), float32 or float64, values in [0, 1].
        eps: the regularisation of the windows' colour covariances, positive.
        radius: windows are 2·radius + 1 pixels a side; 1 is what there is.

    Raises:
        ValueError: if a shape, dtype or value is not as above, or the image is smaller than a
            window.
    """

    def __init__(self, image: Tensor, eps: float = 1e-7, radius: int = 1) -> None:
        if image.ndim not in (3, 4) or image.shape[-3] != 3:
            raise ValueError(
                f"the guide image has the shape {tuple(image.shape)}; it must be (3, H, W) or "
                "(B, 3, H, W)."
            )
        if image.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"the guide image is {image.dtype}; it must be float32 or float64.")
        if not eps > 0:
            raise ValueError(f"eps is {eps}; it must be positive.")
        if radius != 1:
            raise ValueError(f"radius is {radius}; it must be 1.")
        height, width = image.shape[-2:]
        if min(height, width) < 2 * radius + 1:
            raise ValueError(
                f"the guide image is {width}×{height} pixels; it must be at least "
                f"{2 * radius + 1} pixels a side."
            )
        if not torch.isfinite(image).all():
            raise ValueError("the guide image holds NaN or infinity; it must be finite.")
        self.image = image
        self.eps = eps
        self.radius = radius
        self._guide = image.detach().reshape(-1, *image.shape[-3:]).contiguous()
        self._whitening = ops.matting_whitening(self._guide, eps, radius)

    def matvec(self, p: Tensor) -> Tensor:
        """L p, channel by channel; differentiable in p to any order.

        Args:
            p: (C, H, W), or (B, C, H, W) for a batch of guides; of the guide's dtype and device.

        Returns:
            L p, shaped like p.

        Raises:
            ValueError: if p does not fit the guide image.
        """
        expected = (*self.image.shape[:-3], None, *self.image.shape[-2:])
        fits = p.ndim == len(expected) and all(
            want is None or want == have for want, have in zip(expected, p.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("C" if want is None else str(want) for want in expected)
            raise ValueError(f"p has the shape {tuple(p.shape)}; it must be ({wanted}).")
        if p.dtype != self.image.dtype or p.device != self.image.device:
            raise ValueError(
                f"p is {p.dtype} on {p.device}; it must be {self.image.dtype} on "
                f"{self.image.device}, like the guide image."
            )
        batched = p.reshape(self._guide.shape[0], -1, *p.shape[-2:])
        return ops.matting_matvec(self._guide, self._whitening, batched, self.radius).view(p.shape)

    def energy(self, p: Tensor) -> Tensor:
        """The sum over channels of pᵀL p, with its gradient for the price of one product.

        Args:
            p: as for `matvec`.

        Returns:
            A scalar, or (B,) for a batch; differentiable in p to second order.

        Raises:
            ValueError: if p does not fit the guide image.
        """
        energy: Tensor = _Energy.apply(p, self.matvec(p))  # type: ignore[no-untyped-call]
        return energy
