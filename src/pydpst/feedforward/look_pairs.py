"""What a `LookReader` learns from: parts of photos under looks, and what they show where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.feedforward.random_looks import Looks, random_looks
from pydpst.feedforward.training_photos import random_generator
from pydpst.reading.network import CELL

# Heights and widths, one for all photos of a step; multiples of two cells.
SHAPES = ((96, 128), (128, 96), (112, 112), (96, 128))
# Photos of a step.
PHOTOS = 8
# Of the contents, how many are as they were taken.
_UNTOUCHED = 0.6
# A half of a photo is a little more than that.
_HALF = 0.55
# A region has at least this share of both parts; how often there are regions.
_LEAST, _REGIONS = 0.1, 0.35


@dataclass(frozen=True, eq=False)
class Batch:
    """Two parts A and B of each of P photos; A under looks 0 and 1, B under looks 0 and 2.

    Attributes:
        bases: (2, P, 3, H, W), both parts without any look.
        looks: three, each of P; the first changes nothing in most.
        clean: (4, P, 3, H, W): A under 0, A under 1, B under 0, B under 2.
        shown: the same with grain, as the network gets them.
        masks: (2, P, H, W), in both parts where the region is that is to be matched.
    """

    bases: Tensor
    looks: tuple[Looks, Looks, Looks]
    clean: Tensor
    shown: Tensor
    masks: Tensor

    def shares(self) -> Tensor:
        """The masks on cells, (2, P, N)."""
        return F.avg_pool2d(self.masks, CELL).flatten(2)


def look_batch(
    photos: Sequence[Tensor],
    maps: Sequence[Tensor],
    seed: int,
    step: int,
) -> Batch:
    """What step number `step` learns from.

    Args:
        photos: (3, H, W), uint8.
        maps: for each photo the probabilities of kinds of thing, (G, h, w).
        seed: of the training.
        step: from 0; the result depends on nothing else.
    """
    generator = random_generator(seed, 3, step)
    height, width = SHAPES[step % len(SHAPES)]
    epoch, place = divmod(step * PHOTOS, len(photos) - len(photos) % PHOTOS or PHOTOS)
    order = torch.randperm(len(photos), generator=random_generator(seed, 1, epoch))
    parts, masks = [], []
    for i in range(PHOTOS):
        number = int(order[(place + i) % len(photos)])
        both = two_windows(generator)
        mirrored = torch.rand((), generator=generator) < 0.5
        cuts = [_cut(photos[number].float() / 255, window, (height, width)) for window in both]
        kinds = [_cut(maps[number].float(), window, (height, width)) for window in both]
        mask = _some_region(kinds, generator)
        both_planes = torch.stack([*cuts, *(m.expand(3, -1, -1) for m in mask)])
        both_planes = both_planes.flip(-1) if mirrored else both_planes
        parts.append(both_planes[:2])
        masks.append(both_planes[2:, 0])
    bases = torch.stack(parts, 1)
    looks = random_looks(3 * PHOTOS, generator)
    untouched = torch.rand(PHOTOS, generator=generator) < _UNTOUCHED
    looks.strength[:PHOTOS][untouched] = 0
    first, second, third = (looks[torch.arange(k * PHOTOS, (k + 1) * PHOTOS)] for k in range(3))
    graded = [bases[0], second(bases[0]), bases[1], third(bases[1])]
    if not untouched.all():
        touched = (~untouched).nonzero()[:, 0]
        for k in (0, 2):
            graded[k] = graded[k].clone()
            graded[k][touched] = first[touched](bases[k // 2][touched])
    clean = torch.stack(graded)
    grain = 0.04 * torch.rand(4, PHOTOS, 1, 1, 1, generator=generator) ** 3
    shown = (clean + grain * torch.randn(clean.shape, generator=generator)).clamp(0, 1)
    return Batch(bases, (first, second, third), clean, shown, torch.stack(masks, 1))


def two_windows(generator: torch.Generator) -> list[tuple[float, float, float, float]]:
    """Two parts of a photo, as top, bottom, left, right: halves, or any."""
    kind, swap, *chance = torch.rand(10, generator=generator).tolist()
    if kind < 0.4:
        both = [(0.0, 1.0, 0.0, _HALF), (0.0, 1.0, 1 - _HALF, 1.0)]
    elif kind < 0.55:
        both = [(0.0, _HALF, 0.0, 1.0), (1 - _HALF, 1.0, 0.0, 1.0)]
    else:
        both = []
        for a, b, c, d in (chance[:4], chance[4:]):
            tall, wide = 0.45 + 0.55 * a, 0.45 + 0.55 * b
            both.append(
                (c * (1 - tall), c * (1 - tall) + tall, d * (1 - wide), d * (1 - wide) + wide)
            )
    return both if swap < 0.5 else both[::-1]


def _cut(
    planes: Tensor, window: tuple[float, float, float, float], size: tuple[int, int]
) -> Tensor:
    height, width = planes.shape[-2:]
    top, bottom, left, right = window
    rows = slice(int(top * height), max(int(top * height) + 1, round(bottom * height)))
    columns = slice(int(left * width), max(int(left * width) + 1, round(right * width)))
    part = planes[None, :, rows, columns]
    return F.interpolate(part, size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def _some_region(kinds: list[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Of both parts, where a kind of thing is that both have, or all that is not; or everything."""
    chance, which, side = torch.rand(3, generator=generator).tolist()
    everything = [torch.ones_like(kind[:1]) for kind in kinds]
    if chance > _REGIONS:
        return everything
    least = torch.stack([kind.mean((1, 2)) for kind in kinds]).amin(0)
    common = (least > _LEAST).nonzero()[:, 0].tolist()
    if not common:
        return everything
    group = common[int(which * len(common))]
    masks = [kind[group : group + 1] for kind in kinds]
    others = [1 - mask for mask in masks]
    enough = all(float(other.mean()) > _LEAST for other in others)
    return others if side < 0.4 and enough else masks
