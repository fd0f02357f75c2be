"""Photos at other sizes, and beside one another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.photos.limits import MINIMUM_SIDE, check_size


def resize(image: Tensor, size: int) -> Tensor:
    """Scales a photo down until its longer side has `size` pixels; never up.

    Args:
        image: (3, H, W), values in [0, 1].
        size: pixels, at least 16.

    Returns:
        (3, h, w), antialiased, values in [0, 1], no side under 16 pixels.

    Raises:
        ValueError: if size is not a whole number of at least 16.
    """
    check_size(size)
    height, width = image.shape[-2:]
    scale = size / max(height, width)
    if scale >= 1:
        return image
    return _scale(
        image, max(MINIMUM_SIDE, round(height * scale)), max(MINIMUM_SIDE, round(width * scale))
    )


def _scale(image: Tensor, height: int, width: int) -> Tensor:
    scaled = F.interpolate(image[None], (height, width), mode="bicubic", antialias=True)
    return scaled[0].clamp(0, 1)


def size_of_area(height: int, width: int, area: int, longest: int) -> tuple[int, int]:
    """The size for networks that see photos at one area, whatever their aspect.

    Args:
        height: of the photo.
        width: likewise.
        area: in pixels, about.
        longest: the longer side of a panorama, at most, about.

    Returns:
        Height and width: multiples of 16, at least 32.
    """
    scale = min(math.sqrt(area / (height * width)), longest / max(height, width))
    tall, wide = (max(32, round(side * scale / 16) * 16) for side in (height, width))
    return tall, wide


def match_size(image: Tensor, other: Tensor, name: str, other_name: str) -> Tensor:
    """Scales a photo to the size of another of the same aspect.

    Args:
        image: (3, H, W), values in [0, 1].
        other: (3, h, w), of which only the size is used.
        name: what to call the photo in an error, such as "content".
        other_name: likewise.

    Returns:
        (3, h, w), antialiased, values in [0, 1].

    Raises:
        ValueError: if the aspects differ, by more than a pixel or 1 %.
    """
    (height, width), (wanted_height, wanted_width) = image.shape[-2:], other.shape[-2:]
    if (height, width) == (wanted_height, wanted_width):
        return image
    scale = max(wanted_height / height, wanted_width / width)
    slack = max(1.0, 0.01 * scale * max(height, width))
    if max(scale * height - wanted_height, scale * width - wanted_width) > slack:
        raise ValueError(
            f"the {name} is {width}×{height} pixels and the {other_name} "
            f"{wanted_width}×{wanted_height}; they must have the same aspect."
        )
    return _scale(image, wanted_height, wanted_width)


def side_by_side(images: Sequence[Tensor]) -> Tensor:
    """Puts photos in a row, scaled to the height of the lowest, a thin white gap between them.

    Args:
        images: at least one (3, H, W), values in [0, 1].

    Returns:
        (3, h, w) on the CPU, values in [0, 1].
    """
    height = min(image.shape[1] for image in images)
    gap = torch.ones(3, height, max(2, height // 64))
    row: list[Tensor] = []
    for image in images:
        width = max(1, round(image.shape[2] * height / image.shape[1]))
        row += [gap, _scale(image.detach().cpu().float(), height, width)]
    return torch.cat(row[1:], 2)
