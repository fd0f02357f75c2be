"""Photos given as arrays and tensors: what shapes and values they may have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pydpst.photos.limits import MINIMUM_SIDE
from pydpst.photos.opening import Refused

_Array = np.ndarray[Any, Any]


def check_sides(height: int, width: int, what: str) -> None:
    """Refuses photos that are too small for the deepest features."""
    if min(height, width) < MINIMUM_SIDE:
        raise Refused(
            f"{what} is {width}×{height} pixels; each side must have at least {MINIMUM_SIDE}."
        )


def check_unit(values: Tensor, what: str) -> None:
    """Refuses values that do not lie in [0, 1]."""
    if values.numel() == 0:
        return
    # NaN is both least and largest where there is one.
    low, high = (bound.item() for bound in torch.aminmax(values))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise Refused(f"{what} holds NaN or infinity; its values must lie in [0, 1].")
    if low < 0 or high > 1:
        raise Refused(f"{what} has values from {low:g} to {high:g}; they must lie in [0, 1].")


def check_shape(values: Tensor | _Array, what: str) -> None:
    """Refuses what has not the shape of a photo."""
    shape = tuple(values.shape)
    if isinstance(values, Tensor) and not (shape[-3:-2] == (3,) and shape[:-3] in ((), (1,))):
        raise Refused(f"{what} has the shape {shape}; a tensor must be (3, H, W) or (1, 3, H, W).")
    if isinstance(values, np.ndarray) and not (
        len(shape) in (2, 3) and shape[2:] in ((), (3,), (4,))
    ):
        raise Refused(
            f"{what} has the shape {shape}; an array must be (H, W), (H, W, 3) or (H, W, 4)."
        )


def levels_of_array(array: _Array, what: str) -> tuple[_Array, _Array | None]:
    """Levels and opacity of an array given as a photo."""
    check_shape(array, what)
    if array.dtype.kind == "f":
        array = np.array(array, dtype=np.float32, order="C")
        check_unit(torch.from_numpy(array), what)
    elif array.dtype.str[1:] not in ("u1", "u2"):
        raise Refused(
            f"{what} is {array.dtype}; an array must be uint8, uint16 or floating point in [0, 1]."
        )
    check_sides(array.shape[0], array.shape[1], what)
    levels = array.reshape(*array.shape[:2], -1)
    alpha = levels[..., 3] if levels.shape[2] == 4 else None
    return levels[..., :3], alpha
