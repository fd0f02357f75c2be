"""Picture files of strangers, decoded: their levels as stored, upright, and what else they say."""

from __future__ import annotations

import io
import math
import os
import warnings
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import tifffile
import torch
from PIL import Image, ImageCms
from torch import Tensor

from pydpst.photos.arrays import check_shape, check_sides, check_unit, levels_of_array
from pydpst.photos.jpeg2000 import deep_jpeg2000
from pydpst.photos.metadata import (
    Metadata,
    is_adobe_rgb,
    metadata_of,
    metadata_of_tiff,
    orientation_of,
)
from pydpst.photos.opening import (
    check_no_raw,
    named,
    open_picture,
    opened,
    picture_of,
    read_file,
    sentences,
    silent,
)
from pydpst.photos.png import bit_depth, png_profile, sixteen_bit_png
from pydpst.photos.profiles import CHANNELS, Profile, adobe_rgb_profile, read_profile
from pydpst.photos.tiff import (
    LAB,
    alone,
    is_plain,
    is_tiff,
    levels_of_page,
    main_page,
    orientation_of_page,
    transfer_profile,
)

Levels = np.ndarray[Any, Any]
_Parts: TypeAlias = tuple[Levels, Levels | None, int, Metadata, bool]
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
        check_shape(source, what)
        height, width = source.shape[-2:] if isinstance(source, Tensor) else source.shape[:2]
        return int(height), int(width)
    if isinstance(source, Image.Image):
        return source.height, source.width
    what = named(source, what)
    with sentences(what), opened(source, what) as file:
        head = file.read(16)
        file.seek(0)
        check_no_raw(head, what)
        if is_tiff(head):
            assert isinstance(source, str | os.PathLike)
            with tifffile.TiffFile(os.fspath(source)) as tiff:
                page = main_page(tiff, what)
                return page.imagelength, page.imagewidth
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
        return Decoded(*levels_of_array(source, what), None, Metadata())
    what = named(source, what)
    with sentences(what):
        data = None if isinstance(source, Image.Image) else read_file(source, what)
        if data is not None and is_tiff(data):
            levels, alpha, turn, metadata, damaged = _of_tiff(data, what)
        else:
            levels, alpha, turn, metadata, damaged = _of_picture(source, data, what)
    if damaged:
        warnings.warn(f"{what} has damaged metadata, which are left out.", stacklevel=3)
    metadata, profile = _with_profile(metadata, levels.shape[2], what)
    if profile is not None and profile.space == "rgb" and levels.shape[2] == 1:
        levels = np.broadcast_to(levels, (*levels.shape[:2], 3))
    if alpha is not None:
        alpha = _turned_array(alpha, turn)
    return Decoded(_turned_array(levels, turn), alpha, profile, metadata)


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
    picture.info.pop("icc_profile", None)
    assert converted is not None
    return converted


def _of_picture(
    source: str | os.PathLike[str] | Image.Image, data: bytes | None, what: str
) -> _Parts:
    """Levels, opacity, orientation and metadata, and whether these are damaged."""
    picture = source if isinstance(source, Image.Image) else None
    if picture is None:
        assert data is not None
        picture = picture_of(io.BytesIO(data), what)
    check_sides(picture.height, picture.width, what)
    if picture.format in ("GIF", "PNG", "WEBP") and getattr(picture, "is_animated", False):
        warnings.warn(f"{what} has several frames; the first is taken.", stacklevel=4)
    is_png = data is not None and picture.format == "PNG"
    deep, has_alpha = None, False
    if is_png and data is not None and bit_depth(data) == 16:
        deep, has_alpha = sixteen_bit_png(picture, data)
    elif data is not None and picture.format == "JPEG2000":
        deep, has_alpha = deep_jpeg2000(data, what), picture.mode in ("LA", "RGBA")
    picture.load()  # with what stands behind the pixels
    if deep is not None:
        if deep[..., 0].size != math.prod(picture.size):
            raise ValueError(f"its pixels have the shape {deep.shape}")
        levels, alpha = (deep[..., :-1], deep[..., -1]) if has_alpha else (deep, None)
    else:
        if is_png and data is not None:
            _scale_key(picture, bit_depth(data))
        levels, alpha = _levels(picture, what)
    with silent():
        metadata, damaged = metadata_of(picture)
    if is_png and data is not None:
        metadata = replace(metadata, icc=png_profile(picture, data, what))
    return levels, alpha, orientation_of(picture), metadata, damaged


def _scale_key(picture: Image.Image, bits: int) -> None:
    """Pillow scales grey of few bits to 8, but not the level that is transparent."""
    key = picture.info.get("transparency")
    if picture.mode == "L" and bits < 8 and isinstance(key, int):
        picture.info["transparency"] = key * (255 // (2**bits - 1))


def _of_tiff(data: bytes, what: str) -> _Parts:
    check_no_raw(data[:16], what)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = main_page(file, what)
        check_sides(page.imagelength, page.imagewidth, what)
        with silent():
            metadata, damaged = metadata_of_tiff(data, page)
        if metadata.icc is None:
            metadata = replace(metadata, icc=transfer_profile(page, what))
        turn = orientation_of_page(page, file.pages.first)
        if is_plain(page, what):
            levels, alpha = levels_of_page(page, what)
            if page.photometric in LAB:
                metadata = replace(metadata, icc=None)
            return levels, alpha, turn, metadata, damaged
        picture = picture_of(io.BytesIO(alone(data, page)), what)
        picture.load()
        if orientation_of_page(page, page) == turn:
            turn = 1  # Pillow has turned it
        levels, alpha = _levels(picture, what)
        return levels, alpha, turn, metadata, damaged


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
