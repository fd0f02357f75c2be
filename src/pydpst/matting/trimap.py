"""Trimaps: where the foreground is known to be, where the background, where neither."""

from __future__ import annotations

import os

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pydpst.photos.decode import Source, open_image

# How far from black and white a trimap's known values may be.
_TOLERANCE = 0.1


def load_trimap(source: Source) -> Tensor:
    """A trimap: where the foreground is known to be, where the background, where neither.

    White is foreground, black is background, each within a tenth of the range; between them is
    unknown. Colours are averaged. Transparent pixels are background; where all colours are alike,
    transparency is the trimap. A colour profile is ignored: the values are data.

    Args:
        source: the path of an image file or a PIL image of any mode, an array (H, W), (H, W, 3) or
            (H, W, 4), or a tensor (H, W) or (C, H, W) with C = 1, 3 or 4; uint8, uint16 or floating
            point in [0, 1].

    Returns:
        (H, W), float32: 1 for foreground, 0 for background, 0.5 for unknown.

    Raises:
        ValueError: if the source is not as above or cannot be read.
    """
    if isinstance(source, Tensor):
        values = source.detach()
        values = values.movedim(0, -1) if values.ndim == 3 else values
    elif isinstance(source, np.ndarray):
        values = torch.from_numpy(np.ascontiguousarray(source))
    elif isinstance(source, str | os.PathLike | Image.Image):
        values = _picture_values(open_image(source, "the trimap"))
    else:
        raise ValueError(
            f"the trimap is a {type(source).__name__}; it must be a path, a PIL image, an array or "
            "a tensor."
        )
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[-1] not in (1, 3, 4) or values.numel() == 0:
        raise ValueError(
            f"the trimap has the shape {tuple(source.shape)}; it must be one plane, or three or "
            "four channels."
            if isinstance(source, Tensor | np.ndarray)
            else "the trimap is empty; it must hold pixels."
        )
    levels = _unit_range(values)
    grey = levels[..., :3].mean(-1)
    if levels.shape[-1] == 4:
        opacity = levels[..., 3]
        grey = opacity if bool((grey == grey.flatten()[0]).all()) else grey * opacity
    known = torch.full_like(grey, 0.5)
    known[grey <= _TOLERANCE] = 0
    known[grey >= 1 - _TOLERANCE] = 1
    return known


def _picture_values(picture: Image.Image) -> Tensor:
    """The values of a picture of any mode, (H, W) or (H, W, C)."""
    if picture.mode == "F":
        return torch.from_numpy(np.array(picture))
    if picture.mode.startswith("I"):
        return torch.from_numpy(np.array(picture).astype(np.float32) / 65535)
    try:
        mode = "RGBA" if picture.has_transparency_data else "RGB"
        return torch.from_numpy(np.array(picture.convert(mode)))
    except ValueError as error:
        raise ValueError(f"the trimap cannot be converted to RGB ({error}).") from None


def _unit_range(values: Tensor) -> Tensor:
    """float32 in [0, 1]."""
    if values.dtype in (torch.uint8, torch.uint16):
        return values.float() / torch.iinfo(values.dtype).max
    if not values.is_floating_point():
        raise ValueError(
            f"the trimap is {values.dtype}; it must be uint8, uint16 or floating point in [0, 1]."
        )
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"the trimap has values from {float(values.min()):g} to {float(values.max()):g}; they "
            "must lie in [0, 1]."
        )
    return values.float()
