"""Affine colour maps of a small image, enlarged and applied to a large one."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pydpst.ops.differentiable import refused
from pydpst.ops.library import kernels, register, vmap_over_batch

_affine_maps_apply: Callable[..., Tensor] = kernels.affine_maps_apply


def affine_maps_apply(
    maps: Tensor, image: Tensor, top: int = 0, height: int | None = None
) -> Tensor:
    """Enlarges affine colour maps to an image and applies them to it, or to a strip of it.

    What `bilateral_slice_apply` does with a grid of depth 1, for as many cells as there are pixels
    in a small image, and without the rest of the image: strips give the bits of the whole. Maps lie
    and are interpolated as by `torch.nn.functional.interpolate` with ``mode="bilinear"``.

    Args:
        maps: (B, 12, h, w), float32 or float64: 3×4 matrices by rows, which map (r, g, b, 1).
        image: (B, 3, H, W), of maps' dtype.
        top: the row of the whole image that is the strip's first.
        height: how many rows the whole image has; None if image is the whole.

    Returns:
        (B, 3, H, W); it has no gradient.
    """
    whole = image.shape[-2] if height is None else height
    result: Tensor = _affine_maps_call(maps, image, top, whole)
    return result


def _affine_maps_apply_fake(maps: Tensor, image: Tensor, top: int, height: int) -> Tensor:
    return image.new_empty(image.shape)


register("affine_maps_apply", _affine_maps_apply_fake, vmap_over_batch(_affine_maps_apply))
_affine_maps_call = refused("affine_maps_apply", _affine_maps_apply)
