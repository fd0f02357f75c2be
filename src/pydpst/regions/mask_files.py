"""Label maps as they are given: pictures in flat colours, pictures of class numbers, integers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from pydpst.photos.decode import Source, open_image

_Array = np.ndarray[Any, Any]

# Formats whose compression may change colours a little.
_LOSSY = ("JPEG", "MPO", "WEBP", "JPEG2000", "HEIF")
# Two colours nearer than this in every channel may be one that compression has changed.
SAME_COLOR = 30
# A picture with more values than this has smooth edges.
_MOST_VALUES = 64


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label map as it is given.

    Attributes:
        name: what to call it.
        colors: (H, W, 3), uint8; None for integers.
        numbers: (H, W), int64, of integers and grey pictures; None for others.
        is_lossy: whether compression may have changed colours a little.
    """

    name: str
    colors: _Array | None
    numbers: _Array | None
    is_lossy: bool

    def at(self, rows: _Array, columns: _Array) -> LabelMap:
        """The same with some of its rows and columns."""
        colors, numbers = (
            None if values is None else values[rows[:, None], columns[None]]
            for values in (self.colors, self.numbers)
        )
        return LabelMap(self.name, colors, numbers, self.is_lossy)

    @property
    def is_exact(self) -> bool:
        """Whether each value may be a label: they are as somebody chose them, and few."""
        values = self.numbers
        if values is None and self.colors is not None:
            values = packed(self.colors)
        few = values is not None and len(np.unique(values)) <= _MOST_VALUES
        return few and (not self.is_lossy or self._is_narrow)

    @property
    def _is_narrow(self) -> bool:
        """Whether all would be one label by its colours, so that they are none: class numbers."""
        return self.colors is not None and bool((np.ptp(self.colors, (0, 1)) <= SAME_COLOR).all())

    @property
    def is_deep(self) -> bool:
        """Whether it holds numbers of 16 bits that are not what 8 bits have as brightness."""
        if self.numbers is None or self.colors is None:
            return False
        eight_bit = (self.numbers == self.colors[..., 0]).all()
        return bool(not eight_bit and (self.numbers % 257).any())

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        values = self.numbers if self.colors is None else self.colors
        assert values is not None
        return values.shape[0], values.shape[1]


def read_label_map(source: Source, name: str) -> LabelMap:
    """A label map from a file, a picture or an array.

    Raises:
        ValueError: if it cannot be read, or is an array of another shape or type.
    """
    if isinstance(source, str | os.PathLike | Image.Image):
        picture = open_image(source, f"the {name}")
        return _of_picture(picture, name, _is_lossy(source))
    array = source.detach().cpu().numpy() if isinstance(source, Tensor) else np.asarray(source)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    if array.ndim == 2 and np.issubdtype(array.dtype, np.integer):
        return LabelMap(name, None, array.astype(np.int64), False)
    if array.ndim == 3 and array.shape[2] == 3:
        if np.issubdtype(array.dtype, np.floating):
            if not np.isfinite(array).all():
                raise ValueError(
                    f"the {name} holds NaN or infinity; its colours must be in [0, 1]."
                )
            array = np.round(array * 255).clip(0, 255)
        return _of_colors(array.astype(np.uint8), name, False)
    raise ValueError(
        f"the {name} has the shape {array.shape} and type {array.dtype}; it must be integer labels "
        "(H, W) or colours (H, W, 3)."
    )


def packed(colors: _Array) -> _Array:
    """Each colour (..., 3) as one number."""
    result: _Array = colors.astype(np.int64) @ np.array([65536, 256, 1])
    return result


def _is_lossy(source: str | os.PathLike[str] | Image.Image) -> bool:
    if isinstance(source, Image.Image):
        return source.format in _LOSSY
    with Image.open(source) as picture:
        if picture.format == "WEBP":
            return not _is_lossless_webp(Path(source).read_bytes())
        return picture.format in _LOSSY or picture.info.get("compression") == "jpeg"


def _is_lossless_webp(data: bytes) -> bool:
    """Whether its first picture is, by the chunks of the file."""
    at = 12
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        at += 8 + length + length % 2
    return False


def _of_picture(picture: Image.Image, name: str, lossy: bool) -> LabelMap:
    if not picture.mode.startswith(("I", "F")):
        return _of_colors(np.asarray(picture.convert("RGB")), name, lossy)
    numbers = np.nan_to_num(np.asarray(picture, np.float64)).round().astype(np.int64)
    # As brightness, they are 16 bits.
    levels = (numbers.clip(0, 65535) >> 8).astype(np.uint8)
    colors = np.repeat(levels[..., None], 3, axis=2)
    return LabelMap(name, colors, numbers, lossy)


def _of_colors(colors: _Array, name: str, lossy: bool) -> LabelMap:
    grey = bool((colors == colors[..., :1]).all())
    numbers = colors[..., 0].astype(np.int64) if grey else None
    return LabelMap(name, colors, numbers, lossy)
