"""The mask colours of Luan et al. 2017, and label maps in them."""

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


REGION_NAMES = tuple(MASK_COLORS)


def label_image(labels: Tensor, names: list[str]) -> Tensor:
    """A label map in the colours that its regions are named after, as `label_maps` reads it.

    Args:
        labels: (H, W), int64, indices into names; below 0 is none, a dark red.
        names: colours of Luan et al. 2017, or #rrggbb.

    Returns:
        (3, H, W) in [0, 1].
    """
    colors = [
        MASK_COLORS.get(name) or tuple(bytes.fromhex(name.removeprefix("#"))) for name in names
    ]
    palette = torch.tensor([*colors, (96, 0, 0)]) / 255
    return palette[labels].permute(2, 0, 1)
