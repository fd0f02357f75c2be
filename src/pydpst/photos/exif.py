"""TIFF structures, as EXIF is one: read and changed in place."""

from __future__ import annotations

import io
import struct
from typing import Any

from PIL import ExifTags, Image, TiffImagePlugin, TiffTags

# Of TIFF structures, whose first directory follows at once.
_HEADERS = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}


def groups_of(exif: Image.Exif) -> dict[int, dict[int, Any]]:
    """The directories of EXIF beside the first, of the camera and of the place, by their tags."""
    camera, place = (
        dict(exif.get_ifd(group)) for group in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
    )
    if ExifTags.IFD.Interop in camera:
        camera[ExifTags.IFD.Interop] = dict(exif.get_ifd(ExifTags.IFD.Interop))
    groups = {int(ExifTags.IFD.Exif): camera, int(ExifTags.IFD.GPSInfo): place}
    return {group: values for group, values in groups.items() if values}


def append_groups(buffer: io.BytesIO, groups: dict[int, dict[int, Any]], order: str) -> None:
    """Writes directories behind a TIFF structure, and where they are into its first directory.

    Args:
        buffer: the structure, with a place for each directory under the tag before its own.
        groups: from `groups_of`.
        order: "<" or ">", that of its bytes.
    """
    for group, values in groups.items():
        offset = buffer.seek(0, io.SEEK_END)
        if offset % 2:
            offset += buffer.write(b"\0")
        buffer.write(_directory(values, order, group).tobytes(offset))
        with buffer.getbuffer() as block:
            (first,) = struct.unpack_from(f"{order}I", block, 4)
            entries, _ = _entries(block, first, order)
            struct.pack_into(f"{order}HHII", block, entries[group - 1], group, 4, 1, offset)


def _directory(
    values: dict[int, Any], order: str, group: int | None = None
) -> TiffImagePlugin.ImageFileDirectory_v2:
    directory = TiffImagePlugin.ImageFileDirectory_v2(_HEADERS[order], group=group)
    for tag, value in values.items():
        if isinstance(value, str):  # as Pillow reads it; it would write ASCII
            directory.tagtype[tag] = TiffTags.ASCII
            value = value.encode("latin-1", "replace")
        directory[tag] = value
    return directory


def _upright_exif(exif: bytes, width: int, height: int) -> bytes | None:
    """EXIF with orientation 1, this size and no thumbnail; None if it is damaged.

    It is changed in place: makers' notes hold offsets, which break when anything moves.
    """
    try:
        order = {b"II": "<", b"MM": ">"}[exif[:2]]
        block = bytearray(exif)
        (first,) = struct.unpack_from(f"{order}I", block, 4)
        entries, link = _entries(block, first, order)
        if ExifTags.Base.Orientation in entries:
            _set_number(block, entries[ExifTags.Base.Orientation], 1, order)
        if ExifTags.IFD.Exif in entries:
            (offset,) = struct.unpack_from(f"{order}I", block, entries[ExifTags.IFD.Exif] + 8)
            inner, _ = _entries(block, offset, order)
            for tag, side in (
                (ExifTags.Base.ExifImageWidth, width),
                (ExifTags.Base.ExifImageHeight, height),
            ):
                if tag in inner:
                    _set_number(block, inner[tag], side, order)
        _cut_thumbnail(block, link, order)
    except (struct.error, KeyError):
        return None
    return bytes(block)


def _entries(block: bytearray | memoryview, offset: int, order: str) -> tuple[dict[int, int], int]:
    """Where each tag of a directory stands, by tag, and where it links to the next directory."""
    (count,) = struct.unpack_from(f"{order}H", block, offset)
    places = range(offset + 2, offset + 2 + 12 * count, 12)
    return {struct.unpack_from(f"{order}H", block, at)[0]: at for at in places}, places.stop


def _set_number(block: bytearray, at: int, value: int, order: str) -> None:
    (kind,) = struct.unpack_from(f"{order}H", block, at + 2)
    if kind == 3 and value < 2**16:
        struct.pack_into(f"{order}H", block, at + 8, value)
    elif kind in (3, 4):
        struct.pack_into(f"{order}HII", block, at + 2, 4, 1, value)


def _cut_thumbnail(block: bytearray, link: int, order: str) -> None:
    (second,) = struct.unpack_from(f"{order}I", block, link)
    if not second:
        return
    struct.pack_into(f"{order}I", block, link, 0)
    entries, _ = _entries(block, second, order)
    start, length = (
        struct.unpack_from(f"{order}I", block, entries[tag] + 8)[0] if tag in entries else 0
        for tag in (ExifTags.Base.JpegIFOffset, ExifTags.Base.JpegIFByteCount)
    )
    if start + length >= len(block):
        del block[max(start, 8) :]
    else:
        block[start : start + length] = bytes(length)
