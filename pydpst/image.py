"""Photos in and out: files, PIL images, arrays and tensors to RGB tensors, and back to files."""

from __future__ import annotations

import io
import os
import secrets
import tempfile
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

Source: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray[Any, Any] | Tensor

# The smallest side that leaves one pixel at conv5, which lies behind four halvings.
MINIMUM_SIDE = 16

# Raster formats only: others, such as EPS, make Pillow run an interpreter.
_READABLE = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

_WRITABLE: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".tif": ("TIFF", {"compression": "tiff_lzw"}),
    ".tiff": ("TIFF", {"compression": "tiff_lzw"}),
    ".webp": ("WEBP", {"quality": 95}),
}

PICTURES = tuple(_WRITABLE)
SIXTEEN_BIT = (".png", ".tif", ".tiff")
WITH_OPACITY = (*SIXTEEN_BIT, ".webp")


def load_image(source: Source, name: str = "image") -> Tensor:
    """A photo as an RGB tensor.

    Files and PIL images may be grey, palette, RGB, RGBA, CMYK or 16-bit grey. Their EXIF
    orientation is applied, an embedded ICC profile is converted to sRGB where it fits, and the
    first frame is taken. Transparent pixels are composited on white.

    Args:
        source: the path of an image file, a PIL image, an array (H, W), (H, W, 3) or (H, W, 4),
            uint8, uint16 or floating point in [0, 1], or a tensor (3, H, W) or (1, 3, H, W), uint8
            or floating point in [0, 1].
        name: what to call the photo in an error, such as "content" or "style".

    Returns:
        (3, H, W), float32, values in [0, 1]; on the CPU, or where the tensor given is.

    Raises:
        ValueError: if the source is not as above, cannot be read, or has a side under 16 pixels.
    """
    what = f"the {name}" if name == "image" else f"the {name} image"
    if isinstance(source, Tensor):
        image = _from_tensor(source, what)
    elif isinstance(source, np.ndarray):
        image = _from_array(source, what)
    elif isinstance(source, str | os.PathLike | Image.Image):
        picture = open_image(source, what)
        if not isinstance(source, Image.Image):
            what = f"{what} {os.fspath(source)}"
        image = _from_picture(picture, what)
    else:
        raise ValueError(
            f"{what} is a {type(source).__name__}; it must be a path, a PIL image, an array or a "
            "tensor."
        )
    height, width = image.shape[-2:]
    if min(height, width) < MINIMUM_SIDE:
        raise ValueError(
            f"{what} is {width}×{height} pixels; each side must have at least {MINIMUM_SIDE}."
        )
    return image


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
        ValueError: if it is no file, is of no format that is read, or is damaged.
    """
    try:
        if isinstance(source, Image.Image):
            return ImageOps.exif_transpose(source)
        what = f"{what} {os.fspath(source)}"
        # Read whole, so that no file stays open and what fails from here on is the decoding.
        data = io.BytesIO(Path(source).read_bytes())
        with warnings.catch_warnings():
            # Pillow warns of a possible bomb from half the size at which it refuses one.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(data, formats=_READABLE)
            return ImageOps.exif_transpose(picture)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{what} does not exist; give the path of an image file.") from None
    except IsADirectoryError:
        raise ValueError(f"{what} is a folder; give the path of an image file.") from None
    except UnidentifiedImageError:
        raise ValueError(
            f"{what} is not an image; give a file in one of the formats {', '.join(_READABLE)}."
        ) from None
    except Image.DecompressionBombError:
        raise ValueError(
            f"{what} has more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels, too many to decode "
            "safely; make it smaller."
        ) from None
    except PermissionError:
        raise ValueError(f"{what} may not be read; give a file that you may read.") from None
    except Exception as error:  # decoders raise whatever damaged bytes make them trip over
        raise ValueError(f"{what} cannot be decoded ({error}); give an undamaged file.") from None


def _from_tensor(tensor: Tensor, what: str) -> Tensor:
    if tensor.ndim == 4 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.shape[0] != 3:
        raise ValueError(
            f"{what} has the shape {tuple(tensor.shape)}; a tensor must be (3, H, W) or "
            "(1, 3, H, W)."
        )
    if tensor.dtype == torch.uint8:
        return tensor.to(torch.float32) / 255
    if not tensor.is_floating_point():
        raise ValueError(
            f"{what} is {tensor.dtype}; a tensor must be uint8 or floating point in [0, 1]."
        )
    _check_values(tensor, what)
    return tensor.detach().to(torch.float32, copy=True)


def _from_array(array: np.ndarray[Any, Any], what: str) -> Tensor:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(
            f"{what} has the shape {array.shape}; an array must be (H, W), (H, W, 3) or (H, W, 4)."
        )
    scale = {"u1": 255, "u2": 65535}.get(array.dtype.str[1:])
    if scale is None and array.dtype.kind != "f":
        raise ValueError(
            f"{what} is {array.dtype}; an array must be uint8, uint16 or floating point in [0, 1]."
        )
    values = torch.from_numpy(np.array(array, dtype=np.float32, order="C"))
    if scale is None:
        _check_values(values, what)
    else:
        values /= scale
    if values.ndim == 2:
        values = values[..., None].expand(-1, -1, 3)
    colours, alpha = values[..., :3], values[..., 3:]
    if alpha.numel():
        colours = colours * alpha + (1 - alpha)
    return colours.permute(2, 0, 1).contiguous()


def _from_picture(picture: Image.Image, what: str) -> Tensor:
    if picture.mode == "F" or picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.float32)
        return _from_array(values if picture.mode == "F" else values / 65535, what)
    try:
        alpha = None
        if picture.has_transparency_data:
            alpha = picture.convert("RGBA").getchannel("A")
        if picture.mode not in ("L", "RGB", "CMYK", "LAB"):
            picture = picture.convert("RGB")
        picture = _to_srgb(picture).convert("RGB")
    except ValueError as error:
        raise ValueError(f"{what} cannot be converted to RGB ({error}).") from None
    if alpha is not None:
        picture.putalpha(alpha)
    return _from_array(np.asarray(picture), what)


def _to_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if not profile:
        return picture
    try:
        converted = ImageCms.profileToProfile(
            picture, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, ImportError):  # a broken profile, or one for another mode
        return picture
    return converted or picture


def _check_values(values: Tensor, what: str) -> None:
    if values.numel() == 0:
        return
    if not torch.isfinite(values).all():
        raise ValueError(f"{what} holds NaN or infinity; its values must lie in [0, 1].")
    low, high = values.min().item(), values.max().item()
    if low < 0 or high > 1:
        raise ValueError(f"{what} has values from {low:g} to {high:g}; they must lie in [0, 1].")


def resize(image: Tensor, size: int) -> Tensor:
    """Scales a photo down until its longer side has `size` pixels; never up.

    Args:
        image: (3, H, W), values in [0, 1].
        size: pixels, at least 16.

    Returns:
        (3, h, w), antialiased, values in [0, 1], no side under 16 pixels.

    Raises:
        ValueError: if size is not a whole number of at least 16.
    """
    if not isinstance(size, int) or size < MINIMUM_SIDE:
        raise ValueError(f"size is {size}; it must be a whole number of at least {MINIMUM_SIDE}.")
    height, width = image.shape[-2:]
    scale = size / max(height, width)
    if scale >= 1:
        return image
    return _scale(
        image, max(MINIMUM_SIDE, round(height * scale)), max(MINIMUM_SIDE, round(width * scale))
    )


def _scale(image: Tensor, height: int, width: int) -> Tensor:
    scaled = F.interpolate(image[None], (height, width), mode="bicubic", antialias=True)
    return scaled[0].clamp(0, 1)


def match_size(image: Tensor, other: Tensor, name: str, other_name: str) -> Tensor:
    """Scales a photo to the size of another of the same aspect.

    Args:
        image: (3, H, W), values in [0, 1].
        other: (3, h, w), of which only the size is used.
        name: what to call the photo in an error, such as "content".
        other_name: likewise.

    Returns:
        (3, h, w), antialiased, values in [0, 1].

    Raises:
        ValueError: if the aspects differ, by more than a pixel or 1 %.
    """
    (height, width), (wanted_height, wanted_width) = image.shape[-2:], other.shape[-2:]
    if (height, width) == (wanted_height, wanted_width):
        return image
    scale = max(wanted_height / height, wanted_width / width)
    slack = max(1.0, 0.01 * scale * max(height, width))
    if max(scale * height - wanted_height, scale * width - wanted_width) > slack:
        raise ValueError(
            f"the {name} is {width}×{height} pixels and the {other_name} "
            f"{wanted_width}×{wanted_height}; they must have the same aspect."
        )
    return _scale(image, wanted_height, wanted_width)


def side_by_side(images: Sequence[Tensor]) -> Tensor:
    """Puts photos in a row, scaled to the height of the lowest, a thin white gap between them.

    Args:
        images: at least one (3, H, W), values in [0, 1].

    Returns:
        (3, h, w) on the CPU, values in [0, 1].
    """
    height = min(image.shape[1] for image in images)
    gap = torch.ones(3, height, max(2, height // 64))
    row: list[Tensor] = []
    for image in images:
        width = max(1, round(image.shape[2] * height / image.shape[1]))
        row += [gap, _scale(image.detach().cpu().float(), height, width)]
    return torch.cat(row[1:], 2)


def check_output(path: str | os.PathLike[str], suffixes: Collection[str] = PICTURES) -> Path:
    """The path of a file to be written, if it can be.

    Args:
        path: where to write; its suffix gives the format.
        suffixes: those it may have; by default those of pictures.

    Returns:
        The same path.

    Raises:
        ValueError: if the suffix is none of these, the path is a folder, or its parent is no folder
            that can be written to.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"the output {path} must end in one of {', '.join(suffixes)}.")
    if path.is_dir():
        raise ValueError(f"the output {path} is a folder; give the path of a file.")
    if not path.parent.is_dir():
        raise ValueError(f"the output folder {path.parent} does not exist; create it first.")
    try:
        # Permission bits do not tell all: root passes them, and a file system may be read-only.
        tempfile.NamedTemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ValueError(
            f"the output folder {path.parent} cannot be written to ({error.strerror}); choose "
            "another."
        ) from None
    return path


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


def encode_image(image: Tensor, suffix: str) -> bytes:
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
    return _encoded(_levels(image, 255).astype(np.uint8).transpose(1, 2, 0), suffix)


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
    write_whole(path, _encoded(levels, path.suffix))


def _levels(values: Tensor, largest: int) -> np.ndarray[Any, Any]:
    if not torch.isfinite(values).all():
        raise ValueError("the image holds NaN or infinity; its values must be finite.")
    levels: np.ndarray[Any, Any] = (
        (values.detach().cpu().float().clamp(0, 1) * largest).round().numpy()
    )
    return levels


def _encoded(levels: np.ndarray[Any, Any], suffix: str) -> bytes:
    picture = Image.fromarray(np.ascontiguousarray(levels))
    file_format, options = _WRITABLE[suffix.lower()]
    encoded = io.BytesIO()
    picture.save(encoded, format=file_format, **options)
    return encoded.getvalue()


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file beside its place and renames it, so that it is there whole or not at all.

    Raises:
        OSError: if writing fails.
    """
    beside = path.parent / f".pydpst-{secrets.token_hex(4)}.part"
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    except OSError as error:
        raise OSError(f"the output {path} could not be written ({error.strerror}).") from None
    finally:
        beside.unlink(missing_ok=True)
