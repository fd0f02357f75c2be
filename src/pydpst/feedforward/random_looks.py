"""Looks made at random, as a person with a grading program might have made them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.photos.color_spaces import linear_of, oklab, oklab_inverse, srgb_of

# Points of a tone curve, and cells a side of a smooth table of colours.
_CURVE, _TABLE = 7, 4
# How many looks are faint, and how strong those are.
_FAINT_SHARE, _FAINT = 0.2, (0.1, 0.5)
_GREY_SHARE = 0.04


@dataclass(frozen=True, eq=False)
class Looks:
    """N looks, one for each image of a batch.

    Attributes:
        light: (N, 3, 3), a matrix of linear light: exposure, white balance, mixed channels.
        curves: (N, 3, 7), the levels that evenly spaced levels of a channel become.
        tints: (N, 2, 2), a and b of OKLab that are added to shadows and to lights.
        chroma: (N, 5), how chroma grows: a constant and two harmonics of the hue.
        twist: (N, 5), the same for the turn of the hue, in radians.
        table: (N, 3, 4, 4, 4), what is added to RGB at the points of a table.
        strength: (N), how much of all this there is.
    """

    light: Tensor
    curves: Tensor
    tints: Tensor
    chroma: Tensor
    twist: Tensor
    table: Tensor
    strength: Tensor

    def __getitem__(self, index: Tensor) -> Looks:
        return Looks(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def to(self, device: torch.device) -> Looks:
        """The same looks on a device."""
        return Looks(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))

    def __call__(self, images: Tensor) -> Tensor:
        """The images (N, 3, H, W) in [0, 1] with these looks, in [0, 1]."""
        light = torch.einsum("nij,njhw->nihw", self.light, linear_of(images))
        graded = self._curved(srgb_of(light.clamp(0, 4)).clamp(0, 1))
        graded = self._colored(graded)
        graded = (graded + self._offset(graded)).clamp(0, 1)
        strength = self.strength.view(-1, 1, 1, 1)
        return (images + strength * (graded - images)).clamp(0, 1)

    def _curved(self, images: Tensor) -> Tensor:
        place = images.flatten(2) * (_CURVE - 1)
        cell = place.floor().clamp_max(_CURVE - 2)
        low = self.curves.gather(2, cell.long())
        high = self.curves.gather(2, cell.long() + 1)
        return (low + (place - cell) * (high - low)).view_as(images).clamp(0, 1)

    def _colored(self, images: Tensor) -> Tensor:
        lightness, a, b = oklab(images).unbind(1)
        chroma = (a.square() + b.square() + 1e-9).sqrt()
        cos, sin = a / chroma, b / chroma
        waves = torch.stack(
            [torch.ones_like(cos), cos, sin, cos.square() - sin.square(), 2 * cos * sin], 1
        )
        grown = torch.einsum("nk,nkhw->nhw", self.chroma, waves).clamp(0, 3)
        turn = torch.einsum("nk,nkhw->nhw", self.twist, waves)
        a, b = (
            grown * (a * turn.cos() - b * turn.sin()),
            grown * (a * turn.sin() + b * turn.cos()),
        )
        shadows = (1 - lightness).square()
        weights = torch.stack([shadows, lightness.square()], 1)
        tint = torch.einsum("nij,nihw->njhw", self.tints, weights)
        lab = torch.cat([lightness[:, None], torch.stack([a, b], 1) + tint], 1)
        return srgb_of(oklab_inverse(lab).clamp(0, 1)).clamp(0, 1)

    def _offset(self, images: Tensor) -> Tensor:
        """What the table adds, between its points."""
        places = (2 * images - 1).permute(0, 2, 3, 1)[:, None]
        return F.grid_sample(self.table, places, align_corners=True)[:, :, 0]


def random_looks(count: int, generator: torch.Generator) -> Looks:
    """Draws looks on the CPU; each has only some of the means, and a share are faint."""
    draw = _Draw(count, generator)
    exposure = draw.some(0.6, 1, 1) * 0.7 * draw.normal(1, 1)
    balance = draw.some(0.6, 1) * draw.normal(1) * torch.tensor([0.3, 0.0, -0.3])
    balance = balance + draw.some(0.4, 1) * 0.12 * draw.normal(3)
    mix = draw.some(0.25, 1, 1) * 0.12 * draw.normal(3, 3)
    mix = torch.eye(3) + mix - mix.mean(2, keepdim=True)
    light = (math.log(2) * (exposure + balance[:, :, None])).exp() * mix
    curves = _random_curves(draw)
    tints = draw.some(0.5, 1, 1) * 0.05 * draw.normal(2, 2)
    chroma = 0.12 * draw.some(0.3, 1) * draw.normal(5)
    saturation = (draw.some(0.6, 1) * 0.35 * draw.normal(1)).exp()
    saturation = saturation * (1 - draw.some(_GREY_SHARE, 1))
    chroma = saturation * torch.cat([1 + chroma[:, :1], chroma[:, 1:]], 1)
    twist = 0.15 * draw.some(0.3, 1) * draw.normal(5)
    table = draw.some(0.3, 1, 1, 1, 1) * 0.05 * draw.normal(3, _TABLE, _TABLE, _TABLE)
    low, high = _FAINT
    faint = draw.some(_FAINT_SHARE) > 0
    strength = torch.where(faint, low + (high - low) * draw.uniform(), 0.6 + 0.5 * draw.uniform())
    return Looks(light, curves, tints, chroma, twist, table, strength)


@dataclass(frozen=True)
class _Draw:
    """Random numbers for each of a batch."""

    count: int
    generator: torch.Generator

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.count, *shape, generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(self.count, *shape, generator=self.generator)

    def some(self, share: float, *ones: int) -> Tensor:
        """1 for that share of the batch, else 0."""
        return (self.uniform(*ones) < share).float()


def _random_curves(draw: _Draw) -> Tensor:
    """Rising curves: gamma, contrast, lifted blacks, lowered whites; a little by channel."""
    normal, some = draw.normal, draw.some
    x = torch.linspace(0, 1, _CURVE)
    gamma = (some(0.5, 1, 1) * 0.3 * normal(1, 1) + some(0.4, 1, 1) * 0.1 * normal(3, 1)).exp()
    curve = torch.pow(x, gamma)
    contrast = some(0.6, 1, 1) * 0.5 * normal(1, 1) + some(0.2, 1, 1) * 0.2 * normal(3, 1)
    bend = x - 0.5
    # From flat to a pronounced S, through the middle.
    steep = curve + contrast * (bend * (1 - 4 * bend.square())) * 1.2
    lift = some(0.4, 1, 1) * 0.12 * draw.uniform(1, 1) + some(0.3, 1, 1) * 0.06 * normal(3, 1)
    lower = some(0.3, 1, 1) * 0.2 * draw.uniform(1, 1)
    gain = 1 - lower + some(0.3, 1, 1) * 0.08 * normal(3, 1)
    wiggle = some(0.3, 1, 1) * 0.03 * normal(3, _CURVE)
    return (lift + (gain - lift) * steep + wiggle).cummax(2).values
