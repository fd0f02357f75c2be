"""Levels and metadata as the bytes of picture files."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any, Literal

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, PngImagePlugin

from pydpst.photos.exif import append_groups, groups_of
from pydpst.photos.metadata import TIFF_DESCRIPTIVE, TIFF_IPTC, TIFF_XMP, Metadata

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
SIXTEEN_BIT = (".png", ".tif", ".tiff")
WITH_OPACITY = (*SIXTEEN_BIT, ".webp")
# The longest side that a format holds, where it is short.
LONGEST_SIDE = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}

_QUALITY = 95
_LOWEST_QUALITY = 92
# Photos become hardly smaller by more, which takes three times as long.
_PNG_LEVEL = 2
_LARGEST_SEGMENT = 65533
_IPTC_SEGMENT = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0"
_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_TEXT = b"XML:com.adobe.xmp\0\0\0\0\0"
# Of a PNG: its signature and first chunk, IHDR, which metadata come after.
_PNG_START = 33

_NOTHING = Metadata()


def encoded(
    levels: np.ndarray[Any, Any], suffix: str, metadata: Metadata = _NOTHING
) -> bytes | memoryview:
    """The bytes of a picture file.

    Args:
        levels: (H, W) grey, (H, W, 2) grey with opacity, (H, W, 3) or (H, W, 4) with opacity;
            uint8, or uint16 for one of SIXTEEN_BIT.
        suffix: one of PICTURES, which gives the format; with opacity, one of WITH_OPACITY.
        metadata: what else the file is to say. JPEG has the quality that it gives, but at least 92;
            without one 95, and full resolution of colour.
    """
    suffix = suffix.lower()
    levels = np.ascontiguousarray(levels)
    if suffix in (".tif", ".tiff"):
        return _tiff(levels, metadata)
    if suffix == ".png":
        return _png(levels, metadata)
    options: dict[str, Any] = {
        "quality": min(100, max(_LOWEST_QUALITY, metadata.quality or _QUALITY)),
        "icc_profile": metadata.icc,
    }
    if suffix == ".webp":
        exif, xmp = metadata.exif, metadata.xmp
    else:
        exif = _fitting("EXIF", metadata.exif, b"Exif\0\0")
        xmp = _fitting("XMP", metadata.xmp, _XMP_SEGMENT)
        iptc = _fitting("IPTC", metadata.iptc, _IPTC_SEGMENT)
        options["subsampling"] = metadata.subsampling or "4:4:4"
        options["dpi"] = metadata.dpi or (0, 0)
        options["extra"] = b"" if iptc is None else _iptc_segment(iptc)
    if exif is not None:
        options["exif"] = b"Exif\0\0" + exif
    if xmp is not None:
        options["xmp"] = xmp
    buffer = io.BytesIO()
    picture = Image.fromarray(levels)
    picture.save(buffer, "WEBP" if suffix == ".webp" else "JPEG", **options)
    return buffer.getbuffer()


def _fitting(name: str, value: bytes | None, header: bytes) -> bytes | None:
    if value is None or len(header) + 4 + len(value) <= _LARGEST_SEGMENT:
        return value
    warnings.warn(
        f"the photo has {len(value)} bytes of {name}, more than JPEG holds; they are left out.",
        stacklevel=4,
    )
    return None


def _iptc_segment(iptc: bytes) -> bytes:
    payload = _IPTC_SEGMENT + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    return b"\xff\xed" + struct.pack(">H", 2 + len(payload)) + payload


def _png(levels: np.ndarray[Any, Any], metadata: Metadata) -> memoryview:
    data = imagecodecs.png_encode(levels, level=_PNG_LEVEL)
    buffer = io.BytesIO()
    buffer.write(data[:_PNG_START])
    if metadata.icc:
        compressed = b"ICC profile\0\0" + zlib.compress(metadata.icc)
        PngImagePlugin.putchunk(buffer, b"iCCP", compressed)
    if metadata.dpi:
        across, down = (round(value / 0.0254) for value in metadata.dpi)
        PngImagePlugin.putchunk(buffer, b"pHYs", struct.pack(">IIB", across, down, 1))
    if metadata.exif:
        PngImagePlugin.putchunk(buffer, b"eXIf", metadata.exif)
    if metadata.xmp:
        PngImagePlugin.putchunk(buffer, b"iTXt", _XMP_TEXT + metadata.xmp)
    buffer.write(memoryview(data)[_PNG_START:])
    return buffer.getbuffer()


def _tiff(levels: np.ndarray[Any, Any], metadata: Metadata) -> memoryview:
    exif = Image.Exif()
    exif.load(metadata.exif or b"")
    tags: list[tuple[int, int, int, Any, bool]] = [
        (tag, *_typed(exif[tag]), True) for tag in TIFF_DESCRIPTIVE if tag in exif
    ]
    # tifffile leaves EXIF's directories out: the tags before theirs, unused here, keep the places.
    groups = groups_of(exif)
    tags += [(group - 1, 4, 1, 0, True) for group in groups]
    if metadata.xmp:
        tags.append((TIFF_XMP, 1, len(metadata.xmp), metadata.xmp, True))
    if metadata.iptc:
        tags.append((TIFF_IPTC, 7, len(metadata.iptc), metadata.iptc, True))
    order: Literal[">", "<"] = ">" if exif.endian == ">" else "<"
    buffer = io.BytesIO()
    channels = levels.shape[2] if levels.ndim == 3 else 1
    tifffile.imwrite(
        buffer,
        levels,
        byteorder=order,
        photometric="rgb" if channels > 2 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        planarconfig="contig" if channels > 1 else None,
        compression="zlib",
        predictor=True,
        iccprofile=metadata.icc,
        resolution=metadata.dpi,
        resolutionunit="INCH" if metadata.dpi else None,
        software=False,
        metadata=None,
        extratags=tags,
    )
    append_groups(buffer, groups, order)
    return buffer.getbuffer()


def _typed(value: Any) -> tuple[int, int, Any]:
    """A tag's type, count and value, as tifffile takes it."""
    if isinstance(value, int):
        return 3, 1, value
    text = value if isinstance(value, bytes) else str(value).encode("latin-1", "replace")
    return 2, len(text) + 1, text
