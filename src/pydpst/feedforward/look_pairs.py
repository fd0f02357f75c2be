"""What a `LookReader` learns from: parts of photos under looks, and what they show where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.feedforward.look_cuts import Album, Cut, Window
from pydpst.feedforward.random_looks import Looks, random_looks
from pydpst.feedforward.training_photos import random_generator
from pydpst.reading.network import CELL

# Heights and widths, one for all photos of a step; multiples of two cells.
SHAPES = ((96, 128), (128, 96), (112, 112), (96, 128))
# Of the contents, how many are as they were taken.
_UNTOUCHED = 0.6
# A half of a photo is a little less than that, or a little more.
_HALVES = (0.4, 0.55)
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


def look_batch(album: Album, seed: int, step: int, count: int = 8) -> Batch:
    """What step number `step` learns from, on the album's device.

    Args:
        album: the photos.
        seed: of the training.
        step: from 0; the result depends on nothing else.
        count: photos of a step; where there are fewer they come again.
    """
    generator, device = random_generator(seed, 3, step), album.device
    epoch, place = divmod(step * count, len(album) - len(album) % count or count)
    order = torch.randperm(len(album), generator=random_generator(seed, 1, epoch))
    cuts, chances = [], []
    for i in range(count):
        windows = two_windows(generator)
        mirrored = bool(torch.rand((), generator=generator) < 0.5)
        cuts.append(Cut(int(order[(place + i) % len(album)]), windows, mirrored))
        chances.append(torch.rand(3, generator=generator).tolist())
    bases, kinds = album.parts(cuts, SHAPES[step % len(SHAPES)])
    masks = _regions(kinds, chances)
    looks = random_looks(3 * count, generator)
    untouched = torch.rand(count, generator=generator) < _UNTOUCHED
    looks.strength[:count][untouched] = 0
    touched = (~untouched).nonzero()[:, 0].to(device)
    grain = (0.04 * torch.rand(4, count, 1, 1, 1, generator=generator) ** 3).to(device)
    looks = looks.to(device)
    numbers = torch.arange(3 * count, device=device).view(3, count)
    first, second, third = (looks[part] for part in numbers)
    graded = [bases[0], second(bases[0]), bases[1], third(bases[1])]
    if len(touched):
        for k in (0, 2):
            graded[k] = graded[k].clone()
            graded[k][touched] = first[touched](bases[k // 2][touched])
    clean = torch.stack(graded)
    if device.type != "cpu":
        generator = random_generator(seed, 5, step, device=device)
    noise = torch.randn(clean.shape, generator=generator, device=device)
    shown = (clean + grain * noise).clamp(0, 1)
    return Batch(bases, (first, second, third), clean, shown, masks)


def two_windows(generator: torch.Generator) -> tuple[Window, Window]:
    """Two parts of a photo, as top, bottom, left, right: halves, or any."""
    kind, swap, *chance = torch.rand(10, generator=generator).tolist()
    half = _HALVES[0] + (_HALVES[1] - _HALVES[0]) * chance[0]
    if kind < 0.4:
        first, second = (0.0, 1.0, 0.0, half), (0.0, 1.0, 1 - half, 1.0)
    elif kind < 0.55:
        first, second = (0.0, half, 0.0, 1.0), (1 - half, 1.0, 0.0, 1.0)
    else:
        first, second = _any_window(*chance[:4]), _any_window(*chance[4:])
    return (first, second) if swap < 0.5 else (second, first)


def _any_window(a: float, b: float, c: float, d: float) -> Window:
    """A part of random height, width, top and left, of numbers in [0, 1)."""
    tall, wide = 0.45 + 0.55 * a, 0.45 + 0.55 * b
    return c * (1 - tall), c * (1 - tall) + tall, d * (1 - wide), d * (1 - wide) + wide


def _regions(kinds: Tensor, chances: Sequence[Sequence[float]]) -> Tensor:
    """Which region of both parts of P photos is to be matched, as masks (2, P, H, W).

    Args:
        kinds: the probabilities of kinds of thing, (2, P, G, H, W).
        chances: three random numbers in [0, 1) for each photo.
    """
    means = kinds.mean((3, 4)).cpu()
    chosen = [_some_region(means[:, i], *chance) for i, chance in enumerate(chances)]
    groups, constants, factors = (
        torch.tensor(values).to(kinds.device) for values in zip(*chosen, strict=True)
    )
    own = kinds[:, torch.arange(len(chosen), device=kinds.device), groups]
    return constants[:, None, None] + factors[:, None, None] * own


def _some_region(
    means: Tensor, chance: float, which: float, side: float
) -> tuple[int, float, float]:
    """Where a kind of thing is that both parts have, or all that is not; or everything.

    Args:
        means: how much of both parts each kind is, (2, G).
        chance: whether there is a region at all.
        which: of the kinds that both have.
        side: whether the kind or the rest.

    Returns:
        The kind, and a constant and a factor: the mask is constant + factor · its probability.
    """
    common = (means.amin(0) > _LEAST).nonzero()[:, 0].tolist()
    if chance > _REGIONS or not common:
        return 0, 1.0, 0.0
    group = common[int(which * len(common))]
    enough = bool((1 - means[:, group] > _LEAST).all())
    return (group, 1.0, -1.0) if side < 0.4 and enough else (group, 0.0, 1.0)
