"""TIFF files: which of their pictures is the photo, and its levels."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

import numpy as np
import tifffile
import torch
from PIL import Image

from pydpst.photos.color_spaces import linear_of, srgb_of_lab
from pydpst.photos.limits import MAXIMUM_SIDE
from pydpst.photos.opening import RAW_ADVICE, Refused
from pydpst.photos.profiles import SRGB_PRIMARIES, profile_of

_Array = np.ndarray[Any, Any]

# Others are unusual, and their decoders less tried.
_COMPRESSIONS = (
    tifffile.COMPRESSION.NONE,
    tifffile.COMPRESSION.LZW,
    tifffile.COMPRESSION.DEFLATE,
    tifffile.COMPRESSION.ADOBE_DEFLATE,
    tifffile.COMPRESSION.PACKBITS,
    tifffile.COMPRESSION.ZSTD,
)
# What Pillow reads besides, of up to 8 bits.
_OF_PILLOW = (
    *_COMPRESSIONS[1:],
    tifffile.COMPRESSION.CCITTRLE,
    tifffile.COMPRESSION.CCITT_T4,
    tifffile.COMPRESSION.CCITT_T6,
    tifffile.COMPRESSION.OJPEG,
    tifffile.COMPRESSION.JPEG,
    tifffile.COMPRESSION.LZMA,
)
# How many samples a pixel has besides opacity.
_CHANNELS: dict[int, int] = {
    tifffile.PHOTOMETRIC.MINISWHITE: 1,
    tifffile.PHOTOMETRIC.MINISBLACK: 1,
    tifffile.PHOTOMETRIC.RGB: 3,
    tifffile.PHOTOMETRIC.PALETTE: 1,
    tifffile.PHOTOMETRIC.SEPARATED: 4,
    tifffile.PHOTOMETRIC.CIELAB: 3,
    tifffile.PHOTOMETRIC.ICCLAB: 3,
}
LAB = (tifffile.PHOTOMETRIC.CIELAB, tifffile.PHOTOMETRIC.ICCLAB)
_SENSOR = (tifffile.PHOTOMETRIC.CFA, tifffile.PHOTOMETRIC.LINEAR_RAW)
_DNG_VERSION, _INK_SET, _ORIENTATION, _PHOTOMETRIC = 50706, 332, 274, 262
_TRANSFER_FUNCTION, _SHORT = 301, 3
# The colours whose samples it may be of, as they are.
_TRANSFERRED = (
    tifffile.PHOTOMETRIC.MINISBLACK,
    tifffile.PHOTOMETRIC.RGB,
    tifffile.PHOTOMETRIC.YCBCR,
)
# A curve no farther from sRGB's in linear light counts as that: so is gamma 2.2, by which those say
# sRGB who do not say it otherwise.
_LIKE_SRGB = 0.01
_SIGNED, _FLOAT = 2, 3
# Bits of the tag NewSubfileType: a smaller copy, a mask.
_REDUCED, _MASK = 1, 4
# Of the pages, where the photo is looked for.
_MOST_PAGES = 32


def is_tiff(head: bytes) -> bool:
    """Whether a file that starts like this is TIFF, or one of the raw files built like it."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def main_page(file: tifffile.TiffFile, what: str) -> tifffile.TiffPage:
    """The photo among a file's pictures: its first one, unless that is a smaller copy of another.

    Raises:
        ValueError: for a camera's raw file, and for too many pixels.
    """
    pages = list(_pages(file))
    if not pages:
        raise ValueError("it holds no picture")
    first = pages[0]
    if _DNG_VERSION in first.tags or any(page.photometric in _SENSOR for page in pages):
        raise Refused(f"{what} is a camera's raw file; {RAW_ADVICE}")
    pictures = [page for page in pages if not page.subfiletype & (_REDUCED | _MASK)] or [first]
    page = pictures[0]
    for other in pictures[1:]:
        aspects = [p.imagewidth / max(1, p.imagelength) for p in (first, other)]
        if other.imagewidth > page.imagewidth and abs(math.log(aspects[0] / aspects[1])) < 0.03:
            page = other
    width, height = page.imagewidth, page.imagelength
    if max(width, height) > MAXIMUM_SIDE:
        raise Refused(
            f"{what} is {width}×{height} pixels; each side may have at most {MAXIMUM_SIDE}."
        )
    if width * height > 2 * (Image.MAX_IMAGE_PIXELS or math.inf):
        raise Image.DecompressionBombError
    return page


def orientation_of_page(page: tifffile.TiffPage, first: tifffile.TiffPage) -> int:
    """The orientation, 1 to 8: of the file's first picture where its own does not say."""
    tag = page.tags.get(_ORIENTATION) or first.tags.get(_ORIENTATION)
    return tag.value if tag is not None and tag.value in range(1, 9) else 1


def alone(data: bytes, page: tifffile.TiffPage) -> bytes:
    """The file as if this were its first picture, for decoders that find no other."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    at, length = (8, 8) if 43 in data[2:4] else (4, 4)
    return data[:at] + page.offset.to_bytes(length, order) + data[at + length :]


def is_plain(page: tifffile.TiffPage, what: str) -> bool:
    """Whether `levels_of_page` reads it; YCbCr, fax and JPEG are left to Pillow.

    Raises:
        ValueError: where neither reads it.
    """
    colours, bits = _colours(page), page.bitspersample
    if colours in _CHANNELS and page.compression in _COMPRESSIONS:
        return True
    if page.compression in _OF_PILLOW and (bits if isinstance(bits, int) else max(bits)) <= 8:
        return False
    kind, compression = (getattr(code, "name", code) for code in (colours, page.compression))
    raise Refused(
        f"{what} is TIFF of {bits} bits, {kind} compressed by {compression}, which is not read; "
        "save it as RGB without compression."
    )


def _colours(page: tifffile.TiffPage) -> int:
    """What the samples are; where the file does not say, what libtiff guesses."""
    if _PHOTOMETRIC in page.tags or page.compression not in _COMPRESSIONS:
        return page.photometric
    many = page.samplesperpixel >= 3
    return tifffile.PHOTOMETRIC.RGB if many else tifffile.PHOTOMETRIC.MINISBLACK


def transfer_profile(page: tifffile.TiffPage, what: str) -> bytes | None:
    """A profile of the curve from samples to linear light that the tag TransferFunction holds.

    TIFF 6.0, section 20: a table of 16 bits, for all channels or for each, with an entry for every
    value of a sample.

    Returns:
        None without the tag, for sRGB, and for a table that is none, which a warning tells of.
    """
    tag, colours, bits = page.tags.get(_TRANSFER_FUNCTION), _colours(page), page.bitspersample
    if tag is None or colours not in _TRANSFERRED:
        return None
    entries = 2**bits if isinstance(bits, int) else 0
    values = _shorts(page, tag) if tag.count in (entries, 3 * entries) else None
    if values is None or values.size != tag.count:
        warnings.warn(
            f"{what} has a TransferFunction of a wrong length, which is left out.", stacklevel=5
        )
        return None
    curves = values.reshape(-1, entries) / max(values.max(), 1)
    if (np.diff(curves) < 0).any() or (curves[:, -1] == 0).any():
        warnings.warn(
            f"{what} has an impossible TransferFunction, which is left out.", stacklevel=5
        )
        return None
    ramp = torch.linspace(0, 1, entries, dtype=torch.float64)
    if np.abs(curves - linear_of(ramp).numpy()).max() < _LIKE_SRGB:
        return None
    grey = colours == tifffile.PHOTOMETRIC.MINISBLACK
    return profile_of(SRGB_PRIMARIES, curves[0] if grey or len(curves) == 1 else curves, grey)


def _shorts(page: tifffile.TiffPage, tag: tifffile.TiffTag) -> _Array | None:
    """A tag's many numbers of 16 bits; tifffile would tell the log that they are no ColorMap."""
    if tag.dtype != _SHORT:
        return None
    file = page.parent.filehandle
    file.seek(tag.valueoffset)
    data = file.read(2 * tag.count)
    return np.frombuffer(data[: len(data) // 2 * 2], f"{page.parent.byteorder}u2")


def levels_of_page(page: tifffile.TiffPage, what: str) -> tuple[_Array, _Array | None]:
    """Levels and opacity, as `pydpst.photos.decode.Decoded` has them; Lab is made sRGB.

    Raises:
        ValueError: for what is not read.
    """
    colours = _colours(page)
    channels = _CHANNELS[colours]
    samples, bits = page.samplesperpixel, page.bitspersample
    if page.tags.valueof(_INK_SET, 1) != 1 and channels == 4:
        raise Refused(f"{what} is TIFF of other inks than CMYK, which is not read.")
    if not isinstance(bits, int) or page.sampleformat > _FLOAT + 1 or page.dtype is None:
        raise Refused(
            f"{what} is TIFF with samples of {bits} bits in the format {page.sampleformat}, which "
            "is not read."
        )
    if not channels <= samples <= channels + 4:
        raise Refused(f"{what} is TIFF of {samples} samples a pixel, which is not read.")
    stored = page.asarray()
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and stored.ndim == 3:
        stored = np.moveaxis(stored, 0, 2)
    if stored.size != page.imagewidth * page.imagelength * samples:
        raise ValueError(f"its pixels have the shape {stored.shape}")
    stored = stored.reshape(page.imagelength, page.imagewidth, samples)
    kinds = tuple(page.extrasamples)[: samples - channels]
    opacity = [i for i, kind in enumerate(kinds) if kind in (1, 2)]
    alpha = None
    if opacity:
        (alpha,) = np.moveaxis(_scaled(stored[..., [channels + opacity[0]]], page, what), 2, 0)
    if colours in LAB:
        return _srgb_of_lab(stored[..., :3], page, what), alpha
    if colours == tifffile.PHOTOMETRIC.PALETTE:
        return _of_palette(stored[..., 0], page.colormap), alpha
    levels = _scaled(stored[..., :channels], page, what)
    if alpha is not None and kinds[opacity[0]] == tifffile.EXTRASAMPLE.ASSOCALPHA:
        levels = _unmultiplied(levels, alpha)
    if colours == tifffile.PHOTOMETRIC.MINISWHITE:
        levels = (1 if levels.dtype.kind == "f" else np.iinfo(levels.dtype).max) - levels
    return levels, alpha


def _pages(file: tifffile.TiffFile) -> Iterator[tifffile.TiffPage]:
    """The first pictures, each with those beneath it."""
    for page in islice(file.pages, _MOST_PAGES):
        page = page.aspage()
        yield page
        if page.subifds:
            yield from (sub.aspage() for sub in islice(page.pages or (), _MOST_PAGES))


def _scaled(stored: _Array, page: tifffile.TiffPage, what: str) -> _Array:
    """Samples of any depth as levels: uint8, uint16, or float32 in [0, 1]."""
    bits = page.bitspersample
    if page.sampleformat == _FLOAT:
        values = stored.astype(np.float32)
        if not np.isfinite(values).all():
            raise Refused(f"{what} holds NaN or infinity; its values must be finite.")
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1:
            warnings.warn(
                f"{what} has values from {low:.3g} to {high:.3g}; what is beyond 0 and 1 is "
                "clipped.",
                stacklevel=6,
            )
        return values.clip(0, 1)
    if page.sampleformat != _SIGNED and stored.dtype.itemsize * 8 == bits in (8, 16):
        return stored
    largest = 2 ** (bits - (page.sampleformat == _SIGNED)) - 1
    if page.sampleformat == _SIGNED and stored.size and stored.min() < 0:
        warnings.warn(f"{what} has values below 0, which are clipped.", stacklevel=6)
    target = np.uint8 if bits <= 8 else np.uint16
    scale = np.iinfo(target).max / largest
    levels: _Array = np.empty(stored.shape, target)
    for row, into in zip(stored, levels, strict=True):
        into[:] = np.rint(row.astype(np.float64).clip(0, largest) * scale)
    return levels


def _unmultiplied(levels: _Array, alpha: _Array) -> _Array:
    """Colours that are multiplied with their opacity, without it."""
    if levels.dtype.kind == "f":
        share = np.maximum(alpha, 1e-6)[..., None]
        return np.minimum(levels / share, 1).astype(np.float32)
    largest = np.iinfo(levels.dtype).max
    whole = np.maximum(alpha, 1)[..., None] / np.float32(largest)
    return np.minimum(levels / whole, largest).round().astype(levels.dtype)


def _of_palette(stored: _Array, palette: _Array | None) -> _Array:
    if palette is None or stored.max() >= palette.shape[1]:
        raise ValueError("its palette has too few colours")
    # Its entries have 16 bits, but some programs write 8.
    entries = palette >> 8 if palette.max() > 255 else palette
    return np.take(entries.T.astype(np.uint8), stored, 0)


def _srgb_of_lab(stored: _Array, page: tifffile.TiffPage, what: str) -> _Array:
    """CIE L*a*b* of TIFF 6.0, section 23, where a* and b* are signed; or that of ICC profiles."""
    bits = page.bitspersample
    if bits not in (8, 16):
        raise Refused(f"{what} is Lab of {bits} bits, which is not read; 8 and 16 are.")
    target = np.uint8 if bits == 8 else np.uint16
    largest, unit = np.iinfo(target).max, 2.0 ** (bits - 8)
    of_icc = page.photometric == tifffile.PHOTOMETRIC.ICCLAB
    lightest = 255 * unit if of_icc else largest
    levels: _Array = np.empty(stored.shape, target)
    for row, into in zip(stored, levels, strict=True):
        lightness = row[:, 0].astype(target) * np.float32(100 / lightest)
        chroma = row[:, 1:].astype(target)
        signed = chroma - 128 * unit if of_icc else chroma.view(f"i{bits // 8}")
        lab = np.concatenate([lightness[:, None], signed / unit], 1, dtype=np.float32).T
        into[:] = (srgb_of_lab(torch.from_numpy(lab)) * largest).round().T.numpy()
    return levels
