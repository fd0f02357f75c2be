"""What a `LookReader` is taught last: to give photos of other scenes what `stylize` would find."""

from __future__ import annotations

import torch
from torch import Tensor

from pydpst.losses.content import CONTENT_LAYERS
from pydpst.losses.edges import edge_similarity
from pydpst.losses.style import STYLE_LAYERS
from pydpst.losses.vgg import VGGFeatures, quick_dtype
from pydpst.ops import grade_apply
from pydpst.transfer.grade import HUES, identity_maps
from pydpst.transfer.grade_costs import BlackPoint, GradeCosts, GreenCast
from pydpst.transfer.grade_search import COSTS, Level
from pydpst.transfer.look import Look

# Beside what a search has: noise costs more, since the small copies that are learned from show
# little of it; and lost edges cost, since one pass, which sees no detail, presses shadows together,
# for which reason only blacks that are a veil cost much, and none are deepened.
_WEIGHTS = {**Look().weights(), **COSTS, "noise": 8.0, "edges": 0.4, "blacks": 3.0}
_VEIL = 0.12
# What is told apart of the losses; the others are told together, as they weigh.
_TOLD = ("style", "photorealism", "edges")


class SearchCriterion:
    """The losses and costs by which `stylize` searches a grade of one region and all hues.

    Args:
        device: of what is judged.
    """

    def __init__(self, device: torch.device) -> None:
        layers = CONTENT_LAYERS + STYLE_LAYERS
        self._vgg = VGGFeatures(layers, dtype=quick_dtype(device)).to(device)

    def __call__(self, maps: Tensor, contents: Tensor, styles: Tensor) -> dict[str, Tensor]:
        """The means over grades of B contents.

        Args:
            maps: (B, K, 12).
            contents: (B, 3, H, W) in [0, 1], at least 32 pixels a side.
            styles: likewise, of the same size.

        Returns:
            style and photorealism as they are, the other costs as they weigh together, and as
            search the sum of all as they weigh.
        """
        each = [self._losses(*of) for of in zip(maps, contents, styles, strict=True)]
        means = {name: torch.stack([losses[name] for losses in each]).mean() for name in each[0]}
        weighted = {name: _WEIGHTS[name] * value for name, value in means.items()}
        others = [value for name, value in weighted.items() if name not in _TOLD]
        return {
            **{name: means[name] for name in _TOLD},
            "costs": torch.stack(others).sum(),
            "search": torch.stack(list(weighted.values())).sum(),
        }

    def _losses(self, maps: Tensor, content: Tensor, style: Tensor) -> dict[str, Tensor]:
        """All losses and costs of maps (K, 12), scalars."""
        everywhere = torch.ones_like(content[:1])
        size = max(content.shape[-2:])
        level = Level(content, style, everywhere, everywhere, size, self._vgg, 0.0, None)
        raw = grade_apply(maps[None, None], everywhere[None], content[None])[0]
        image = raw.clamp(0, 1)
        start = identity_maps(1)[:, 0].view(1, -1, 3, 4).to(content)
        green = GreenCast(start, content, everywhere, style, everywhere)
        costs = GradeCosts(content.new_ones(1), content, everywhere)
        return {
            **level.losses(image),
            **costs.of_maps(maps.expand(1, HUES, -1, -1)),
            "green": green(raw),
            "blacks": BlackPoint(content, style, deepened=0.0, veil=_VEIL)(raw),
            "edges": 1 - edge_similarity(image, content),
            "overshoot": (raw - image).square().mean(),
        }
