"""One grade for each shot of a clip: found on its first frame and held, so it cannot flicker."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.feedforward.grade_net import GradeNet
from pydpst.video.smooth_look import is_cut

# Cuts are looked for in copies of this side.
_COPY_SIDE = 256
# Regions are found anew after so many seconds, and those that were there fade by e in so many.
_KEY_SECONDS, _FADE_SECONDS = 0.5, 0.5
# They are found at once if so much of the frame was not in view before.
_MOST_UNSEEN = 0.02


class ShotGrade:
    """A look for the frames of a clip, in their order.

    Maps are held for a shot. Its regions move along with what it shows; on key frames they are
    found anew, and those that were there fade into these. Each frame's own colours draw their
    borders.

    Args:
        find: gives the grade for the first frame (3, H, W) of a shot.

    Attributes:
        cuts: how many were found.
    """

    def __init__(self, find: Callable[[Tensor], GradeNet]) -> None:
        self._find = find
        self._before: Tensor | None = None
        self._grade: GradeNet | None = None
        self._masks = self._fresh = self._seen = torch.ones(1, 1, 1)
        self._found_at = self._last = 0.0
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
        before, self._before = self._before, copy
        if before is not None and is_cut(before, copy):
            self._grade = None
            self.cuts += 1
        if self._grade is None or before is None:
            with torch.enable_grad():
                self._grade = self._find(image)
            self._masks = self._find_masks(self._grade, image, time)
        elif len(self._masks) > 1:
            self._follow(self._grade, (before, copy), image, time)
        self._last = time
        return self._grade.restyled(image, self._masks)

    def _follow(
        self, grade: GradeNet, copies: tuple[Tensor, Tensor], image: Tensor, time: float
    ) -> None:
        """Moves the regions to where they are in the next frame; copies are of the last and it."""
        from pydpst.video.moved_masks import moved_masks

        planes = torch.cat([self._masks, self._fresh, self._seen])
        moved, inside = moved_masks(planes, *copies)
        self._masks, self._fresh = moved[:-1].chunk(2)
        self._seen = moved[-1:] * inside
        if time - self._found_at >= _KEY_SECONDS or (1 - self._seen).mean() > _MOST_UNSEEN:
            seen = self._seen
            self._masks = self._find_masks(grade, image, time).lerp(self._masks, seen)
        passed = max(0.0, time - self._last)
        self._masks = self._masks.lerp(self._fresh, 1 - math.exp(-passed / _FADE_SECONDS))

    def _find_masks(self, grade: GradeNet, image: Tensor, time: float) -> Tensor:
        """Where the regions are in a frame, anew."""
        self._fresh, self._found_at = grade.masks(image), time
        self._seen = torch.ones_like(self._fresh[:1])
        return self._fresh
