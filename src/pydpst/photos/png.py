"""What PNG says of its colours beside a profile, and its samples of 16 bits."""

from __future__ import annotations

import struct
import warnings
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from pydpst.photos.opening import Refused
from pydpst.photos.profiles import SRGB_PRIMARIES, profile_of

_SIGNATURE = 8
# Where the header IHDR has them.
_BIT_DEPTH, _COLOR_TYPE = 24, 25
_D65, _DCI = (0.3127, 0.3290), (0.314, 0.351)
# White, red, green and blue of ITU-T H.273's ColourPrimaries.
_PRIMARIES = {
    1: SRGB_PRIMARIES,
    4: (0.310, 0.316, 0.670, 0.330, 0.210, 0.710, 0.140, 0.080),
    5: (*_D65, 0.640, 0.330, 0.290, 0.600, 0.150, 0.060),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (*_DCI, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
# Its TransferCharacteristics: a curve by its name, or a power.
_TRANSFERS: dict[int, str | float] = {
    1: "bt709",
    4: 2.2,
    5: 2.8,
    6: "bt709",
    8: 1.0,
    13: "srgb",
    14: "bt709",
    15: "bt709",
}
_HDR = {16: "PQ", 18: "HLG"}


def png_profile(picture: Image.Image, data: bytes, what: str) -> bytes | None:
    """The profile of a PNG's colours; None for sRGB, and where it says nothing.

    By the PNG specification (third edition, section 4.3): cICP counts before iCCP, that before
    sRGB, and that before gAMA and cHRM.

    Args:
        picture: whose header is read.
        data: of the file.
        what: what to call it.

    Raises:
        ValueError: if it is HDR, which is not read.
    """
    info = picture.info
    grey = data[_COLOR_TYPE] in (0, 4)
    cicp = _chunk(data, b"cICP")
    if cicp is not None and len(cicp) == 4:
        if name := _HDR.get(cicp[1]):
            raise Refused(f"{what} is HDR ({name}), which is not read; export it as SDR.")
        if cicp[0] in _PRIMARIES and cicp[1] in _TRANSFERS and cicp[2] == 0 and cicp[3] == 1:
            return profile_of(_PRIMARIES[cicp[0]], _TRANSFERS[cicp[1]], grey)
        if cicp[0] != 2 and cicp[1] != 2:  # which is "unspecified"
            codes = ", ".join(str(code) for code in cicp)
            warnings.warn(
                f"{what} has colours by the codes {codes} of cICP, which are not known and left "
                "out.",
                stacklevel=4,
            )
    if icc := info.get("icc_profile"):
        return bytes(icc)
    if "srgb" in info:
        return None
    gamma, primaries = info.get("gamma"), info.get("chromaticity", SRGB_PRIMARIES)
    if not _is_gamut(primaries):
        warnings.warn(f"{what} has impossible primaries, which are left out.", stacklevel=4)
        primaries = SRGB_PRIMARIES
    if gamma is not None and not 0.1 <= gamma <= 4:
        warnings.warn(f"{what} has a gamma of {gamma:g}, which is left out.", stacklevel=4)
        gamma = None
    if any(abs(a - b) > 0.002 for a, b in zip(primaries, SRGB_PRIMARIES, strict=True)):
        # Without a gamma, the curve that pictures usually have.
        return profile_of(primaries, 1 / gamma if gamma else "srgb", grey)
    # 1 / 2.2 is how sRGB is said by those who do not say it otherwise.
    return (
        None
        if gamma is None or abs(gamma - 1 / 2.2) < 0.01
        else profile_of(SRGB_PRIMARIES, 1 / gamma, grey)
    )


def sixteen_bit_png(picture: Image.Image, data: bytes) -> tuple[np.ndarray[Any, Any], bool]:
    """Samples (H, W, channels), of which the last is opacity if so said; uint16."""
    stored = imagecodecs.png_decode(data)
    stored = stored.reshape(*stored.shape[:2], -1)
    key = picture.info.get("transparency")
    if key is None or isinstance(key, bytes):
        return stored, stored.shape[2] in (2, 4)
    samples = np.asarray(key, np.uint16).reshape(-1)
    colours = stored[..., : len(samples)]
    opaque = (colours != samples).any(-1, keepdims=True)
    return np.concatenate([colours, opaque * np.uint16(65535)], 2), True


def bit_depth(data: bytes) -> int:
    """Bits of a sample."""
    return data[_BIT_DEPTH]


def _is_gamut(primaries: tuple[float, ...]) -> bool:
    """Whether there is a sum of the primaries that is white, and of no less than none of each."""
    white, *colours = (np.array([x, y, 1 - x - y]) for x, y in np.reshape(primaries, (4, 2)))
    triangle = np.stack(colours, 1)
    if white[1] <= 0 or abs(np.linalg.det(triangle)) < 1e-6:
        return False
    return bool((np.linalg.solve(triangle, white) > 0).all())


def _chunk(data: bytes, name: bytes) -> bytes | None:
    """A chunk of a PNG before its pixels."""
    at = _SIGNATURE
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if kind == name:
            return data[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            return None
        at += length + 12
    return None
