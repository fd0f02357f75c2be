"""What is painted over regions on the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pydpst.metrics.report import region_colors
from pydpst.regions.labels import MaskPair, label_maps
from pydpst.regions.mask_colors import SCENE_NAMES
from pydpst.regions.masks import Regions

Strokes = np.ndarray[Any, Any] | None

# The number of what the style has and the content lacks.
_NOTHING = len(SCENE_NAMES)
# A stroke's rim is half transparent: it counts from here.
_OPACITY = 128


def painted(regions: Regions, strokes: list[Strokes]) -> tuple[Regions, list[str]]:
    """Regions, and what was painted over them.

    Args:
        regions: named as in `SCENE_NAMES`.
        strokes: for content and style (h, w, 4), uint8, in the colours of the regions' names and
            transparent elsewhere, or None.

    Returns:
        The regions, the same if nothing was painted, and the names of those that one photo has
        alone. What was matched to a region that both photos still have stays so.

    Raises:
        ValueError: if the photos now share no region.
    """
    if not any(_is_painted(layer) for layer in strokes):
        return regions, []
    numbers = torch.tensor([*(SCENE_NAMES.index(name) for name in regions.names), _NOTHING])
    found = [numbers[regions.content], numbers[regions.style]]
    content, style = (_over(labels, layer) for labels, layer in zip(found, strokes, strict=True))
    alone = set(torch.unique(content).tolist()) ^ set(torch.unique(style).tolist())
    alone.discard(_NOTHING)
    maps = label_maps(content[None], style[None], MaskPair(content, style))
    names = [SCENE_NAMES[int(name)] for name in maps.names]
    new = Regions(maps.content, maps.style, names, maps.shared)
    shared = names[: maps.shared]
    new = new.rematched(
        {
            name: partner
            for name, partner in regions.partner_names().items()
            if name in shared and partner in (*shared, None)
        }
    )
    return new, [SCENE_NAMES[label] for label in sorted(alone)]


def _is_painted(layer: Strokes) -> bool:
    return layer is not None and bool((layer[..., 3] >= _OPACITY).any())


def _over(labels: Tensor, strokes: Strokes) -> Tensor:
    """Numbers of `SCENE_NAMES` (h, w) with strokes over them."""
    if strokes is None:
        return labels
    height, width = labels.shape
    layer = np.asarray(Image.fromarray(strokes).resize((width, height), Image.Resampling.NEAREST))
    rgba = torch.from_numpy(layer.astype(np.float32))
    palette = torch.tensor(region_colors(SCENE_NAMES), dtype=torch.float32)
    nearest = torch.cdist(rgba[..., :3].flatten(0, 1), palette).argmin(1).view(height, width)
    return torch.where(rgba[..., 3] >= _OPACITY, nearest, labels)
