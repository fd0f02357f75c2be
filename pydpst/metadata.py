"""What a photo's file says beside its pixels: EXIF, XMP, IPTC, resolution, how JPEG was written."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, replace
from typing import Any

import tifffile
from PIL import ExifTags, Image, JpegImagePlugin, TiffImagePlugin, TiffTags

# Of TIFF structures, whose first directory follows at once.
_HEADERS = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}
_EXIF_HEADER = b"Exif\0\0"
_PHOTOSHOP_IPTC = 0x0404
TIFF_XMP, TIFF_IPTC = 700, 33723
TIFF_DESCRIPTIVE = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Rating,
    ExifTags.Base.Copyright,
)
# Of libjpeg's quantisation of luminance at quality 50 (JPEG standard, table K.1).
_MEAN_STEP = 3692 / 64
_SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


@dataclass(frozen=True)
class Metadata:
    """What is carried over from a photo's file to its result's.

    Attributes:
        icc: the colour profile.
        exif: a TIFF structure, as in a JPEG's EXIF segment after its header.
        xmp: the packet.
        iptc: the IPTC-IIM records.
        dpi: the resolution across and down.
        quality: as libjpeg counts it, of a JPEG.
        subsampling: of a JPEG: 4:4:4, 4:2:2 or 4:2:0.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    quality: int | None = None
    subsampling: str | None = None

    def for_size(self, width: int, height: int) -> Metadata:
        """The same for an upright photo of that size, without what it would make stale."""
        return replace(
            self,
            exif=self.exif and _upright_exif(self.exif, width, height),
            xmp=self.xmp and _upright_xmp(self.xmp),
        )


def orientation_of(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where EXIF is damaged."""
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # whatever damaged bytes make the parser trip over
        return 1
    return orientation if orientation in range(1, 9) else 1


def metadata_of(picture: Image.Image, data: bytes | None) -> tuple[Metadata, bool]:
    """What a decoded picture's file says beside its pixels.

    Args:
        picture: decoded.
        data: the bytes of its file, if it has one.

    Returns:
        That, and whether some of it is damaged, which is left out.
    """
    info, damaged = picture.info, False
    exif = xmp = iptc = quality = subsampling = None
    try:
        if picture.format == "TIFF":
            xmp = _bytes(picture.getexif().get(TIFF_XMP))
            iptc = data and _iptc_of_tiff(data)
            exif = _exif_of_tiff(picture)
        else:
            xmp = _bytes(info.get("xmp") or info.get("XML:com.adobe.xmp"))
            iptc = _bytes(info.get("photoshop", {}).get(_PHOTOSHOP_IPTC))
            exif = _exif_of(picture)
    except Exception:  # likewise
        damaged = True
    if exif and _upright_exif(exif, 1, 1) is None:
        exif, damaged = None, True
    if picture.format in ("JPEG", "MPO"):
        quality, subsampling = _jpeg_settings(picture)
    dpi = info.get("dpi")
    return Metadata(
        icc=info.get("icc_profile") or None,
        exif=exif or None,
        xmp=xmp or None,
        iptc=iptc or None,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 else None,
        quality=quality,
        subsampling=subsampling,
    ), damaged


def is_adobe_rgb(exif: bytes) -> bool:
    """Whether a camera says of a photo without a profile that it is in Adobe RGB (DCF 2.0)."""
    parsed = Image.Exif()
    try:
        parsed.load(exif)
        interoperability = parsed.get_ifd(ExifTags.IFD.Exif).get(ExifTags.IFD.Interop)
        if not isinstance(interoperability, dict):
            interoperability = parsed.get_ifd(ExifTags.IFD.Interop)
        return interoperability.get(ExifTags.Interop.InteropIndex) == "R03"
    except Exception:  # likewise
        return False


def _bytes(value: object) -> bytes | None:
    if isinstance(value, tuple):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else None


def _exif_of(picture: Image.Image) -> bytes | None:
    exif = picture.info.get("exif")
    if exif is None and "Raw profile type exif" in picture.info:  # ImageMagick, in PNG
        exif = bytes.fromhex("".join(picture.info["Raw profile type exif"].split("\n")[3:]))
    return exif and bytes(exif).removeprefix(_EXIF_HEADER)


def _exif_of_tiff(picture: Image.Image) -> bytes | None:
    """In TIFF, EXIF stands among the tags that describe the file: without those."""
    tags = picture.getexif()
    groups = groups_of(tags)
    values: dict[int, Any] = {tag: tags[tag] for tag in TIFF_DESCRIPTIVE if tag in tags}
    if not values and not groups:
        return None
    order = ">" if tags.endian == ">" else "<"
    buffer = io.BytesIO(_HEADERS[order])
    buffer.seek(0, io.SEEK_END)
    places = {group - 1: 0 for group in groups}
    buffer.write(_directory(values | places, order).tobytes(buffer.tell()))
    append_groups(buffer, groups, order)
    return buffer.getvalue()


def _iptc_of_tiff(data: bytes) -> bytes | None:
    """Pillow takes only the first word where it is declared to be words, as is usual."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages.first.tags.get(TIFF_IPTC)
        value = None if tag is None else tag.value
        if isinstance(value, tuple):
            return struct.pack(f"{file.byteorder}{len(value)}I", *value)
        return value if isinstance(value, bytes) else None


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


def _jpeg_settings(picture: Image.Image) -> tuple[int | None, str | None]:
    """The quality by libjpeg's rule, turned round: the mean step over that of quality 50."""
    tables = getattr(picture, "quantization", None)
    quality = None
    if tables:
        scale = 100 * sum(tables[min(tables)]) / 64 / _MEAN_STEP
        quality = round(100 - scale / 2 if scale <= 100 else 5000 / scale)
    sampling = JpegImagePlugin.get_sampling(picture)
    return quality, _SUBSAMPLINGS[sampling] if sampling in range(3) else None


def _upright_xmp(xmp: bytes) -> bytes:
    xmp = re.sub(rb"(tiff:Orientation(?:=[\"']|>))\d", rb"\g<1>1", xmp)
    return re.sub(rb"<(xmp|xap):Thumbnails>.*?</\1:Thumbnails>", b"", xmp, flags=re.DOTALL)


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
