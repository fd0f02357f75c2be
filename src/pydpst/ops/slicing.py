"""Bilateral grids of affine colour transforms (Gharbi et al. 2017), sliced and applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from pydpst.ops.library import kernels, register, register_autograd, vmap_over_batch

_slice_apply: Callable[..., Tensor] = kernels.bilateral_slice_apply
_slice_apply_backward: Callable[..., tuple[Tensor, Tensor, Tensor]] = (
    kernels.bilateral_slice_apply_backward
)


def bilateral_slice_apply(grid: Tensor, guide: Tensor, image: Tensor) -> Tensor:
    """Slices a bilateral grid of affine colour transforms and applies them, in one pass.

    Each pixel's transform is interpolated trilinearly at its place in the image and at its guide
    (Chen et al. 2007, section 3; Gharbi et al. 2017, eq. 3). The cells lie evenly over the image
    and over the guide's range, values at their middles, and the border is continued, as by
    `torch.nn.functional.grid_sample` with ``align_corners=False, padding_mode="border"``.

    Args:
        grid: (B, 12, D, Gh, Gw), float32 or float64: 3×4 matrices by rows, which map
            (r, g, b, 1); D cells along the guide, Gh × Gw over the image.
        guide: (B, H, W), of grid's dtype; values beyond [0, 1] count as 0 or 1.
        image: (B, 3, H, W), of grid's dtype.

    Returns:
        (B, 3, H, W), differentiable once in all three.
    """
    return _slice_apply(grid, guide, image)


def _slice_apply_fake(grid: Tensor, guide: Tensor, image: Tensor) -> Tensor:
    return image.new_empty(image.shape)


def _save_slice_apply(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _slice_apply_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return bilateral_slice_apply_backward(grad, *ctx.saved_tensors)


def bilateral_slice_apply_backward(
    grad: Tensor, grid: Tensor, guide: Tensor, image: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of Σ grad · bilateral_slice_apply(grid, guide, image).

    Args:
        grad: (B, 3, H, W), of grid's dtype.
        grid: as for `bilateral_slice_apply`.
        guide: likewise.
        image: likewise.

    Returns:
        The gradients in grid, guide and image, shaped like them; they have none themselves.
    """
    return _slice_apply_backward(grad, grid, guide, image)


def _slice_apply_backward_fake(
    grad: Tensor, grid: Tensor, guide: Tensor, image: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return grid.new_empty(grid.shape), guide.new_empty(guide.shape), image.new_empty(image.shape)


def _slice_apply_second(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError(
        "bilateral_slice_apply has first derivatives only; "
        "pydpst.ops.reference.bilateral_slice_apply has more."
    )


register("bilateral_slice_apply", _slice_apply_fake, vmap_over_batch(bilateral_slice_apply))
register(
    "bilateral_slice_apply_backward",
    _slice_apply_backward_fake,
    vmap_over_batch(bilateral_slice_apply_backward),
)
register_autograd("bilateral_slice_apply", _slice_apply_gradients, _save_slice_apply)
register_autograd("bilateral_slice_apply_backward", _slice_apply_second)
