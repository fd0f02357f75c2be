"""The grade that a network reads in two photos, and that what both show agrees with."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pydpst.ops import knot_weights
from pydpst.photos.resizing import resize
from pydpst.reading.correspondences import Correspondences, correspondences
from pydpst.reading.network import LookReader
from pydpst.reading.reader import read_looks
from pydpst.regions.border_order import swaps_brightness
from pydpst.regions.scene_regions import scene_regions
from pydpst.transfer.grade import Grade
from pydpst.transfer.grade_costs import held_back
from pydpst.transfer.linear import monge_kantorovich

# Looks are read from copies of this longer side, at most.
READ_SIZE = 512
# By what each photo shows, or each photo as one.
REGIONS = ("auto", "none")

# Colours that differ by this much from what the others say count a quarter (Geman and McClure).
OUTLYING = 0.05
_ROUNDS = 6
# Against the mean squared error of the matches: how far the photo's colours, neighbouring knots
# and all entries may move from the grade that was there before.
_KEEP, _ROUGH, _RIDGE = 0.005, 0.01, 1e-3
# As many of the photo's pixels, about, say which colours it has.
_PIXELS = 4096


class Looks(NamedTuple):
    """A grade of several regions, and where these are.

    Attributes:
        grade: of R regions.
        masks: (R, H, W), in the copy that was looked at.
        parts: what each region shows, as `pairing.Match` has it for the content.
    """

    grade: Grade
    masks: Tensor
    parts: list[frozenset[str]]


def looks_of(
    photo: Tensor, style: Tensor, regions: str, network: LookReader | None = None
) -> Looks:
    """The grade that gives a photo the look of another, or one a region.

    Args:
        photo: (3, H, W) in [0, 1].
        style: (3, H', W'), likewise.
        regions: one of `REGIONS`; auto grades sky like sky, and ground like ground.
        network: what `pydpst.train_universal` gave; None is the bundled one.

    Returns:
        The looks, in a copy of `READ_SIZE`. There is one where both photos show the same things,
        which say what it is, or where brightness would change places at a border.
    """
    content, wanted = (resize(x, READ_SIZE).to(photo.device) for x in (photo, style))
    found = correspondences(content, wanted)
    if regions == "auto" and found is None:
        apart = _by_region(content, wanted, network)
        if apart is not None:
            return apart
    maps = held_back(read_looks(content, wanted, network=network)[0], content)
    grade = Grade((maps if found is None else agreeing(maps, content, found))[None, None])
    return Looks(grade, torch.ones_like(content[:1]), [frozenset(["whole"])])


def _by_region(content: Tensor, style: Tensor, network: LookReader | None) -> Looks | None:
    """A look a region of small copies; None where it is better that they go as one."""
    found = scene_regions(content, style, monge_kantorovich)
    if found.shared == 1:
        return None
    masks, style_masks = found.masks(content, style)
    maps = read_regions(content, style, masks, style_masks, network)
    grade = Grade(maps[:, None])
    # Also where the style has it so: masks of one pass are not so fine that nothing would glow.
    if swaps_brightness(content, grade.apply(content, masks), masks):
        return None
    return Looks(grade, masks, [match.content for match in found.matches])


def read_regions(
    content: Tensor,
    style: Tensor,
    masks: Tensor,
    style_masks: Tensor,
    network: LookReader | None = None,
) -> Tensor:
    """A look a region, each held back where it would be no grade.

    Args:
        content: (3, H, W) in [0, 1].
        style: (3, H', W'), likewise.
        masks: (R, H, W), soft, in [0, 1].
        style_masks: (R, H', W').
        network: None is the bundled one.

    Returns:
        (R, K, 12).
    """
    maps = read_looks(content, style, masks, style_masks, network)
    return torch.stack([held_back(x, content, mask) for x, mask in zip(maps, masks, strict=True)])


def check_read_regions(regions: str) -> None:
    """Refuses a way to find regions that there is not.

    Raises:
        ValueError: for such a way.
    """
    if regions not in REGIONS:
        raise ValueError(f"regions is {regions!r}; it must be {' or '.join(REGIONS)}.")


def agreeing(maps: Tensor, content: Tensor, found: Correspondences) -> Tensor:
    """The maps nearest to given ones that take the content's colours to those of the matches.

    Colours that are not matched move as their neighbours do, and not far.

    Args:
        maps: (K, 12), of a grade of one region.
        content: (3, H, W) in [0, 1].
        found: colours of the content, and what they are to be.

    Returns:
        (K, 12), like `maps`.
    """
    knots = len(maps)
    before = _as_matrix(maps)
    seen = _inputs(found.colors, knots)
    wanted = found.wanted.double().cpu() - seen @ before
    pixels = content.flatten(1)
    all_seen = _inputs(pixels[:, :: max(1, pixels.shape[1] // _PIXELS)].T, knots)
    held = _KEEP * all_seen.T @ all_seen / len(all_seen) + _RIDGE / knots * _eye(4 * knots)
    steps = torch.kron(_eye(knots).diff(dim=0), _eye(4))
    held = held + _ROUGH / (knots - 1) * steps.T @ steps
    weights = torch.ones_like(wanted[:, :1])
    change = torch.zeros_like(before)
    for _ in range(_ROUNDS):
        weighted = weights * seen
        change = torch.linalg.solve(
            weighted.T @ seen / len(seen) + held, weighted.T @ wanted / len(seen)
        )
        errors = (wanted - seen @ change).square().sum(1, keepdim=True)
        weights = (1 + errors / OUTLYING**2) ** -2
    return _as_maps(before + change).to(maps)


def _inputs(colors: Tensor, knots: int) -> Tensor:
    """What the rows of maps are multiplied with for colours (N, 3): (N, 4 · knots), float64."""
    colors = colors.double().cpu()
    weights = knot_weights(colors.mean(1), knots).T
    full = torch.cat([colors, torch.ones_like(colors[:, :1])], 1)
    return (weights[:, :, None] * full[:, None]).flatten(1)


def _as_matrix(maps: Tensor) -> Tensor:
    return maps.double().cpu().view(-1, 3, 4).transpose(1, 2).flatten(0, 1)


def _as_maps(matrix: Tensor) -> Tensor:
    return matrix.view(-1, 4, 3).transpose(1, 2).flatten(1)


def _eye(size: int) -> Tensor:
    return torch.eye(size, dtype=torch.float64)
