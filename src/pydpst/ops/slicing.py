"""Bilateral grids of affine colour transforms (Gharbi et al. 2017), sliced and applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pydpst.ops.differentiable import differentiable, keep, total
from pydpst.ops.library import kernels, register, vmap_over_batch

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
    result: Tensor = _slice_apply_call(grid, guide, image)
    return result


def _slice_apply_fake(grid: Tensor, guide: Tensor, image: Tensor) -> Tensor:
    return image.new_empty(image.shape)


def _save_slice_apply(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
    keep(ctx, *inputs)


def _slice_apply_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return bilateral_slice_apply_backward(grad, *ctx.saved_tensors)


def _slice_apply_jvp(
    ctx: Any, grid: Tensor | None, guide: Tensor | None, image: Tensor | None
) -> Tensor | None:
    """It is linear in grid and, but for the transforms' offsets, in image."""
    if guide is not None:
        raise NotImplementedError(
            "bilateral_slice_apply has no forward-mode derivative in guide; use reverse mode, or "
            "pydpst.ops.reference.bilateral_slice_apply."
        )
    its_grid, its_guide, its_image = ctx.saved_tensors
    slopes = torch.arange(12, device=its_grid.device) % 4 != 3
    linear = its_grid * slopes[:, None, None, None]
    return total(
        None if grid is None else bilateral_slice_apply(grid, its_guide, its_image),
        None if image is None else bilateral_slice_apply(linear, its_guide, image),
    )


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
    result: tuple[Tensor, Tensor, Tensor] = _slice_backward_call(grad, grid, guide, image)
    return result


def _slice_apply_backward_fake(
    grad: Tensor, grid: Tensor, guide: Tensor, image: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return grid.new_empty(grid.shape), guide.new_empty(guide.shape), image.new_empty(image.shape)


def _slice_backward_jvp(
    ctx: Any, grad: Tensor | None, *others: Tensor | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """It is linear in grad."""
    if any(other is not None for other in others):
        _slice_apply_second(ctx)
    if grad is None:
        return None, None, None
    return bilateral_slice_apply_backward(grad, *ctx.saved_tensors[1:])


def _slice_apply_second(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError(
        "bilateral_slice_apply has first derivatives only; "
        "pydpst.ops.reference.bilateral_slice_apply has more."
    )


register("bilateral_slice_apply", _slice_apply_fake, vmap_over_batch(_slice_apply))
register(
    "bilateral_slice_apply_backward",
    _slice_apply_backward_fake,
    vmap_over_batch(_slice_apply_backward),
)

_slice_apply_call = differentiable(
    "bilateral_slice_apply",
    _slice_apply,
    _save_slice_apply,
    _slice_apply_gradients,
    _slice_apply_jvp,
)
_slice_backward_call = differentiable(
    "bilateral_slice_apply_backward",
    _slice_apply_backward,
    _save_slice_apply,
    _slice_apply_second,
    _slice_backward_jvp,
)
