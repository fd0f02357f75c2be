"""What a `LookReader` is taught: looks known from parts of a photo, and those of other scenes."""

from __future__ import annotations

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
# Errors of looks and of scenes are seen against what they are without any change, and this much:
# the more it is, the more large changes count.
_LOOK_TOLERANCE, _SCENE_TOLERANCE = 0.15, 0.03
# Colours that are compared between scenes, and directions in which.
_COLORS, _DIRECTIONS = 384, 12
# Of a step's photos so many are judged as wholes, one by one: it takes long.
_JUDGED = 8
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
    with torch.autocast(batch.shown.device.type, torch.bfloat16, enabled=half):
        reading = network.read(batch.shown.flatten(0, 1))
        count = batch.bases.shape[1]
        contents, styles = _indices(count, batch.shown.device)
        shares = _for_images(batch.shares())
        both = shares[contents], shares[styles]
        maps = network.compare(_at(reading, contents), _at(reading, styles), *both)
    known = len(_PAIRS) * count
    looks, overshoot = _look_error(batch, maps[:known], contents[:known])
    scenes, more_overshoot = _scene_error(
        batch, maps[known:], contents[known:], styles[known:], generator
    )
    losses = {
        "looks": looks,
        "scenes": scenes,
        **_map_costs(maps),
        "overshoot": overshoot + more_overshoot,
    }
    if criterion is not None:
        # Contents mostly as they were taken, styles under looks: the first of `_SCENES`.
        wholes = slice(known, known + min(count, _JUDGED))
        losses |= _search_losses(
            network, batch, reading, contents[wholes], styles[wholes], half, criterion
        )
    total = torch.stack([w * losses[name] for name, w in _WEIGHTS.items() if name in losses]).sum()
    return {**losses, "total": total}


def _search_losses(
    network: LookReader,
    batch: Batch,
    reading: Reading,
    contents: Tensor,
    styles: Tensor,
    half: bool,
    criterion: SearchCriterion,
) -> dict[str, Tensor]:
    """What a search would say of the grades that `match` gives whole photos, of both looks."""
    content, style = _at(reading, contents), _at(reading, styles)
    ones = torch.ones_like(content.cells[..., 0])
    with torch.autocast(batch.shown.device.type, torch.bfloat16, enabled=half):
        shown = batch.shown.flatten(0, 1)[contents]
        maps = look_twice(network, shown, content, style, ones, ones)
    photos = batch.clean.flatten(0, 1)
    return criterion(maps.float(), photos[contents], photos[styles])


def _indices(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of all pairs the contents and styles, among 4 P images."""
    photo = torch.arange(count, device=device)
    other = photo.roll(-1)
    contents = [content * count + photo for content, _, _, _ in _PAIRS]
    styles = [style * count + photo for _, style, _, _ in _PAIRS]
    contents += [content * count + photo for content, _ in _SCENES]
    styles += [style * count + other for _, style in _SCENES]
    return torch.cat(contents), torch.cat(styles)


def _for_images(parts: Tensor) -> Tensor:
    """What parts A and B have, (2, P, ...), for the four images of each photo, (4 P, ...)."""
    return parts.repeat_interleave(2, 0).flatten(0, 1)


def _at(reading: Reading, index: Tensor) -> Reading:
    return Reading(reading.tokens[index], reading.cells[index], reading.grid)


def _look_error(batch: Batch, maps: Tensor, contents: Tensor) -> tuple[Tensor, Tensor]:
    """How far results are from the truth, over how far the contents are; and what is out of range.

    Every second pixel of every second row is looked at.
    """
    coarse = (..., slice(None, None, 2), slice(None, None, 2))
    before = batch.clean[coarse].flatten(0, 1)[contents]
    truths = {
        (part, look): batch.looks[look](batch.bases[part][coarse]) for _, _, part, look in _PAIRS
    }
    truth = oklab(torch.cat([truths[part, look] for _, _, part, look in _PAIRS]))
    mask = torch.cat([batch.masks[part][coarse] for _, _, part, _ in _PAIRS])
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
