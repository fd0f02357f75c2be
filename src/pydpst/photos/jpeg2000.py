"""JPEG 2000 of more than 8 bits; in what is not grey alone, Pillow makes white black."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np

from pydpst.photos.opening import Refused

# How a codestream starts, and where from there the number of components is, and their precisions
# (ISO/IEC 15444-1, A.5.1).
_START = b"\xff\x4f\xff\x51"
_COMPONENTS, _PRECISIONS, _STRIDE = 40, 42, 3


def deep_jpeg2000(data: bytes, what: str) -> np.ndarray[Any, Any] | None:
    """Samples (H, W, channels), uint16 of full range; None if there are at most 8 bits.

    Raises:
        ValueError: if channels differ in depth or size, or are signed.
    """
    at = data.index(_START)
    components = int.from_bytes(data[at + _COMPONENTS : at + _PRECISIONS], "big")
    kinds = data[at + _PRECISIONS :][: _STRIDE * components]
    bits = 1 + kinds[0]
    if max(kinds[::_STRIDE]) < 8:
        return None
    if bits > 16 or kinds != bytes((bits - 1, 1, 1)) * components:
        raise Refused(f"{what} is JPEG 2000 of a kind that is not read; save it as PNG or TIFF.")
    stored = imagecodecs.jpeg2k_decode(data)
    stored = stored.reshape(*stored.shape[:2], -1)
    levels: np.ndarray[Any, Any] = np.rint(stored * (65535 / (2**bits - 1))).astype(np.uint16)
    return levels
