"""Picture files of strangers, decoded: their levels as stored, upright, and what else they say."""

from __future__ import annotations

import io
import math
import os
import warnings
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import imagecodecs
import numpy as np
import tifffile
import torch
from PIL import Image, ImageCms
from torch import Tensor

from pydpst.photos.limits import MINIMUM_SIDE
from pydpst.photos.metadata import Metadata, is_adobe_rgb, metadata_of, orientation_of
from pydpst.photos.opening import (
    Refused,
    named,
    open_picture,
    opened,
    picture_of,
    sentences,
    silent,
)
from pydpst.photos.profiles import CHANNELS, Profile, adobe_rgb_profile, read_profile

# Of 16-bit TIFF; others are unusual, and their decoders less tried.
_TIFF_COMPRESSIONS = (
    tifffile.COMPRESSION.NONE,
    tifffile.COMPRESSION.LZW,
    tifffile.COMPRESSION.DEFLATE,
    tifffile.COMPRESSION.ADOBE_DEFLATE,
    tifffile.COMPRESSION.PACKBITS,
    tifffile.COMPRESSION.ZSTD,
)


Levels = np.ndarray[Any, Any]
# What photos may be given as.
Source: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray[Any, Any] | Tensor


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a picture file holds, upright.

    Attributes:
        levels: (H, W, 1) grey, (H, W, 3) RGB or (H, W, 4) CMYK, where 0 is no ink; uint8, uint16,
            or float32 in [0, 1].
        alpha: (H, W), of the same type; or None.
        profile: of the levels; None where they are sRGB, or CMYK of an unknown press.
        metadata: what else the file says; a profile only if it fits.
    """

    levels: Levels
    alpha: Levels | None
    profile: Profile | None
    metadata: Metadata


def open_image(
    source: str | os.PathLike[str] | Image.Image, what: str = "the image"
) -> Image.Image:
    """A decoded picture, upright, in whatever mode it is stored.

    Args:
        source: the path of an image file, or a PIL image.
        what: what to call the picture in an error, such as "the content mask".

    Returns:
        The picture with its EXIF orientation applied.

    Raises:
        ValueError: if it is no file, is of no format that is read, is damaged, has a side over
            65500 pixels, or more pixels than Pillow decodes.
        ImportError: if it is HEIC and pillow-heif is not installed.
    """
    what = named(source, what)
    with sentences(what):
        picture, _ = open_picture(source, what)
        picture.load()
        return _turned(picture)


def size_of(source: Source, what: str) -> tuple[int, int]:
    """Height and width of a photo as stored; of a file only the head is read.

    Raises:
        ValueError: as `open_image` does.
        ImportError: likewise.
    """
    if isinstance(source, Tensor | np.ndarray):
        _check_shape(source, what)
        height, width = source.shape[-2:] if isinstance(source, Tensor) else source.shape[:2]
        return int(height), int(width)
    if isinstance(source, Image.Image):
        return source.height, source.width
    what = named(source, what)
    with sentences(what), opened(source, what) as file:
        picture = picture_of(file, what)
        return picture.height, picture.width


def decode(
    source: str | os.PathLike[str] | Image.Image | np.ndarray[Any, Any], what: str = "the image"
) -> Decoded:
    """The first frame of a picture file, as stored, or an array.

    Args:
        source: as for `open_image`, or an array (H, W), (H, W, 3) or (H, W, 4), uint8, uint16 or
            floating point in [0, 1].
        what: likewise.

    Returns:
        Levels, opacity and metadata. Palettes, YCbCr and Lab become RGB, black and white grey.

    Raises:
        ValueError: as `open_image` does, for an array that is not as above, or if a side has fewer
            than 16 pixels.
        ImportError: likewise.
    """
    if isinstance(source, np.ndarray):
        return _of_array(source, what)
    what = named(source, what)
    with sentences(what):
        picture, data = open_picture(source, what)
        check_sides(picture.height, picture.width, what)
        if picture.format in ("GIF", "PNG", "WEBP") and getattr(picture, "is_animated", False):
            warnings.warn(f"{what} has several frames; the first is taken.", stacklevel=3)
        if data and _is_sixteen_bit(picture):
            turn = orientation_of(picture)
            levels, alpha = _sixteen_bit(picture, data, what)
        else:
            picture.load()
            turn = orientation_of(picture)  # Pillow has turned TIFF by now, and says so
            levels, alpha = _levels(picture, what)
        with silent():
            metadata, damaged = metadata_of(picture, data)
    if damaged:
        warnings.warn(f"{what} has damaged metadata, which are left out.", stacklevel=3)
    metadata, profile = _with_profile(metadata, levels.shape[2], what)
    if profile is not None and profile.space == "rgb" and levels.shape[2] == 1:
        levels = np.broadcast_to(levels, (*levels.shape[:2], 3))
    if alpha is not None:
        alpha = _turned_array(alpha, turn)
    return Decoded(_turned_array(levels, turn), alpha, profile, metadata)


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
    if not torch.isfinite(values).all():
        raise Refused(f"{what} holds NaN or infinity; its values must lie in [0, 1].")
    low, high = values.min().item(), values.max().item()
    if low < 0 or high > 1:
        raise Refused(f"{what} has values from {low:g} to {high:g}; they must lie in [0, 1].")


def _check_shape(values: Tensor | np.ndarray[Any, Any], what: str) -> None:
    shape = tuple(values.shape)
    if isinstance(values, Tensor) and not (shape[-3:-2] == (3,) and shape[:-3] in ((), (1,))):
        raise Refused(f"{what} has the shape {shape}; a tensor must be (3, H, W) or (1, 3, H, W).")
    if isinstance(values, np.ndarray) and not (
        len(shape) in (2, 3) and shape[2:] in ((), (3,), (4,))
    ):
        raise Refused(
            f"{what} has the shape {shape}; an array must be (H, W), (H, W, 3) or (H, W, 4)."
        )


def _of_array(array: np.ndarray[Any, Any], what: str) -> Decoded:
    _check_shape(array, what)
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
    return Decoded(levels[..., :3], alpha, None, Metadata())


def _with_profile(metadata: Metadata, channels: int, what: str) -> tuple[Metadata, Profile | None]:
    if metadata.icc is None and channels == 3 and metadata.exif and is_adobe_rgb(metadata.exif):
        metadata = replace(metadata, icc=adobe_rgb_profile())
    if metadata.icc is None:
        return metadata, None
    try:
        profile = read_profile(metadata.icc)
        fitting = (channels,) if channels > 1 else (1, 3)
        if profile is None or CHANNELS[profile.space] in fitting:
            return metadata, profile
        problem = f"a colour profile for {profile.space}"
    except ValueError as error:
        problem = f"a damaged colour profile ({error})"
    warnings.warn(f"{what} has {problem}, which is left out.", stacklevel=4)
    return replace(metadata, icc=None), None


def _levels(picture: Image.Image, what: str) -> tuple[Levels, Levels | None]:
    if picture.mode == "F":
        return _unit(np.asarray(picture, np.float32), what), None
    if picture.mode.startswith("I"):
        levels = np.asarray(picture)
        if levels.dtype.itemsize == 2:
            return levels.astype(np.uint16)[..., None], None
        return _unit(levels.astype(np.float32) / 65535, what), None
    if picture.mode in ("CMYK", "LAB"):
        if picture.mode == "LAB":
            picture = _lab_to_rgb(picture)
        return np.asarray(picture), None
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        both = np.asarray(picture.convert("LA" if grey else "RGBA"))
        return both[..., :-1], both[..., -1]
    if grey:
        return np.asarray(picture.convert("L"))[..., None], None
    return np.asarray(picture.convert("RGB")), None


def _unit(values: Levels, what: str) -> Levels:
    check_unit(torch.tensor(values), what)
    return values[..., None]


def _lab_to_rgb(picture: Image.Image) -> Image.Image:
    converted = ImageCms.profileToProfile(
        picture, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    del picture.info["icc_profile"]
    assert converted is not None
    return converted


def _is_sixteen_bit(picture: Image.Image) -> bool:
    """Whether it is of several channels of 16 bits, of which Pillow would take the upper 8."""
    several = picture.mode in ("RGB", "RGBA", "CMYK")
    return several and ";16" in str(getattr(picture, "tile", ""))


def _sixteen_bit(picture: Image.Image, data: bytes, what: str) -> tuple[Levels, Levels | None]:
    if picture.format == "PNG":
        stored, premultiplied = imagecodecs.png_decode(data), False
    else:
        stored, premultiplied = _sixteen_bit_tiff(picture, data, what)
    if (
        stored.dtype != np.uint16
        or stored.ndim != 3
        or stored[..., 0].size != math.prod(picture.size)
    ):
        raise ValueError(f"its pixels are {stored.dtype} of the shape {stored.shape}")
    if stored.shape[2] == 2 or picture.mode == "RGBA":
        levels, alpha = stored[..., :-1], stored[..., -1]
        if premultiplied:
            whole = np.maximum(alpha, 1)[..., None] / np.float32(65535)
            levels = np.minimum(levels / whole, 65535).round().astype(np.uint16)
        return levels, alpha
    return stored[..., : len(picture.getbands())], None


def _sixteen_bit_tiff(picture: Image.Image, data: bytes, what: str) -> tuple[Levels, bool]:
    """Its pixels, and whether they are multiplied with their opacity."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        if page.compression not in _TIFF_COMPRESSIONS:
            known = ", ".join(compression.name for compression in _TIFF_COMPRESSIONS)
            raise Refused(
                f"{what} is 16-bit TIFF of the compression {page.compression}; it must be one of "
                f"{known}."
            )
        if page.imagelength * page.imagewidth != math.prod(picture.size):
            raise ValueError("its directories contradict each other")
        stored = page.asarray()
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            stored = np.moveaxis(stored, 0, 2)
        return stored, tifffile.EXTRASAMPLE.ASSOCALPHA in page.extrasamples


def _turned(picture: Image.Image) -> Image.Image:
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation_of(picture))
    return picture if method is None else picture.transpose(method)


def _turned_array(levels: Levels, orientation: int) -> Levels:
    """What is stored with an EXIF orientation, upright; a view."""
    if orientation >= 5:
        levels = levels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        levels = levels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        levels = levels[::-1]
    return levels
