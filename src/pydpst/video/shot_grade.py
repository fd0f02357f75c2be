"""One grade for each shot of a clip: found on its first frame, and held, so it cannot flicker."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.transfer.grade import Grade
from pydpst.video.smooth_look import is_cut

# Cuts are looked for in copies of this side.
_COPY_SIDE = 256


class ShotGrade:
    """A look for the frames of a clip, in their order.

    The whole frame is one region: a region's mask would have to follow what moves.

    Args:
        find: gives the grade, of one region, for the first frame (3, H, W) of a shot.

    Attributes:
        cuts: how many were found.
    """

    def __init__(self, find: Callable[[Tensor], Grade]) -> None:
        self._find = find
        self._before: Tensor | None = None
        self._grade: Grade | None = None
        self.cuts = 0

    @torch.no_grad()
    def __call__(self, image: Tensor, time: float) -> Tensor:
        """Restyles the next frame.

        Args:
            image: (3, H, W), float32, in [0, 1].
            time: of the frame, in seconds; it counts for nothing.

        Returns:
            (3, H, W) in [0, 1].
        """
        size = (_COPY_SIDE, _COPY_SIDE)
        copy = F.interpolate(image[None], size, mode="bilinear", antialias=True)
        if self._before is not None and is_cut(self._before, copy):
            self._grade = None
            self.cuts += 1
        self._before = copy
        if self._grade is None:
            with torch.enable_grad():
                self._grade = self._find(image)
        return self._grade.apply(image, torch.ones_like(image[:1]))
