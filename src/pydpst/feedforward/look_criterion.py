"""What a `LookReader` is taught: looks known from parts of a photo, and those of other scenes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pydpst.feedforward.look_pairs import Batch
from pydpst.feedforward.search_criterion import SearchCriterion
from pydpst.photos.color_spaces import oklab
from pydpst.reading.network import LookReader, Reading
from pydpst.reading.second_look import look_twice, rendered
from pydpst.transfer.grade import KNOTS

# Content and style among what a batch shows, the content's part, and the look of the truth.
_PAIRS = (
    (0, 2, 0, 0),
    (0, 3, 0, 2),
    (1, 2, 0, 0),
    (1, 3, 0, 2),
    (2, 0, 1, 0),
    (2, 1, 1, 1),
    (3, 0, 1, 0),
    (3, 1, 1, 1),
)
# Contents and styles of other photos.
_SCENES = ((0, 3), (1, 2))
_ALL = tuple(range(len(_PAIRS) + len(_SCENES)))
# Of the pairs and then the scenes, the numbers of those whose second look is compared with the
# truth, too, and how much that counts of the whole.
_AGAIN, _SHARE_AGAIN = (1, 4, 8), 0.3
# The scene that is judged as a search judges it: its content is mostly as it was taken.
_JUDGED = (8,)
# Errors of looks and of scenes are seen against what they are without any change, and this much:
# the more it is, the more large changes count.
_LOOK_TOLERANCE, _SCENE_TOLERANCE = 0.15, 0.03
# Colours that are compared between scenes, and directions in which.
_COLORS, _DIRECTIONS = 384, 12
# So many of a step's photos are judged so, one by one: it takes long.
_MOST_JUDGED = 8
# Contrast may grow by so much at no cost; what rises is at least so steep.
_FREE_GAIN, _LEAST_RISE = 1.4, 0.15
_WEIGHTS = {
    "looks": 1.0,
    "scenes": 0.3,
    "gain": 1.0,
    "rise": 0.5,
    "overshoot": 2.0,
    "rough": 0.02,
    "search": 3.0,
}


def look_losses(
    network: LookReader,
    batch: Batch,
    generator: torch.Generator,
    half: bool,
    criterion: SearchCriterion | None,
) -> dict[str, Tensor]:
    """The losses of a step, scalars by name, and their weighted sum as total.

    Args:
        network: in training.
        batch: what it is shown.
        generator: of the batch's device; chooses which colours are compared.
        half: whether to encode in bfloat16.
        criterion: of photos of other scenes as a whole, if they are to be judged so, too.
    """
    sight = _Sight(network, batch.shown.flatten(0, 1), half)
    shares = _for_images(batch.shares())
    maps = sight.once(*_images(_ALL, batch), shares)
    errors = _errors(batch, maps, _ALL, generator)
    judged = {}
    if criterion is not None:
        again = sight.twice(*_images(_AGAIN, batch), shares)
        errors = errors.lerp(_errors(batch, again, _AGAIN, generator), _SHARE_AGAIN)
        contents, styles = (index[:_MOST_JUDGED] for index in _images(_JUDGED, batch))
        grades = sight.twice(contents, styles, torch.ones_like(shares))
        photos = batch.clean.flatten(0, 1)
        judged = criterion(grades, photos[contents], photos[styles])
        maps = torch.cat([maps, again, grades])
    looks, scenes, overshoot = errors
    losses = {
        "looks": looks,
        "scenes": scenes,
        **_map_costs(maps),
        "overshoot": overshoot,
        **judged,
    }
    total = torch.stack([w * losses[name] for name, w in _WEIGHTS.items() if name in losses]).sum()
    return {**losses, "total": total}


class _Sight:
    """What the network sees in the images shown, and what it makes of pairs of them.

    Args:
        network: what looks.
        shown: (4 P, 3, H, W).
        half: whether to encode in bfloat16.
    """

    def __init__(self, network: LookReader, shown: Tensor, half: bool) -> None:
        self._network, self._shown, self._half = network, shown, half
        with self._quick():
            self._reading = network.read(shown)

    def once(self, contents: Tensor, styles: Tensor, shares: Tensor) -> Tensor:
        """The maps of the first look, by the numbers of contents and styles among the images.

        Args:
            contents: (B,).
            styles: (B,).
            shares: (4 P, N), how much of each cell counts.
        """
        with self._quick():
            content, style = self._at(contents), self._at(styles)
            return self._network.compare(content, style, shares[contents], shares[styles]).float()

    def twice(self, contents: Tensor, styles: Tensor, shares: Tensor) -> Tensor:
        """Likewise those of both looks, where the second goes as far as it says."""
        with self._quick():
            content, style = self._at(contents), self._at(styles)
            both = shares[contents], shares[styles]
            shown = self._shown[contents]
            return look_twice(self._network, shown, content, style, *both, further=1.0).float()

    def _quick(self) -> torch.autocast:
        return torch.autocast(self._shown.device.type, torch.bfloat16, enabled=self._half)

    def _at(self, index: Tensor) -> Reading:
        # Not by [index], whose gradient is summed in any order where there are threads.
        tokens = self._reading.tokens.index_select(0, index)
        return Reading(tokens, self._reading.cells[index], self._reading.grid)


def _images(numbers: Sequence[int], batch: Batch) -> tuple[Tensor, Tensor]:
    """Contents and styles of pairs and scenes of these numbers, among 4 P images."""
    count = batch.bases.shape[1]
    photo = torch.arange(count, device=batch.bases.device)
    sides = [(content, style, photo) for content, style, _, _ in _PAIRS]
    sides += [(content, style, photo.roll(-1)) for content, style in _SCENES]
    contents = [sides[number][0] * count + photo for number in numbers]
    styles = [sides[number][1] * count + sides[number][2] for number in numbers]
    return torch.cat(contents), torch.cat(styles)


def _for_images(parts: Tensor) -> Tensor:
    """What parts A and B have, (2, P, ...), for the four images of each photo, (4 P, ...)."""
    return parts.repeat_interleave(2, 0).flatten(0, 1)


def _errors(
    batch: Batch, maps: Tensor, numbers: Sequence[int], generator: torch.Generator
) -> Tensor:
    """Of pairs and scenes of these numbers the errors: of looks, of scenes, out of range."""
    contents, styles = _images(numbers, batch)
    pairs = [_PAIRS[number] for number in numbers if number < len(_PAIRS)]
    known = len(pairs) * batch.bases.shape[1]
    looks, overshoot = _look_error(batch, maps[:known], contents[:known], pairs)
    scenes, more = _scene_error(batch, maps[known:], contents[known:], styles[known:], generator)
    return torch.stack([looks, scenes, overshoot + more])


def _look_error(
    batch: Batch, maps: Tensor, contents: Tensor, pairs: Sequence[tuple[int, int, int, int]]
) -> tuple[Tensor, Tensor]:
    """How far results are from the truth, over how far the contents are; and what is out of range.

    Every second pixel of every second row is looked at.
    """
    coarse = (..., slice(None, None, 2), slice(None, None, 2))
    before = batch.clean[coarse].flatten(0, 1)[contents]
    truths = {
        (part, look): batch.looks[look](batch.bases[part][coarse]) for _, _, part, look in pairs
    }
    truth = oklab(torch.cat([truths[part, look] for _, _, part, look in pairs]))
    mask = torch.cat([batch.masks[part][coarse] for _, _, part, _ in pairs])
    raw = rendered(maps, before)
    result = raw.clamp(0, 1)
    overshoot = (raw - result).square().mean()
    area = mask.sum((1, 2))
    untouched = ((oklab(before) - truth).square().sum(1).sqrt() * mask).sum((1, 2)) / area
    error = ((oklab(result) - truth).square().sum(1) + 1e-6).sqrt()
    error = (error * mask).sum((1, 2)) / area
    return (error / (untouched + _LOOK_TOLERANCE)).mean(), overshoot


def _scene_error(
    batch: Batch, maps: Tensor, contents: Tensor, styles: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """How far the colours of results are from the styles', over how far the contents' are.

    By the Wasserstein distance along random directions (Rabin et al. 2012), of colours drawn where
    the regions are.
    """
    clean = batch.clean.flatten(0, 1).flatten(2)
    masks = _for_images(batch.masks).flatten(1)
    drawn = torch.multinomial(masks + 1e-4, _COLORS, True, generator=generator)
    colors = clean.gather(2, drawn[:, None].expand(-1, 3, -1))
    before, wanted = colors[contents], oklab(colors[styles])
    raw = rendered(maps, before[:, :, None])[:, :, 0]
    result = raw.clamp(0, 1)
    directions = torch.randn(_DIRECTIONS, 3, generator=generator, device=masks.device)
    # Chroma differs less than lightness, but is seen as well.
    scale = directions.new_tensor([1.0, 2.0, 2.0])
    directions = directions / directions.norm(dim=1, keepdim=True) * scale

    def ordered(lab: Tensor) -> Tensor:
        return torch.einsum("di,bin->bdn", directions, lab).sort(2).values

    target = ordered(wanted)
    distance = (ordered(oklab(result)) - target).abs().mean((1, 2))
    untouched = (ordered(oklab(before)) - target).abs().mean((1, 2))
    return (distance / (untouched + _SCENE_TOLERANCE)).mean(), (raw - result).square().mean()


def _map_costs(maps: Tensor) -> dict[str, Tensor]:
    """Contrast that grows too much, lightness that falls, and neighbouring knots that differ."""
    matrices = maps.reshape(len(maps), KNOTS, 3, 4)
    grey = torch.linspace(0, 1, KNOTS, device=maps.device)
    greys = matrices[..., :3].sum(3) * grey[:, None] + matrices[..., 3]
    change = greys.diff(dim=1) * (KNOTS - 1)
    slopes = (matrices[:, 1:, :, :3] + matrices[:, :-1, :, :3]) / 2
    # How a map changes along the luminance counts, which is the mean of the channels.
    along = (change - slopes.sum(3)) / 3
    jacobian = slopes + along[..., None]
    gain = (jacobian.square().sum((2, 3)) / 3 + 1e-6).sqrt()
    rise = jacobian.mean(2).sum(2)
    return {
        "gain": (gain - _FREE_GAIN).clamp_min(0).square().mean(),
        "rise": (_LEAST_RISE - rise).clamp_min(0).square().mean(),
        "rough": (matrices.diff(n=2, dim=1)).square().sum((2, 3)).mean(),
    }
