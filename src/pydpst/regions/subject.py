"""A subject before a background: a studio shot, a thing on white, a flower before leaves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.photos.resizing import resize
from pydpst.regions.pairing import Seen, present
from pydpst.regions.saliency import salient

# Plain backgrounds are looked for at this size.
_PLAIN_SIZE = 128
# A pixel's colour is the background's if no channel differs from it by more.
_SAME = 0.08
# The least share of the pixels along the photo's border that are background.
_BORDER = 0.85
# The shares of the photo that a background may have.
_LEAST, _MOST = 0.25, 0.93

# A photo of which one group has so much, or things before whatever they stand in, is no scene; in
# landscapes what stands out is arbitrary.
_NO_SCENE = 0.8
_THINGS = frozenset(["interior", "person", "vehicle"])
# The shares of a photo that a subject may have.
_LEAST_SUBJECT, _MOST_SUBJECT = 0.03, 0.75
# Pixels between these are unsure; of them there may be so many for each of the subject's.
_UNSURE = (0.2, 0.8)
_MOST_UNSURE = 0.3


def background(photo: Tensor, seen: Seen) -> Tensor | None:
    """Where the background is, if a photo is no more than a thing before one.

    Args:
        photo: (3, H, W) in [0, 1].
        seen: the same.

    Returns:
        The probability of background, (h, w), float32 on the CPU, for the photo stretched to that
        size; or None.
    """
    behind = subject_background(photo, seen)
    if behind is not None:
        return behind
    return plain_background(resize(photo, _PLAIN_SIZE).float().cpu())


def subject_background(photo: Tensor, seen: Seen) -> Tensor | None:
    """What is behind a subject that stands out, likewise; None where the photo shows a scene."""
    shares = present(seen)
    things = sum(share for name, share in shares.items() if name in _THINGS)
    if max(things, *shares.values()) < _NO_SCENE:
        return None
    subject = salient(photo)
    sure = (subject > _UNSURE[1]).float().mean()
    unsure = (subject > _UNSURE[0]).float().mean() - sure
    if not _LEAST_SUBJECT <= sure <= _MOST_SUBJECT or unsure > _MOST_UNSURE * sure:
        return None
    return 1 - subject


def plain_background(colors: Tensor) -> Tensor | None:
    """Where a plain background is, if there is one.

    Args:
        colors: (3, h, w) in [0, 1], a small photo.

    Returns:
        The probability of background, (h, w), or None if the photo has none: its border is of
        more than one colour, or the background nearly nothing or nearly all.
    """
    ring = torch.ones(colors.shape[1:], dtype=torch.bool)
    ring[1:-1, 1:-1] = False
    background = colors[:, ring].median(1).values
    distance = (colors - background[:, None, None]).abs().amax(0)
    same = distance < _SAME
    if same[ring].float().mean() < _BORDER or not _LEAST <= same.float().mean() <= _MOST:
        return None
    # What is of its colour within the object is the object.
    reached = same & ring
    for _ in range(sum(colors.shape[1:])):
        grown = F.max_pool2d(reached[None].float(), 3, 1, 1)[0].bool() & same
        if torch.equal(grown, reached):
            break
        reached = grown
    return torch.where(reached, torch.sigmoid((_SAME - distance) / 0.02), 0.02)
