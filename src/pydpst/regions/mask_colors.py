"""The colours of label maps: those of Luan et al. 2017, and one for each thing a photo shows."""

from __future__ import annotations

import torch
from torch import Tensor

# The mask colours of Luan et al. 2017.
MASK_COLORS = {
    "blue": (0, 0, 255),
    "green": (0, 255, 0),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "yellow": (255, 255, 0),
    "grey": (128, 128, 128),
    "lightblue": (0, 255, 255),
    "purple": (255, 0, 255),
}
# Of the groups that `regions.scene` tells apart, of objects before a plain background, and of a
# photo that is one region.
SCENE_COLORS = {
    "sky": (96, 176, 255),
    "vegetation": (64, 160, 48),
    "mountain": (150, 110, 80),
    "ground": (214, 180, 120),
    "water": (0, 110, 160),
    "building": (200, 70, 70),
    "interior": (240, 190, 220),
    "person": (255, 150, 0),
    "vehicle": (120, 60, 190),
    "object": (230, 230, 90),
    "background": (70, 70, 110),
    "whole": (196, 196, 196),
}
NAMED_COLORS = MASK_COLORS | SCENE_COLORS

REGION_NAMES = tuple(MASK_COLORS)
SCENE_NAMES = tuple(SCENE_COLORS)


def color_of(name: str) -> tuple[int, int, int]:
    """The colour, from 0 to 255, of a region's name: one of `NAMED_COLORS`, or #rrggbb."""
    if name in NAMED_COLORS:
        return NAMED_COLORS[name]
    red, green, blue = bytes.fromhex(name.removeprefix("#"))
    return red, green, blue


def label_image(labels: Tensor, names: list[str]) -> Tensor:
    """A label map in the colours that its regions are named after, as `label_maps` reads it.

    Args:
        labels: (H, W), int64, indices into names; below 0 is none, a dark red.
        names: of `NAMED_COLORS`, or #rrggbb.

    Returns:
        (3, H, W) in [0, 1].
    """
    palette = torch.tensor([*map(color_of, names), (96, 0, 0)]) / 255
    return palette[labels].permute(2, 0, 1)
