"""A grade: for each region a small colour map, the same for every pixel of that region."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pydpst.ops import grade_apply

# Maps along the luminance: about one a stop of what a photo holds.
KNOTS = 8
# Maps by hue: see `ops.grade_apply`.
HUES = 7
# Colours whose channels differ by this have nothing of grey.
SATURATED = 0.5


def identity_maps(regions: int) -> Tensor:
    """Maps (R, 1, 1, 12) that change nothing."""
    return torch.eye(3, 4).flatten().expand(regions, 1, 1, -1)


@dataclass(frozen=True, eq=False)
class Grade:
    """A look as a colour map a region, which changes along the luminance and with the hue.

    Attributes:
        maps: (R, 1 or 7, K, 12), float32; see `ops.grade_apply`.
    """

    maps: Tensor

    def apply(self, image: Tensor, masks: Tensor) -> Tensor:
        """A photo with this look, at any size.

        Args:
            image: (3, H, W) in [0, 1].
            masks: (R, H, W), soft, in [0, 1], summing to at most 1.

        Returns:
            (3, H, W) in [0, 1].
        """
        return grade_apply(self.maps[None], masks[None], image[None])[0].clamp(0, 1)
