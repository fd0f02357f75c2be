"""Photos in and out: files, PIL images, arrays and tensors to RGB tensors, and back to files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pydpst.photos.arrays import check_sides, check_unit
from pydpst.photos.decode import Source, decode, size_of
from pydpst.photos.encode import PICTURES, SIXTEEN_BIT, WITH_OPACITY, encoded
from pydpst.photos.profiles import in_unit, srgb_pixels
from pydpst.photos.writing import check_output, write_whole


def load_image(source: Source, name: str = "image") -> Tensor:
    """A photo as an RGB tensor.

    Files and PIL images may be grey, palette, RGB, CMYK or Lab, of 8 or 16 bits, with opacity or
    without. Their EXIF orientation is applied, an embedded ICC profile is converted to sRGB where
    it fits, and the first frame is taken. Transparent pixels are composited on white.

    Args:
        source: the path of an image file, a PIL image, an array (H, W), (H, W, 3) or (H, W, 4),
            uint8, uint16 or floating point in [0, 1], or a tensor (3, H, W) or (1, 3, H, W), uint8
            or floating point in [0, 1].
        name: what to call the photo in an error, such as "content" or "style".

    Returns:
        (3, H, W), float32, values in [0, 1]; on the CPU, or where the tensor given is.

    Raises:
        ValueError: if the source is not as above, cannot be read, or has a side under 16 pixels.
        ImportError: if it is HEIC and pillow-heif is not installed.
    """
    what = f"the {name}" if name == "image" else f"the {name} image"
    if isinstance(source, Tensor):
        return pixels_of(source, what)
    decoded = decode(source, what)
    image = srgb_pixels(decoded.levels, decoded.profile)
    if decoded.alpha is not None:
        image = on_white(image, torch.from_numpy(in_unit(decoded.alpha)))
    return image


def pixels_of(tensor: Tensor, what: str) -> Tensor:
    """A photo given as a tensor, as `load_image` takes it: (3, H, W), float32, where it is."""
    height, width = size_of(tensor, what)
    check_sides(height, width, what)
    tensor = tensor[0] if tensor.ndim == 4 else tensor
    if tensor.dtype == torch.uint8:
        return tensor.to(torch.float32) / 255
    if not tensor.is_floating_point():
        raise ValueError(
            f"{what} is {tensor.dtype}; a tensor must be uint8 or floating point in [0, 1]."
        )
    check_unit(tensor, what)
    return tensor.detach().to(torch.float32, copy=True)


def on_white(image: Tensor, alpha: Tensor) -> Tensor:
    """A photo (3, H, W) with the opacity (H, W), both in [0, 1], on white; changed in place."""
    return image.sub_(1).mul_(alpha).add_(1)


def save_image(image: Tensor, path: str | os.PathLike[str]) -> None:
    """Writes a photo, 8 bits a channel; whole or not at all.

    Args:
        image: (3, H, W), or (4, H, W) with opacity last, floating point; values are clamped to
            [0, 1] and rounded.
        path: as for `check_output`; with opacity, not jpg.

    Raises:
        ValueError: if the image has another shape or holds NaN, or the path is refused by
            `check_output`.
        OSError: if writing fails.
    """
    path = check_output(path, WITH_OPACITY if image.shape[:1] == (4,) else PICTURES)
    write_whole(path, encode_image(image, path.suffix))


def encode_image(image: Tensor, suffix: str) -> bytes | memoryview:
    """The bytes of an image file, 8 bits a channel.

    Args:
        image: (3, H, W), or (4, H, W) with opacity, floating point; values are clamped to [0, 1]
            and rounded.
        suffix: one of PICTURES, or for opacity of WITH_OPACITY.

    Raises:
        ValueError: if the image has another shape or holds NaN.
    """
    if image.ndim != 3 or image.shape[0] not in (3, 4):
        raise ValueError(
            f"the image has the shape {tuple(image.shape)}; it must be (3, H, W) or (4, H, W)."
        )
    return encoded(_levels(image, 255).astype(np.uint8).transpose(1, 2, 0), suffix)


def save_alpha(alpha: Tensor, path: str | os.PathLike[str], bits: int = 8) -> None:
    """Writes a matte as a grey picture; whole or not at all.

    Args:
        alpha: (H, W), floating point; values are clamped to [0, 1] and rounded.
        path: as for `check_output`; with 16 bits, one of SIXTEEN_BIT.
        bits: 8 or 16.

    Raises:
        ValueError: if the matte has another shape or holds NaN, or the path is refused by
            `check_output`.
        OSError: if writing fails.
    """
    path = check_output(path, SIXTEEN_BIT if bits == 16 else PICTURES)
    if alpha.ndim != 2:
        raise ValueError(f"the matte has the shape {tuple(alpha.shape)}; it must be (H, W).")
    levels = _levels(alpha, 2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)
    write_whole(path, encoded(levels, path.suffix))


def _levels(values: Tensor, largest: int) -> np.ndarray[Any, Any]:
    if not torch.isfinite(values).all():
        raise ValueError("the image holds NaN or infinity; its values must be finite.")
    levels: np.ndarray[Any, Any] = (
        (values.detach().cpu().float().clamp(0, 1) * largest).round().numpy()
    )
    return levels
