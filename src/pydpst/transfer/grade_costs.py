"""Costs that keep a grade a grade: even, in range, without inversions, noise, or a green cast."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.ops import grade_apply
from pydpst.transfer.grade import HUES, KNOTS, SATURATED, identity_maps
from pydpst.transfer.grade_maps import knot_colors, knot_sums

# A pixel whose surroundings vary by this much, by standard deviation, is only half flat.
_FLAT = 0.012
# Half a level of 8 bits, squared: no photo has less noise.
_LEAST_NOISE = 4e-6
# Noise may grow with contrast, this many times, at no cost.
_FREE_GAIN = 1.5
# Luminance rises with the photo's at least so steeply.
_LEAST_SLOPE = 0.1
# A grade that was not found with these costs: how often noise may grow; what is too little of a
# photo to judge by; and how many strengths are tried.
_MOST_GAIN, _FEW, _STRENGTHS = 2.0, 0.01, 21
# A direction of colour may turn round by so much at no cost.
_LEAST_STRETCH = -0.15
# A cast fainter than this is not seen.
_UNSEEN = 0.01
# A style this green has green of its own.
_GREEN = 0.05
# A photo's black is darker than all but this share of it; what is lighter by so much is not black.
_DARKEST, _BLACK_RANGE = 0.01, 0.12


class GradeCosts:
    """The costs of a grade's maps, each a scalar.

    Args:
        shares: (R), of each region in the area of all; they sum to 1.
        content: (3, H, W) in [0, 1], at the size where its noise is still seen.
        masks: (R, H, W), soft, in [0, 1].
    """

    def __init__(self, shares: Tensor, content: Tensor, masks: Tensor) -> None:
        self._shares = shares[:, None, None]
        self._colors, amounts = knot_colors(content, masks)
        self._hues = amounts.sum(2, keepdim=True)
        self._amounts = _between(amounts)
        noise, flatness = flat_noise(content, masks)
        self._noise, self._flatness = _between(noise), _between(flatness)

    def __call__(self, theta: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """The costs of θ (R, K, 3, 10) and of its maps (R, 7, K, 12).

        Returns:
            roughness: the mean squared difference of neighbouring knots, of θ's matrices.
            distance: the mean squared distance from the start, likewise.
            hues: the mean square of the offsets, and of their differences from hue to hue and
                from knot to knot.
            falling, inversion, noise: as `of_maps`.
        """
        matrices, offsets = theta[..., :4], theta[..., 4:]
        return {
            "roughness": matrices.diff(dim=1).square().mean(),
            "distance": (self._shares[..., None] * matrices.square()).sum() / KNOTS,
            "hues": (
                offsets.square().mean()
                + (offsets - offsets.roll(1, 3)).square().mean()
                + offsets.diff(dim=1).square().mean()
            ),
            **self.of_maps(maps),
        }

    def of_maps(self, maps: Tensor) -> dict[str, Tensor]:
        """The costs of maps (R, 7, K, 12) alone.

        Returns:
            falling: where luminance falls as that of the photo rises.
            inversion: where a direction of colour turns round more than a little.
            noise: how much more than a little the noise in flat areas grows.
        """
        slopes = _slopes(maps, self._colors)
        rise = _rise(maps, self._colors)
        gain = _gain(slopes + _hue_slopes(maps), self._noise)
        stretch = torch.linalg.eigvalsh((slopes + slopes.mT) / 2)
        shares = self._shares
        falling = shares * self._hues * (_LEAST_SLOPE - rise).clamp_min(0).square()
        return {
            "falling": falling.sum(1).mean(),
            "inversion": (
                (shares * (self._amounts + 0.05 * self._hues))[..., None]
                * (_LEAST_STRETCH - stretch).clamp_min(0).square()
            ).sum(),
            "noise": (
                shares
                * (self._flatness + 0.01 * self._hues)
                * (gain - _FREE_GAIN).clamp_min(0).square()
            ).sum(),
        }


def held_back(maps: Tensor, content: Tensor, mask: Tensor | None = None) -> Tensor:
    """A grade that was not found with these costs, at the strength at which it is a grade.

    Args:
        maps: (K, 12), of one region and all hues.
        content: (3, H, W) in [0, 1].
        mask: (H, W), where the region is; None is everywhere.

    Returns:
        (K, 12): between the identity and the maps, as near to these as luminance rises with the
        photo's, and noise of flat areas does not grow much.
    """
    where = torch.ones_like(content[:1]) if mask is None else mask[None]
    colors, amounts = knot_colors(content, where, hues=1)
    noise, flatness = flat_noise(content, where, hues=1)
    there, flat = _between(amounts) > _FEW, _between(flatness) > _FEW
    identity = identity_maps(1)[0, 0].to(maps)
    weaker = maps
    for share in torch.linspace(1, 0, _STRENGTHS).tolist():
        weaker = identity + share * (maps - identity)
        rise = _rise(weaker[None, None], colors)[there]
        gain = _gain(_slopes(weaker[None, None], colors), _between(noise))[flat]
        if (rise >= _LEAST_SLOPE).all() and (gain <= _MOST_GAIN).all():
            break
    return weaker


def _rise(maps: Tensor, colors: Tensor) -> Tensor:
    """How steeply luminance rises with the photo's from knot to knot, (R, hues, K - 1)."""
    matrices = maps.view(*maps.shape[:3], 3, 4)
    after = torch.einsum("rhkij,rhkj->rhki", matrices[..., :3], colors) + matrices[..., 3]
    rise: Tensor = (KNOTS - 1) * after.mean(3).diff(dim=2)
    return rise


def _gain(slopes: Tensor, noise: Tensor) -> Tensor:
    """How many times noise of covariances (R, hues, K - 1, 3, 3) grows, (R, hues, K - 1)."""
    grown = torch.einsum("rhkij,rhkjl,rhkil->rhk", slopes, noise, slopes)
    own = noise.diagonal(dim1=3, dim2=4).sum(3)
    return (grown / own).clamp_min(1e-6).sqrt()


def _slopes(maps: Tensor, colors: Tensor) -> Tensor:
    """The derivatives (R, hues, K - 1, 3, 3) of colours halfway between knots.

    The maps' own slopes, and those that come from their change along the luminance.
    """
    matrices, between = maps.view(*maps.shape[:3], 3, 4), _between(colors)
    change = matrices.diff(dim=2)
    moved = torch.einsum("rhkij,rhkj->rhki", change[..., :3], between) + change[..., 3]
    along: Tensor = moved[..., None] * ((KNOTS - 1) / 3)
    return _between(matrices[..., :3]) + along


def _hue_slopes(maps: Tensor) -> Tensor:
    """What the change of offsets from grey to each hue adds to the slopes, (R, 7, K - 1, 3, 3)."""
    offsets = _between(maps[..., 3::4])
    primary = 1.5 * torch.eye(3) - 0.5
    towards = torch.stack(
        [primary[0], -primary[2], primary[1], -primary[0], primary[2], -primary[1]]
    )
    added = (offsets[:, :-1] - offsets[:, -1:])[..., None] * (
        towards.to(offsets)[:, None, None] / SATURATED
    )
    # Noise of a grey goes towards three of the six.
    return torch.cat([added, added.sum(1, keepdim=True) / 2], 1)


def _between(values: Tensor) -> Tensor:
    """Halfway between neighbouring knots, which are the third dimension."""
    return (values[:, :, 1:] + values[:, :, :-1]) / 2


def flat_noise(content: Tensor, masks: Tensor, hues: int = HUES) -> tuple[Tensor, Tensor]:
    """The covariance of what varies in a photo's flat areas: its noise and its JPEG blocks.

    Args:
        content: (3, H, W) in [0, 1].
        masks: (R, H, W), soft, in [0, 1].
        hues: 7, or 1 to take all together.

    Returns:
        (R, hues, K, 3, 3), by region, hue and luminance, and the shares (R, hues, K) of each region
        that are flat and of that hue and luminance.
    """

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x[None], 5, 1, 2, count_include_pad=False)[0]

    detail = content - mean(content)
    variance = mean(detail.square().mean(0, keepdim=True))
    flat = masks * torch.exp(-variance / _FLAT**2)
    rows = [knot_sums(detail[k] * detail, content, flat, hues) for k in range(3)]
    sums = torch.stack(rows, 3)
    amounts = knot_sums(torch.ones_like(content), content, flat, hues)[..., 0]
    areas = masks.sum((1, 2))[:, None, None]
    # Where a knot has no flat pixels, the region's own count.
    whole = sums.sum((1, 2), keepdim=True) / amounts.sum((1, 2))[
        :, None, None, None, None
    ].clamp_min(1e-9)
    few = (1e-3 * areas + 1e-3)[..., None, None]
    covariances = (sums + few * whole) / (amounts[..., None, None] + few)
    least = _LEAST_NOISE * torch.eye(3, dtype=content.dtype, device=content.device)
    return covariances + least, amounts / areas.clamp_min(1e-9)


class GreenCast:
    """Keeps greys grey-wards and skin warm, and all colours from a green that the style has not.

    Hue is taken in the plane of red, green and blue less the last: for a warm colour R ≥ G ≥ B,
    (G - B) / (R - B) may not rise, for a grey one G may not pass R where B is below both; unless
    the start, which has the style's colours, does so, and the style's region has green.

    Args:
        start: the regions' maps at the start, (R, K, 3, 4).
        content: (3, H, W) in [0, 1].
        masks: (R, H, W), soft, in [0, 1].
        style: (3, H', W') in [0, 1].
        style_masks: (R, H', W').
    """

    def __init__(
        self, start: Tensor, content: Tensor, masks: Tensor, style: Tensor, style_masks: Tensor
    ) -> None:
        red, green, blue = content.unbind()
        saturation = content.amax(0) - content.amin(0)
        grey = (1 - saturation / 0.1).clamp(0, 1)
        warm = ((red - blue) / 0.1).clamp(0, 1) * ((red - green) / 0.05 + 0.5).clamp(0, 1)
        warm = warm * (green >= blue)
        hue = ((green - blue) / (red - blue).clamp_min(0.02)).clamp(0, 1)
        self._hue = hue * warm + 1 - warm
        inside = masks.sum(0)
        self._weight = torch.maximum(grey, warm) * inside
        self._inside = inside
        greenest = torch.stack([_greenest(style, mask) for mask in style_masks])
        # How green the style's regions are at each pixel of the content.
        self._most = torch.einsum("r,rhw->hw", greenest, masks) / inside.clamp_min(1e-6)
        started = grade_apply(start.flatten(2)[None], masks[None], content[None])[0]
        share = (self._most / _GREEN).clamp(0, 1)
        self._free = share * self._greenness(started).clamp_min(0) + _UNSEEN

    def __call__(self, image: Tensor) -> Tensor:
        """The cost of what the content has become, (3, H, W): a scalar."""
        excess = (self._greenness(image) - self._free).clamp_min(0)
        foreign = (_green_of(image) - self._most - _UNSEEN).clamp_min(0)
        return (self._weight * excess.square() + self._inside * foreign.square()).mean()

    def _greenness(self, image: Tensor) -> Tensor:
        red, green, blue = image.unbind()
        # What is bluer than green is not greenish, whatever the red.
        return (green - blue) - (self._hue * (red - blue)).clamp_min(0)


class BlackPoint:
    """Keeps blacks black, unless the style has none.

    A region of the style may have no black where the content's has: a lawn for a crowd, say. To
    lift the content's would lay a veil over it.

    Args:
        content: (3, H, W) in [0, 1].
        style: (3, H', W') in [0, 1].
        deepened: how far blacks are to follow those of a style that are deeper, from 0 to 1.
        veil: lifted by this much, blacks cost twice as much as by the square alone.
    """

    def __init__(
        self, content: Tensor, style: Tensor, deepened: float, veil: float = math.inf
    ) -> None:
        self._veil = veil
        own = content.mean(0)
        black, theirs = (x.mean(0).flatten().quantile(_DARKEST) for x in (content, style))
        weight = (1 - (own - black) / _BLACK_RANGE).clamp(0, 1)
        self._weight = weight / weight.sum()
        lifted, sunk = (theirs - black).clamp_min(0), (black - theirs).clamp_min(0)
        self._most = own + lifted - deepened * sunk + _UNSEEN

    def __call__(self, image: Tensor) -> Tensor:
        """The cost of what the content has become, (3, H, W): a scalar."""
        excess = (image.mean(0) - self._most).clamp_min(0).square()
        return (self._weight * excess * (1 + excess / self._veil**2)).sum()


def _green_of(image: Tensor) -> Tensor:
    """By how much green is above the other channels, (H, W)."""
    return image[1] - torch.maximum(image[0], image[2])


def _greenest(style: Tensor, mask: Tensor) -> Tensor:
    """How green the greenest twentieth of a region is, at least 0; a scalar."""
    amount, order = _green_of(style).flatten().sort()
    above = mask.flatten()[order].cumsum(0)
    place = torch.searchsorted(above, 0.95 * above[-1:]).clamp_max(len(amount) - 1)
    return amount[place[0]].clamp_min(0)
