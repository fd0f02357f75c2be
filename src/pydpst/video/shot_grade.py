"""One grade for each shot of a clip: found on its first frame and held, so it cannot flicker."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.feedforward.grade_net import GradeNet
from pydpst.video.smooth_look import is_cut

# Cuts are looked for in copies of this side.
_COPY_SIDE = 256
# Regions are found anew after so many seconds, and then count by this share.
_KEY_SECONDS, _KEY_SHARE = 0.5, 0.5


class ShotGrade:
    """A look for the frames of a clip, in their order.

    Maps are held for a shot. Its regions follow what moves: on key frames they are found anew and
    mixed with where they were, and in between each frame's own colours draw their borders.

    Args:
        find: gives the grade for the first frame (3, H, W) of a shot.

    Attributes:
        cuts: how many were found.
    """

    def __init__(self, find: Callable[[Tensor], GradeNet]) -> None:
        self._find = find
        self._before: Tensor | None = None
        self._grade: GradeNet | None = None
        self._masks = torch.ones(1, 1, 1)
        self._found_at = 0.0
        self.cuts = 0

    @torch.no_grad()
    def __call__(self, image: Tensor, time: float) -> Tensor:
        """Restyles the next frame.

        Args:
            image: (3, H, W), float32, in [0, 1].
            time: of the frame, in seconds.

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
            self._masks, self._found_at = self._grade.masks(image), time
        elif len(self._masks) > 1 and time - self._found_at >= _KEY_SECONDS:
            self._masks = self._masks.lerp(self._grade.masks(image), _KEY_SHARE)
            self._found_at = time
        return self._grade.restyled(image, self._masks)
