"""What keeps the colours that a search finds near those that the network of `match` reads."""

from __future__ import annotations

import torch
from torch import Tensor

from pydpst.ops import grade_apply
from pydpst.photos.color_spaces import oklab

# Lightness counts by so much beside hue and chroma: it is the search that knows contrast.
_LIGHTNESS = 0.05
# A region of this mean chroma has no colours of its own, one of twice as much has.
_GREY = 0.015
# What differs by this much costs half of what its square says (Geman and McClure): it may be
# meant, as a hue that is graded apart, which no reading does.
_MEANT = 0.1


class NearReading:
    """Keeps hues near those of a reading.

    Gram matrices say what colours there are, and little of where they belong: by them alone clouds
    may become pink and arms green, where something else in the style is. The network was shown what
    a look does to each colour. A grey region says nothing of what its colours stand for, and there
    the reading is as much of a guess.

    Args:
        maps: (R, K, 12), what was read.
        content: (3, H, W) in [0, 1].
        masks: (R, H, W), soft, in [0, 1].
    """

    def __init__(self, maps: Tensor, content: Tensor, masks: Tensor) -> None:
        chroma = oklab(content[None])[0, 1:].norm(dim=0)
        means = (masks * chroma).sum((1, 2)) / masks.sum((1, 2)).clamp_min(1e-6)
        self._trust = torch.einsum("r,rhw->hw", (means / _GREY - 1).clamp(0, 1), masks)
        self._read = _colors(grade_apply(maps[None], masks[None], content[None])[0])

    def __call__(self, image: Tensor) -> Tensor:
        """The cost of what the content has become, (3, H, W): a scalar."""
        change = (_colors(image) - self._read).square()
        error = _LIGHTNESS * change[0] + change[1:].sum(0)
        return (self._trust * error / (1 + error / _MEANT**2)).mean()


def _colors(image: Tensor) -> Tensor:
    """OKLab of (3, H, W); what is out of range is another cost's."""
    return oklab(image.clamp(0, 1)[None])[0]
