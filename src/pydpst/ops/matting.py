"""The matting Laplacian's operators (Levin et al. 2008): products, diagonal and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from pydpst.ops.differentiable import differentiable, keep, refused, total
from pydpst.ops.library import kernels, register, register_fake, unfold, vmap_over_batch

_whitening: Callable[..., Tensor] = kernels.matting_whitening
_matvec: Callable[..., Tensor] = kernels.matting_matvec
_free_matvec: Callable[..., Tensor] = kernels.matting_free_matvec
_diagonal: Callable[..., Tensor] = kernels.matting_diagonal
_image_gradient: Callable[..., Tensor] = kernels.matting_image_gradient


def matting_whitening(image: Tensor, eps: float, radius: int) -> Tensor:
    """The whitening matrix W of each window of a guide image; it has no gradient of its own.

    W is the inverse of the Cholesky factor of cov(I) + (eps/n)·Id over the window's n pixels, in
    the basis of csrc/window.h, computed in float64.

    Args:
        image: (B, G, H, W), G = 1 or 3, float32 or float64.
        eps: the regularisation of Levin et al. 2008, eq. 12.
        radius: windows are 2·radius + 1 pixels a side.

    Returns:
        (B, G(G + 1)/2, H - 2·radius, W - 2·radius), the lower triangles packed by rows, in image's
        dtype.
    """
    result: Tensor = _whitening_call(image, eps, radius)
    return result


def _whitening_fake(image: Tensor, eps: float, radius: int) -> Tensor:
    batch, channels, height, width = image.shape
    planes = channels * (channels + 1) // 2
    return image.new_empty(batch, planes, height - 2 * radius, width - 2 * radius)


def _save_nothing(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.set_materialize_grads(False)


def _whitening_backward(ctx: Any, grad: Tensor) -> tuple[None, None, None]:
    """How a product depends on the guide by way of W is in the product's own gradient."""
    return None, None, None


def _whitening_jvp(ctx: Any, image: Tensor | None, eps: None, radius: None) -> None:
    if image is not None:
        raise NotImplementedError(
            "the matting Laplacian has no forward-mode derivative in the guide image; use reverse "
            "mode, or pydpst.ops.reference.matting_matvec."
        )


def matting_matvec(image: Tensor, whitening: Tensor, p: Tensor, radius: int) -> Tensor:
    """L p, differentiable in p to any order and in the guide image once.

    Args:
        image: the guide, (B, G, H, W), G = 1 or 3, float32 or float64.
        whitening: what `matting_whitening` gave for it.
        p: (B, C, H, W), of image's dtype.
        radius: as given to `matting_whitening`.

    Returns:
        L p for each channel, shaped like p.
    """
    result: Tensor = _matvec_call(image, whitening, p, radius)
    return result


def _matvec_fake(image: Tensor, whitening: Tensor, p: Tensor, radius: int) -> Tensor:
    return p.new_empty(p.shape)


def _save_matvec(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int], output: Tensor) -> None:
    image, whitening, p, ctx.radius = inputs
    keep(ctx, image, whitening, p)


def _matvec_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
    """L is symmetric, so the gradient of gᵀL p in p is L g."""
    image, whitening, p = ctx.saved_tensors
    grad_image = grad_p = None
    if ctx.needs_input_grad[0]:
        grad_image = matting_image_gradient(image, whitening, p, grad, ctx.radius)
    if ctx.needs_input_grad[2]:
        grad_p = matting_matvec(image, whitening, grad, ctx.radius)
    return grad_image, None, grad_p, None


def _matvec_jvp(
    ctx: Any, image: Tensor | None, whitening: Tensor | None, p: Tensor | None, radius: None
) -> Tensor | None:
    if image is not None or whitening is not None:
        raise NotImplementedError(
            "the matting Laplacian has no forward-mode derivative in the guide image; use reverse "
            "mode, or pydpst.ops.reference.matting_matvec."
        )
    its_image, its_whitening, _ = ctx.saved_tensors
    return None if p is None else matting_matvec(its_image, its_whitening, p, ctx.radius)


def _matvec_vmap(
    info: Any, in_dims: tuple[int | None, ...], image: Tensor, whitening: Tensor, p: Tensor, r: int
) -> tuple[Tensor, int]:
    """With one guide, a vmapped dimension of p is just more channels."""
    if in_dims[0] is not None or in_dims[1] is not None or in_dims[2] is None:
        return vmap_over_batch(_matvec)(info, in_dims, image, whitening, p, r)
    channels = p.movedim(in_dims[2], 1).flatten(1, 2)
    return unfold(_matvec(image, whitening, channels, r), 1, info.batch_size), 1


def matting_free_matvec(
    image: Tensor, whitening: Tensor, slots: Tensor, tiles: Tensor, x: Tensor, radius: int
) -> Tensor:
    """L x for vectors of an image's free pixels, the others being 0; it has no gradient.

    Args:
        image: the guide, (1, G, H, W), G = 1 or 3, float32 or float64.
        whitening: what `matting_whitening` gave for it.
        slots: (H, W), int64: which number of x each pixel is; those not from 0 to N - 1 are not
            free.
        tiles: (T, 4), int64: rectangles that hold all free pixels and do not overlap, as their
            first row, the row after the last, and the columns likewise.
        x: (C, N), of image's dtype.
        radius: as given to `matting_whitening`.

    Returns:
        (C, N); 0 for what no tile holds.
    """
    result: Tensor = _free_matvec_call(image, whitening, slots, tiles, x, radius)
    return result


def _free_matvec_fake(
    image: Tensor, whitening: Tensor, slots: Tensor, tiles: Tensor, x: Tensor, radius: int
) -> Tensor:
    return x.new_empty(x.shape)


def matting_diagonal(image: Tensor, whitening: Tensor, radius: int) -> Tensor:
    """The diagonal of L; it has no gradient.

    Args:
        image: the guide, (B, G, H, W), G = 1 or 3, float32 or float64.
        whitening: what `matting_whitening` gave for it.
        radius: as given to `matting_whitening`.

    Returns:
        (B, 1, H, W), in image's dtype.
    """
    result: Tensor = _diagonal_call(image, whitening, radius)
    return result


def _diagonal_fake(image: Tensor, whitening: Tensor, radius: int) -> Tensor:
    return image.new_empty(image.shape[0], 1, *image.shape[2:])


def matting_image_gradient(
    image: Tensor, whitening: Tensor, p: Tensor, q: Tensor, radius: int
) -> Tensor:
    """The gradient of qᵀL p, summed over channels, in the guide image.

    Args:
        image: the guide, (B, G, H, W), G = 1 or 3, float32 or float64.
        whitening: what `matting_whitening` gave for it.
        p: (B, C, H, W), of image's dtype.
        q: like p.
        radius: as given to `matting_whitening`.

    Returns:
        The gradient, shaped like image; it has no gradient itself.
    """
    result: Tensor = _image_gradient_call(image, whitening, p, q, radius)
    return result


def _image_gradient_fake(
    image: Tensor, whitening: Tensor, p: Tensor, q: Tensor, radius: int
) -> Tensor:
    return image.new_empty(image.shape)


def _save_image_gradient(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.radius = inputs
    keep(ctx, *tensors)


def _image_gradient_jvp(
    ctx: Any,
    image: Tensor | None,
    whitening: Tensor | None,
    p: Tensor | None,
    q: Tensor | None,
    radius: None,
) -> Tensor | None:
    """It is linear in p and in q."""
    if image is not None or whitening is not None:
        _image_gradient_backward(ctx)
    its_image, its_whitening, its_p, its_q = ctx.saved_tensors
    guide = its_image, its_whitening
    return total(
        None if p is None else matting_image_gradient(*guide, p, its_q, ctx.radius),
        None if q is None else matting_image_gradient(*guide, its_p, q, ctx.radius),
    )


def _image_gradient_backward(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError(
        "the matting Laplacian's gradient in the guide image has no further derivatives; "
        "pydpst.ops.reference.matting_matvec has them."
    )


register("matting_whitening", _whitening_fake, vmap_over_batch(_whitening))
register("matting_matvec", _matvec_fake, _matvec_vmap)
register("matting_diagonal", _diagonal_fake, vmap_over_batch(_diagonal))
register("matting_image_gradient", _image_gradient_fake, vmap_over_batch(_image_gradient))
register_fake("matting_free_matvec", _free_matvec_fake)

_whitening_call = differentiable(
    "matting_whitening", _whitening, _save_nothing, _whitening_backward, _whitening_jvp
)
_matvec_call = differentiable(
    "matting_matvec", _matvec, _save_matvec, _matvec_backward, _matvec_jvp
)
_image_gradient_call = differentiable(
    "matting_image_gradient",
    _image_gradient,
    _save_image_gradient,
    _image_gradient_backward,
    _image_gradient_jvp,
)
_diagonal_call = refused("matting_diagonal", _diagonal)
_free_matvec_call = refused("matting_free_matvec", _free_matvec)
