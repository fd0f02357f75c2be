"""Regions that content and style share: label maps, and the soft masks made of them."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pydpst.photos.decode import Source, open_image
from pydpst.regions.mask_colors import NAMED_COLORS, color_of
from pydpst.regions.masks import Regions
from pydpst.regions.names_file import read_names

# Two colours nearer than this in every channel are one label that compression has changed.
_SAME_COLOR = 30
# A label's least share of the pixels that lie inside it, with eight neighbours of their colour:
# anti-aliased edges have none such.
_LEAST_SHARE = 2e-4


def _read_mask(source: Source, name: str) -> np.ndarray[Any, Any]:
    """Integer labels (H, W), or colours (H, W, 3) as uint8."""
    if isinstance(source, str | os.PathLike | Image.Image):
        return np.asarray(open_image(source, f"the {name}").convert("RGB"))
    array = source.detach().cpu().numpy() if isinstance(source, Tensor) else np.asarray(source)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    if array.ndim == 2 and np.issubdtype(array.dtype, np.integer):
        return array.astype(np.int64)
    if array.ndim == 3 and array.shape[2] == 3:
        if np.issubdtype(array.dtype, np.floating):
            if not np.isfinite(array).all():
                raise ValueError(
                    f"the {name} holds NaN or infinity; its colours must be in [0, 1]."
                )
            array = np.round(array * 255).clip(0, 255)
        return array.astype(np.uint8)
    raise ValueError(
        f"the {name} has the shape {array.shape} and type {array.dtype}; it must be integer labels "
        "(H, W) or colours (H, W, 3)."
    )


def _fit_size(
    mask: np.ndarray[Any, Any], photo: Tensor, name: str, size: int | None
) -> np.ndarray[Any, Any]:
    """The mask at the photo's size or less, by nearest neighbour, if it has the photo's aspect."""
    height, width = photo.shape[-2:]
    scale = max(mask.shape[0] / height, mask.shape[1] / width)
    slack = max(1.0, 0.01 * scale * max(height, width))
    if max(abs(mask.shape[0] - scale * height), abs(mask.shape[1] - scale * width)) > slack:
        raise ValueError(
            f"the {name} is {mask.shape[1]}×{mask.shape[0]} pixels and its photo {width}×{height}; "
            "they must have the same aspect."
        )
    if size is not None and size < max(height, width):
        height, width = (
            max(1, round(side * size / max(height, width))) for side in (height, width)
        )
    rows = (np.arange(height) + 0.5) * mask.shape[0] / height
    columns = (np.arange(width) + 0.5) * mask.shape[1] / width
    fitted: np.ndarray[Any, Any] = mask[rows.astype(int)[:, None], columns.astype(int)[None]]
    return fitted


def _flat_colors(mask: np.ndarray[Any, Any]) -> list[tuple[np.ndarray[Any, Any], int]]:
    """The colours that fill areas, with how many pixels they fill, most first."""
    packed = mask.astype(np.int64) @ np.array([65536, 256, 1])
    middle = packed[1:-1, 1:-1]
    inside = np.ones(middle.shape, dtype=bool)
    for dy in range(3):
        for dx in range(3):
            shifted = packed[dy : dy + middle.shape[0], dx : dx + middle.shape[1]]
            inside &= shifted == middle
    colors, counts = np.unique(middle[inside], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    unpacked = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=1)
    enough = max(1.0, _LEAST_SHARE * packed.size)
    return [(unpacked[i], int(counts[i])) for i in order if counts[i] >= enough]


def _color_name(color: np.ndarray[Any, Any], given: dict[str, str]) -> str:
    """What the file beside the maps calls a colour, or `NAMED_COLORS`, or the colour itself."""
    named = {name: color_of(code) for code, name in given.items()}
    named |= {name: known for name, known in NAMED_COLORS.items() if name not in named}
    for name, known in named.items():
        if np.abs(color - np.array(known)).max() <= _SAME_COLOR:
            return name
    return "#{:02x}{:02x}{:02x}".format(*color)


def _labels_of_colors(
    masks: list[np.ndarray[Any, Any]], given: dict[str, str]
) -> tuple[list[np.ndarray[Any, Any]], list[str]]:
    """Each pixel takes the nearest of the flat colours in either mask."""
    found = sorted((flat for mask in masks for flat in _flat_colors(mask)), key=lambda f: -f[1])
    colors: list[np.ndarray[Any, Any]] = []
    for color, _ in found:
        if all(np.abs(color - other).max() > _SAME_COLOR for other in colors):
            colors.append(color)
    if not colors:
        raise ValueError("the masks have no areas of flat colour; they must be label maps.")
    labels = []
    for mask in masks:
        nearest = np.zeros(mask.shape[:2], dtype=np.int64)
        least = np.full(mask.shape[:2], np.iinfo(np.int32).max, dtype=np.int32)
        for label, color in enumerate(colors):
            distance = np.square(mask - color.astype(np.int32)).sum(-1)
            nearest[distance < least] = label
            np.minimum(least, distance, out=least)
        labels.append(nearest)
    return labels, [_color_name(color, given) for color in colors]


@dataclass(frozen=True, eq=False)
class MaskPair:
    """The label maps of content and style; there are both or none.

    Attributes:
        content: a file, image, (H, W) integers or (H, W, 3) colours.
        style: likewise.
    """

    content: Source
    style: Source

    @classmethod
    def of(cls, content: Source | None, style: Source | None) -> MaskPair | None:
        """The pair, or None if there is neither.

        Raises:
            ValueError: if there is one only.
        """
        if content is not None and style is not None:
            return cls(content, style)
        if content is None and style is None:
            return None
        given, missing = ("content", "style") if style is None else ("style", "content")
        raise ValueError(f"there is a {given} mask but no {missing} mask; give both or none.")


def label_maps(content: Tensor, style: Tensor, masks: MaskPair, size: int | None = None) -> Regions:
    """Reads two masks as label maps.

    Masks are images in the colours of Luan et al. 2017 or any other flat colours, or arrays of
    integers. Anti-aliased and compressed ones are understood: a pixel takes the nearest colour that
    fills an area. A file regions.json beside the content's says how colours are called. A mask of
    another size than its photo is resized if the aspect agrees.

    Args:
        content: (3, H, W); only the size is used.
        style: (3, H', W'), likewise.
        masks: of both photos.
        size: pixels that the longer side of the maps has at most; None is the photos'.

    Returns:
        The regions; a warning names those that one photo has alone.

    Raises:
        ValueError: for masks that cannot be read, do not fit, or share no region.
    """
    content_array = _fit_size(
        _read_mask(masks.content, "content mask"), content, "content mask", size
    )
    style_array = _fit_size(_read_mask(masks.style, "style mask"), style, "style mask", size)
    if content_array.ndim != style_array.ndim:
        raise ValueError("one mask holds integers and the other colours; they must be alike.")
    arrays = [content_array, style_array]
    if content_array.ndim == 3:
        given = {}
        if isinstance(masks.content, str | os.PathLike):
            given = read_names(Path(masks.content).parent)
        arrays, names = _labels_of_colors(arrays, given)
    else:
        values = np.unique(np.concatenate([array.ravel() for array in arrays]))
        arrays = [np.searchsorted(values, array) for array in arrays]
        names = [str(value) for value in values]
    return _shared(arrays[0], arrays[1], names)


def _shared(
    content: np.ndarray[Any, Any], style: np.ndarray[Any, Any], names: list[str]
) -> Regions:
    """Renumbers the labels: what both maps have, then what the content's has, with a warning."""
    least = [_LEAST_SHARE * labels.size for labels in (content, style)]
    counts = [np.bincount(labels.ravel(), minlength=len(names)) for labels in (content, style)]
    present = [count >= enough for count, enough in zip(counts, least, strict=True)]
    shared = present[0] & present[1]
    if not shared.any():
        in_content = ", ".join(np.array(names)[present[0]])
        in_style = ", ".join(np.array(names)[present[1]])
        raise ValueError(
            f"the masks share no region: the content's has {in_content}, the style's {in_style}."
        )
    for has, photo, other in ((present[0], "content", "style"), (present[1], "style", "content")):
        for name in np.array(names)[has & ~shared]:
            warnings.warn(
                f"the region {name} is in the {photo} mask only, not in the {other}'s; it is "
                "left out.",
                stacklevel=4,
            )
    # Every pixel of the content has a label: specks count as of the content alone.
    alone = (counts[0] > 0) & ~shared
    order = np.concatenate([np.flatnonzero(shared), np.flatnonzero(alone)])
    renumbered = np.full(len(names), -1)
    renumbered[order] = np.arange(len(order))
    count = int(shared.sum())
    style_labels = renumbered[style]
    style_labels[style_labels >= count] = -1
    return Regions(
        torch.from_numpy(renumbered[content]),
        torch.from_numpy(style_labels),
        [names[index] for index in order],
        count,
    )
