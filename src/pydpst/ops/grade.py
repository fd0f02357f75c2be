"""The operator that renders a colour grade by region: kernel, fake kernels, autograd, vmap."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pydpst.ops.differentiable import differentiable, keep, total
from pydpst.ops.library import kernels, register, vmap_over_batch

_change: Any = kernels.grade_change
_maps_gradient: Any = kernels.grade_change_maps_gradient
_pixel_gradients: Any = kernels.grade_change_pixel_gradients


def grade_apply(maps: Tensor, masks: Tensor, image: Tensor) -> Tensor:
    """Renders a colour grade by region, in one pass over the pixels.

    A pixel of colour c whose channels' mean is t becomes
    c + Σ_r masks_r · Σ_h share_h(c) · (M_rh(t) [c; 1] - c). The maps lie at K knots evenly spaced
    over [0, 1], the first at 0 and the last at 1, and M_rh(t) linearly between them; means beyond
    [0, 1] count as 0 or 1. What no region has keeps its colours, and so does what only has maps
    that are the identity, to the last bit.

    A region has one map for all colours, or seven: for red, yellow, green, cyan, blue, magenta and
    grey. A colour has of its primary hue as much as its largest channel is above the next, of its
    secondary hue as much as that is above the smallest, both over 0.5 or over their sum if that is
    more; the rest is grey.

    Args:
        maps: (B, R, K, 12) or (B, R, 1 or 7, K, 12), float32 or float64, K at least 1: 3×4
            matrices by rows, which map (r, g, b, 1).
        masks: (B, R, H, W), of maps' dtype: what share of a pixel each region has.
        image: (B, 3, H, W), of maps' dtype.

    Returns:
        (B, 3, H, W), differentiable once in all three and to any order in maps.
    """
    by_hue = maps.unsqueeze(2) if maps.dim() == 4 else maps
    return grade_change(by_hue - _identity(maps), masks, image, True)


def knot_weights(luminance: Tensor, knots: int) -> Tensor:
    """How much each of the knots, spread evenly over [0, 1], counts at a luminance.

    Args:
        luminance: (..., N); what lies outside [0, 1] counts as at its end.
        knots: how many there are, at least 2.

    Returns:
        (..., knots, N): the hat functions of linear interpolation, which sum to 1.
    """
    place = luminance.clamp(0, 1) * (knots - 1)
    knot = torch.arange(knots, dtype=place.dtype, device=place.device)
    return (1 - (place[..., None, :] - knot[:, None]).abs()).clamp_min(0)


def grade_change(maps: Tensor, masks: Tensor, image: Tensor, add: bool) -> Tensor:
    """What a colour grade changes: Σ_r masks_r · Σ_h share_h(c) · D_rh(t) [c; 1].

    Args:
        maps: (B, R, 1 or 7, K, 12), float32 or float64: D at the knots, as M for `grade_apply`.
        masks: (B, R, H, W), of maps' dtype.
        image: (B, 3, H, W), of maps' dtype.
        add: whether to add the image itself.

    Returns:
        (B, 3, H, W), linear in maps but for the image; differentiable as `grade_apply` is.
    """
    result: Tensor = _change_call(maps, masks, image, add)
    return result


def grade_change_maps_gradient(
    grad: Tensor, masks: Tensor, image: Tensor, hues: int, knots: int
) -> Tensor:
    """The gradient of Σ grad · grade_change(maps, masks, image) in maps, whatever these are.

    Args:
        grad: (B, 3, H, W), float32 or float64.
        masks: (B, R, H, W), of grad's dtype.
        image: (B, 3, H, W), of grad's dtype.
        hues: how many maps a region has, 1 or 7.
        knots: how many knots the maps have.

    Returns:
        (B, R, hues, knots, 12), differentiable once in grad, masks and image.
    """
    result: Tensor = _maps_gradient_call(grad, masks, image, hues, knots)
    return result


def grade_change_pixel_gradients(
    grad: Tensor, maps: Tensor, masks: Tensor, image: Tensor, add: bool
) -> tuple[Tensor, Tensor]:
    """The gradients of Σ grad · grade_change(maps, masks, image, add) in masks and image.

    Args:
        grad: (B, 3, H, W), float32 or float64.
        maps: as for `grade_change`.
        masks: likewise.
        image: likewise.
        add: likewise.

    Returns:
        The gradients, shaped like masks and image; they have none themselves.
    """
    result: tuple[Tensor, Tensor] = _pixel_gradients_call(grad, maps, masks, image, add)
    return result


def _identity(maps: Tensor) -> Tensor:
    """The matrix that changes no colour, (12,)."""
    return torch.eye(3, 4, dtype=maps.dtype, device=maps.device).flatten()


def _change_fake(maps: Tensor, masks: Tensor, image: Tensor, add: bool) -> Tensor:
    return image.new_empty(image.shape)


def _maps_gradient_fake(
    grad: Tensor, masks: Tensor, image: Tensor, hues: int, knots: int
) -> Tensor:
    return image.new_empty(image.shape[0], masks.shape[1], hues, knots, 12)


def _pixel_gradients_fake(
    grad: Tensor, maps: Tensor, masks: Tensor, image: Tensor, add: bool
) -> tuple[Tensor, Tensor]:
    return masks.new_empty(masks.shape), image.new_empty(image.shape)


def _save_change(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool], output: Tensor) -> None:
    *tensors, ctx.add = inputs
    keep(ctx, *tensors)


def _change_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    maps, masks, image = ctx.saved_tensors
    grad_maps = grad_masks = grad_image = None
    if ctx.needs_input_grad[0]:
        grad_maps = grade_change_maps_gradient(grad, masks, image, *maps.shape[2:4])
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        grad_masks, grad_image = grade_change_pixel_gradients(grad, maps, masks, image, ctx.add)
    return grad_maps, grad_masks, grad_image, None


def _change_jvp(
    ctx: Any, maps: Tensor | None, masks: Tensor | None, image: Tensor | None, add: None
) -> Tensor | None:
    """It is linear in maps and in masks, but for the image."""
    _refuse_image(image)
    its_maps, its_masks, its_image = ctx.saved_tensors
    return total(
        None if maps is None else grade_change(maps, its_masks, its_image, False),
        None if masks is None else grade_change(its_maps, masks, its_image, False),
    )


def _refuse_image(tangent: Tensor | None) -> None:
    if tangent is not None:
        raise NotImplementedError(
            "grade_apply has no forward-mode derivative in image; use reverse mode, or "
            "pydpst.ops.reference.grade_apply."
        )


def _save_maps_gradient(
    ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int, int], output: Tensor
) -> None:
    grad, masks, image, *ctx.sizes = inputs
    keep(ctx, grad, masks, image)


def _maps_gradient_backward(ctx: Any, maps: Tensor) -> tuple[Tensor | None, ...]:
    """What is differentiated is Σ grad · grade_change(maps, masks, image)."""
    grad, masks, image = ctx.saved_tensors
    grad_grad = grad_masks = grad_image = None
    if ctx.needs_input_grad[0]:
        grad_grad = grade_change(maps, masks, image, False)
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        grad_masks, grad_image = grade_change_pixel_gradients(grad, maps, masks, image, False)
    return grad_grad, grad_masks, grad_image, None, None


def _maps_gradient_jvp(
    ctx: Any,
    grad: Tensor | None,
    masks: Tensor | None,
    image: Tensor | None,
    hues: None,
    knots: None,
) -> Tensor | None:
    _refuse_image(image)
    its_grad, its_masks, its_image = ctx.saved_tensors
    return total(
        None
        if grad is None
        else grade_change_maps_gradient(grad, its_masks, its_image, *ctx.sizes),
        None
        if masks is None
        else grade_change_maps_gradient(its_grad, masks, its_image, *ctx.sizes),
    )


def _save_pixel_gradients(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.add = inputs
    keep(ctx, *tensors)


def _pixel_gradients_jvp(
    ctx: Any,
    grad: Tensor | None,
    maps: Tensor | None,
    masks: Tensor | None,
    image: Tensor | None,
    add: None,
) -> tuple[Tensor | None, Tensor | None]:
    """Both are linear in grad and in maps; only the image's depends on masks."""
    _refuse_image(image)
    its_grad, its_maps, its_masks, its_image = ctx.saved_tensors
    of_masks: list[Tensor | None] = []
    of_image: list[Tensor | None] = []
    if grad is not None:
        both = grade_change_pixel_gradients(grad, its_maps, its_masks, its_image, ctx.add)
        of_masks.append(both[0])
        of_image.append(both[1])
    if maps is not None:
        both = grade_change_pixel_gradients(its_grad, maps, its_masks, its_image, False)
        of_masks.append(both[0])
        of_image.append(both[1])
    if masks is not None:
        both = grade_change_pixel_gradients(its_grad, its_maps, masks, its_image, False)
        of_image.append(both[1])
    return total(*of_masks), total(*of_image)


def _pixel_gradients_backward(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError(
        "grade_apply has second derivatives in maps only, not in masks and image; "
        "pydpst.ops.reference.grade_apply has them. Where only maps are wanted, detach the others."
    )


register("grade_change", _change_fake, vmap_over_batch(_change))
register("grade_change_maps_gradient", _maps_gradient_fake, vmap_over_batch(_maps_gradient))
register("grade_change_pixel_gradients", _pixel_gradients_fake, vmap_over_batch(_pixel_gradients))

_change_call = differentiable("grade_change", _change, _save_change, _change_backward, _change_jvp)
_maps_gradient_call = differentiable(
    "grade_change_maps_gradient",
    _maps_gradient,
    _save_maps_gradient,
    _maps_gradient_backward,
    _maps_gradient_jvp,
)
_pixel_gradients_call = differentiable(
    "grade_change_pixel_gradients",
    _pixel_gradients,
    _save_pixel_gradients,
    _pixel_gradients_backward,
    _pixel_gradients_jvp,
)
