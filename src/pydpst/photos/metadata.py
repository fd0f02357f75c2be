"""What a photo's file says beside its pixels: EXIF, XMP, IPTC, resolution, how JPEG was written."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, replace
from typing import Any

import tifffile
from PIL import ExifTags, Image, JpegImagePlugin

from pydpst.photos.exif import _HEADERS, _directory, _upright_exif, append_groups, groups_of

_EXIF_HEADER = b"Exif\0\0"
_PHOTOSHOP_IPTC = 0x0404
TIFF_XMP, TIFF_IPTC = 700, 33723
_BIG_TIFF = b"+"
_TIFF_RESOLUTION, _TIFF_RESOLUTION_UNIT = (282, 283), 296
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


def metadata_of(picture: Image.Image) -> tuple[Metadata, bool]:
    """What a decoded picture's file says beside its pixels; of TIFF `metadata_of_tiff` does.

    Returns:
        That, and whether some of it is damaged, which is left out.
    """
    info, damaged = picture.info, False
    exif = xmp = iptc = quality = subsampling = None
    try:
        xmp = _bytes(info.get("xmp") or info.get("XML:com.adobe.xmp"))
        iptc = _bytes(info.get("photoshop", {}).get(_PHOTOSHOP_IPTC))
        exif = _exif_of(picture)
    except Exception:  # likewise
        damaged = True
    if picture.format in ("JPEG", "MPO"):
        quality, subsampling = _jpeg_settings(picture)
    dpi = info.get("dpi")
    metadata = Metadata(
        icc=info.get("icc_profile") or None,
        exif=exif or None,
        xmp=xmp or None,
        iptc=iptc or None,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 else None,
        quality=quality,
        subsampling=subsampling,
    )
    return _checked(metadata, damaged)


def metadata_of_tiff(data: bytes, page: tifffile.TiffPage) -> tuple[Metadata, bool]:
    """The same of a TIFF file: EXIF of its first picture, the profile of the one that is taken."""
    tags, damaged = Image.Exif(), False
    exif = xmp = iptc = dpi = None
    try:
        if data[2:3] != _BIG_TIFF and data[3:4] != _BIG_TIFF:  # which Pillow does not parse here
            tags.load(data)
        xmp = _bytes(tags.get(TIFF_XMP))
        iptc = _iptc_of_tiff(data)
        exif = _exif_of_tiff(tags)
        across, down = (float(tags.get(tag, 0)) for tag in _TIFF_RESOLUTION)
        unit = {2: 1.0, 3: 2.54}.get(tags.get(_TIFF_RESOLUTION_UNIT, 2))
        dpi = (across * unit, down * unit) if unit and min(across, down) > 0 else None
    except Exception:  # likewise
        damaged = True
    return _checked(Metadata(page.iccprofile or None, exif, xmp or None, iptc, dpi), damaged)


def _checked(metadata: Metadata, damaged: bool) -> tuple[Metadata, bool]:
    if metadata.exif and _upright_exif(metadata.exif, 1, 1) is None:
        return replace(metadata, exif=None), True
    return metadata, damaged


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


def _exif_of_tiff(tags: Image.Exif) -> bytes | None:
    """In TIFF, EXIF stands among the tags that describe the file: without those."""
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
