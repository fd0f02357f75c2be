"""Regions that content and style share: label maps, and the soft masks made of them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pydpst.photos.decode import Source
from pydpst.regions.mask_colors import NAMED_COLORS, color_of
from pydpst.regions.mask_files import SAME_COLOR, LabelMap, packed, read_label_map
from pydpst.regions.masks import Regions
from pydpst.regions.names_file import Names, read_names

_Array = np.ndarray[Any, Any]

# The paper's own maps have areas as far from its colours as this, left by compression.
_PAPER_NOISE = 8
# Label maps are told apart at this size at most, before they are made as small as the photos.
_LABELLED_SIZE = 2048
# A label's least share of the pixels that lie inside it, with eight neighbours of their colour:
# anti-aliased edges have none such.
_LEAST_SHARE = 2e-4


def _fit_size(mask: LabelMap, photo: Tensor, size: int | None) -> LabelMap:
    """The mask at the photo's size or less, by nearest neighbour, if it has the photo's aspect."""
    height, width = photo.shape[-2:]
    rows, columns = mask.shape
    scale = max(rows / height, columns / width)
    slack = max(1.0, 0.01 * scale * max(height, width))
    if max(abs(rows - scale * height), abs(columns - scale * width)) > slack:
        raise ValueError(
            f"the {mask.name} is {columns}×{rows} pixels and its photo {width}×{height}; they must "
            "have the same aspect."
        )
    if size is not None and size < max(height, width):
        height, width = (
            max(1, round(side * size / max(height, width))) for side in (height, width)
        )
    return mask.at(
        ((np.arange(height) + 0.5) * rows / height).astype(int),
        ((np.arange(width) + 0.5) * columns / width).astype(int),
    )


def _flat_colors(colors: _Array) -> list[tuple[_Array, int]]:
    """The colours that fill areas, with how many pixels they fill, most first."""
    values = packed(colors)
    middle = values[1:-1, 1:-1]
    inside = np.ones(middle.shape, dtype=bool)
    for dy in range(3):
        for dx in range(3):
            shifted = values[dy : dy + middle.shape[0], dx : dx + middle.shape[1]]
            inside &= shifted == middle
    flat, counts = np.unique(middle[inside], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    unpacked = np.stack([flat >> 16, flat >> 8 & 255, flat & 255], axis=1)
    enough = max(1.0, _LEAST_SHARE * values.size)
    return [(unpacked[i], int(counts[i])) for i in order if counts[i] >= enough]


def _color_name(color: _Array) -> str:
    for name, named in NAMED_COLORS.items():
        if np.abs(color - np.array(named)).max() <= SAME_COLOR:
            return name
    return _hexadecimal(color)


def _hexadecimal(color: _Array) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _most_first(flat: list[list[tuple[_Array, int]]]) -> list[tuple[_Array, int]]:
    return sorted(chain.from_iterable(flat), key=lambda found: -found[1])


def _distinct(flat: list[tuple[_Array, int]]) -> tuple[list[_Array], list[tuple[_Array, _Array]]]:
    """Of flat colours those that differ, and pairs of those that hardly do, most pixels first."""
    colors: list[_Array] = []
    merged = []
    for color, _ in flat:
        near = [other for other in colors if np.abs(color - other).max() <= SAME_COLOR]
        if not near:
            colors.append(color)
        elif all((color != other).any() for other in near):
            merged.append((color, near[0]))
    return colors, merged


def _is_paper_noise(color: _Array, other: _Array) -> bool:
    """Whether two colours are one of the paper's, and what compression made of it."""
    both = np.stack([color, other])
    return any(np.abs(both - named).max() <= _PAPER_NOISE for named in NAMED_COLORS.values())


def _labels_of(masks: list[LabelMap]) -> tuple[list[_Array], list[str]]:
    """Labels (H, W) of each mask, and their names.

    Where values of one map hardly differ, as class numbers do, each value is a label; elsewhere
    each pixel takes the nearest of the flat colours in either mask.
    """
    numbers = [mask.numbers for mask in masks if mask.numbers is not None]
    colors = [mask.colors for mask in masks if mask.colors is not None]
    if len(colors) < len(masks):
        if len(numbers) < len(masks):
            raise ValueError("one mask holds integers and the other colours; they must be alike.")
        return _labels_of_values(numbers, str)
    flat = [_flat_colors(one) for one in colors]
    if all(mask.is_exact for mask in masks):
        near = any(_distinct(one)[1] for one in flat)
        if len(numbers) == len(masks) and (near or any(mask.is_deep for mask in masks)):
            return _labels_of_values(numbers, str)
        if near:
            return _labels_of_values([packed(one) for one in colors], _name_of_packed)
    lossless = [one for mask, one in zip(masks, flat, strict=True) if not mask.is_lossy]
    merged = _distinct(_most_first(lossless))[1]
    if doubtful := [pair for pair in merged if not _is_paper_noise(*pair)]:
        one, other = map(_hexadecimal, doubtful[0])
        warnings.warn(
            f"the masks have areas of colours too near to tell apart, such as {other} and {one}; "
            "they count as one region.",
            stacklevel=4,
        )
    return _labels_of_colors(colors, _most_first(flat))


def _name_of_packed(value: int) -> str:
    return f"#{value:06x}"


def _labels_of_values(
    masks: list[_Array], name: Callable[[int], str]
) -> tuple[list[_Array], list[str]]:
    values = np.unique(np.concatenate([mask.ravel() for mask in masks]))
    return [np.searchsorted(values, mask) for mask in masks], [name(int(v)) for v in values]


def _labels_of_colors(
    masks: list[_Array], flat: list[tuple[_Array, int]]
) -> tuple[list[_Array], list[str]]:
    """Each pixel takes the nearest of the flat colours."""
    colors, _ = _distinct(flat)
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
    return labels, [_color_name(color) for color in colors]


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

    Masks are images in the colours of Luan et al. 2017 or any other flat colours, images of class
    numbers in one grey channel (of 8 or 16 bits), or arrays of integers. Anti-aliased and
    compressed ones are understood: a pixel takes the nearest colour that fills an area. A file
    regions.json beside the content's says how colours are called, and which regions are styled
    after another than their own. A mask of another size than its photo is resized if the aspect
    agrees.

    Args:
        content: (3, H, W); only the size is used.
        style: (3, H', W'), likewise.
        masks: of both photos.
        size: pixels that the longer side of the maps has at most; None is the photos'.

    Returns:
        The regions; a warning names those that one photo has alone, and colours that count as one.

    Raises:
        ValueError: for masks that cannot be read, do not fit, or share no region.
    """
    large = None if size is None else max(size, _LABELLED_SIZE)
    fitted = [
        _fit_size(read_label_map(source, f"{photo} mask"), pixels, large)
        for source, photo, pixels in (
            (masks.content, "content", content),
            (masks.style, "style", style),
        )
    ]
    labels, names = _labels_of(fitted)
    said = Names()
    if isinstance(masks.content, str | os.PathLike):
        said = read_names(Path(masks.content).parent)
    names = _called(names, said.of_colors)
    small = [_at_size(one, size) for one in labels]
    given = [np.bincount(one.ravel(), minlength=len(names)) > 0 for one in labels]
    return _rematched(_shared(small[0], small[1], names, given), said.styled_after)


def _rematched(regions: Regions, styled_after: dict[str, str | None]) -> Regions:
    """Regions styled after what the file beside label maps says, where both photos have it."""
    shared = regions.names[: regions.shared]
    wanted = {name: partner for name, partner in styled_after.items() if name in shared}
    missing = {name: partner for name, partner in wanted.items() if partner not in (*shared, None)}
    for name, partner in missing.items():
        warnings.warn(
            f"{name} cannot be styled after {partner}, which one photo does not have; it is styled "
            "after its own.",
            stacklevel=4,
        )
    return regions.rematched({name: wanted[name] for name in wanted if name not in missing})


def _called(names: list[str], given: dict[str, str]) -> list[str]:
    """The names of colours, or what the file beside the maps calls them."""
    named = {name: np.array(color_of(code)) for code, name in given.items()}
    found = []
    for name in names:
        if name in NAMED_COLORS or name.startswith("#"):
            color = np.array(color_of(name))
            near = (other for other, x in named.items() if np.abs(color - x).max() <= SAME_COLOR)
            name = next(near, name)
        found.append(name)
    return found


def _at_size(labels: _Array, size: int | None) -> _Array:
    """A label map with a longer side of at most this."""
    scale = max(labels.shape) / size if size is not None else 1.0
    if scale <= 1:
        return labels
    rows, columns = (
        ((np.arange(max(1, round(n / scale))) + 0.5) * n / max(1, round(n / scale))).astype(int)
        for n in labels.shape
    )
    smaller: _Array = labels[rows[:, None], columns[None]]
    return smaller


def _shared(content: _Array, style: _Array, names: list[str], given: list[_Array]) -> Regions:
    """Renumbers the labels: what both maps have, then what the content's has, with a warning.

    Args:
        content: labels (H, W), at the working size.
        style: likewise.
        names: of the labels.
        given: of each map, which labels it has at its own size.
    """
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
    lost = given[0] & given[1] & ~shared
    for name in np.array(names)[lost]:
        warnings.warn(
            f"the region {name} is too small at the size at which the look is found; it is left "
            "out.",
            stacklevel=4,
        )
    for has, photo, other in ((present[0], "content", "style"), (present[1], "style", "content")):
        for name in np.array(names)[has & ~shared & ~lost]:
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
