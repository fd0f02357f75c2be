"""What goes to what: groups of the content to groups of the style, by meaning and by safety."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.regions.scene import GROUPS

# What a group may take its look from where the style has not the group itself, the best first.
# Nothing takes the sky's look but water, which mirrors it; and a sky without a sky takes none.
NEAREST = {
    "sky": (),
    "vegetation": ("ground", "mountain", "building"),
    "mountain": ("ground", "building", "vegetation"),
    "ground": ("mountain", "vegetation", "building", "interior"),
    "water": ("ground", "sky", "mountain"),
    "building": ("interior", "mountain", "vehicle", "ground", "vegetation"),
    "interior": ("building", "ground"),
    "person": ("interior", "building", "vehicle"),
    "vehicle": ("building", "person", "ground"),
}
# A group with less of a photo than this joins what its cells find next most probable.
LEAST_SHARE = 0.03
# The least mean probability of a region's cells, and the least share of them that have as much.
LEAST_CERTAINTY = 0.6
LEAST_CERTAIN_SHARE = 0.8
# A border lies on an edge if the colours on either side of it differ by this, in the median.
LEAST_STEP = 0.035
# The most that a region's colours are stretched to its partner's: beyond, noise is what is seen.
# More is fine where the photos as wholes ask for it. (A grade starts from slopes of at most 4.)
MOST_GAIN = 6.0
_MORE_GAIN = 1.25
# What is brighter than its neighbour by a step must not become darker by this, in the median.
MOST_INVERSION = 0.3
# A photo without much sky can do without a sky's own partner.
_MUCH = 0.1

# The matrix (3, 3) and offset (3) that give colours (3, N) the look of others (3, M), by weights
# (N) and (M).
LinearMap = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Seen:
    """A photo as the head sees it.

    Attributes:
        probabilities: of `GROUPS`, (9, h, w), summing to 1.
        colors: (3, h, w), the cells' mean colours.
    """

    probabilities: Tensor
    colors: Tensor


@dataclass(frozen=True)
class Match:
    """Groups of the content that are styled after groups of the style, as one region.

    Attributes:
        name: that of the content's largest, or "whole".
        content: the groups.
        style: likewise.
        confidence: the mean probability of the region's cells, in the photo where it is less; 1 for
            the whole.
    """

    name: str
    content: frozenset[str]
    style: frozenset[str]
    confidence: float


def joined(matches: Sequence[Match]) -> Match:
    """Several as one, with the first's name; it is as sure as the least sure of them."""
    return Match(
        matches[0].name,
        frozenset().union(*(match.content for match in matches)),
        frozenset().union(*(match.style for match in matches)),
        min(match.confidence for match in matches),
    )


def pair_groups(content: Seen, style: Seen, linear: LinearMap | None = None) -> list[Match]:
    """Finds what goes to what.

    What both photos have goes together; the content's other groups go to the nearest by
    `NEAREST`. Then regions that are uncertain, small, without an edge between them, or that would
    need an extreme map are merged, down to one for the whole photo.

    Args:
        content: the photo to restyle.
        style: the photo whose style it gets.
        linear: gives a region the look of its partner, to see whether it is extreme; None is not to
            look.

    Returns:
        The matches. A group in none of them belongs to the one that its cells find most probable.
    """
    mine, theirs = present(content), present(style)
    matches = _by_meaning(mine, theirs, _without_edge(content, list(mine)))
    while matches is not None and len(matches) > 1:
        wrong = _worst(matches, content, style, linear)
        if wrong is None:
            break
        matches = _merged(matches, *wrong)
    if not matches or len(matches) == 1:
        return [Match("whole", frozenset(mine), frozenset(theirs), 1.0)]
    certainty = _certainty(*_sums_and_masks(matches, content, style), len(matches))[0].tolist()
    return [
        Match(max(mine_, key=mine.__getitem__), mine_, theirs_, sure)
        for (mine_, theirs_), sure in zip(matches, certainty, strict=True)
    ]


def present(photo: Seen) -> dict[str, float]:
    """The groups that a photo has, with their shares of it; those with little are left out."""
    active = torch.ones(len(GROUPS), dtype=torch.bool)
    while True:
        labels = photo.probabilities.masked_fill(~active[:, None, None], -1).argmax(0)
        share = torch.bincount(labels.flatten(), minlength=len(GROUPS)) / labels.numel()
        least = int(share.masked_fill(~active, 2).argmin())
        if share[least] >= LEAST_SHARE or active.sum() == 1:
            return {GROUPS[k]: float(share[k]) for k in torch.where(active)[0].tolist()}
        active[least] = False


_Groups = tuple[frozenset[str], frozenset[str]]


def _without_edge(photo: Seen, names: list[str]) -> list[tuple[str, str]]:
    """Groups whose border lies on no edge of the photo: one of them is wrong, or both."""
    hard = _hard(photo.probabilities[[GROUPS.index(name) for name in names]])
    return [
        (names[first], names[second])
        for first in range(len(names))
        for second in range(first)
        if not _has_edge(photo, hard[first], hard[second])
    ]


def _by_meaning(
    mine: dict[str, float], theirs: dict[str, float], together: list[tuple[str, str]]
) -> list[_Groups] | None:
    """Pairs groups by their names and by `NEAREST`; None if the photos can only go as a whole.

    Of the content's groups that go together, the smaller goes with the larger, or any with the sky.
    """
    partner = {name: name for name in mine if name in theirs}
    for name in sorted(set(mine) - set(partner), key=lambda name: -mine[name]):
        near = [other for other in NEAREST[name] if other in theirs]
        if near:
            partner[name] = near[0]
    alone = set(mine) - set(partner)
    if "sky" in alone and mine["sky"] >= _MUCH:
        return None
    grounded = [name for name in partner if name != "sky"] or list(partner)
    if not grounded:
        return None
    largest = max(grounded, key=mine.__getitem__)
    partner |= {name: partner[largest] for name in alone}
    for pair in together:
        less, more = sorted(pair, key=lambda name: (name == "sky", mine[name]))
        partner[less] = partner[more]
    style_of = {name: {name} for name in set(partner.values())}
    # What the content lacks still says what the style looks like.
    for name in set(theirs) - set(style_of):
        near = [other for other in NEAREST[name] if other in style_of and other != "sky"]
        if near:
            style_of[near[0]].add(name)
    return [
        (frozenset(k for k, v in partner.items() if v == name), frozenset(names))
        for name, names in sorted(style_of.items())
    ]


def region_sums(photo: Seen, parts: list[frozenset[str]]) -> Tensor:
    """The regions' probabilities.

    Args:
        photo: as seen.
        parts: the groups of each region.

    Returns:
        (R, h, w), or (R + 1, h, w) if the photo has groups that are in none of the parts: these
        are the last. Groups of which there is too little are left out.
    """
    left = frozenset(present(photo)).difference(*parts)
    return torch.stack(
        [
            photo.probabilities[[GROUPS.index(name) for name in sorted(part)]].sum(0)
            for part in [*parts, *([left] if left else [])]
        ]
    )


def _worst(
    matches: list[_Groups], content: Seen, style: Seen, linear: LinearMap | None
) -> tuple[int, int] | None:
    """Two regions that must be one, or None: the first that is wrong, and where it belongs."""
    sums, hard = _sums_and_masks(matches, content, style)
    mean, share = _certainty(sums, hard, len(matches))
    standing = torch.minimum(mean / LEAST_CERTAINTY, share / LEAST_CERTAIN_SHARE)
    least = int(standing.argmin())
    if standing[least] < 1:
        return least, _next(sums, hard, least, matches)
    for first in range(len(matches)):
        for second in range(first):
            if not _has_edge(content, hard[0][first], hard[0][second]):
                return first, second
    return None if linear is None else _extreme(matches, sums, hard, content, style, linear)


def _sums_and_masks(
    matches: list[_Groups], content: Seen, style: Seen
) -> tuple[list[Tensor], list[Tensor]]:
    """The regions' probabilities in both photos, and the masks of where each is the largest."""
    sums = [
        region_sums(photo, [match[side] for match in matches])
        for side, photo in enumerate((content, style))
    ]
    return sums, [_hard(x) for x in sums]


def _extreme(
    matches: list[_Groups],
    sums: list[Tensor],
    hard: list[Tensor],
    content: Seen,
    style: Seen,
    linear: LinearMap,
) -> tuple[int, int] | None:
    """Two regions of which one would be stretched too far, or that would swap their brightness."""
    colors = [photo.colors.flatten(1) for photo in (content, style)]
    ones = [torch.ones_like(x[0]) for x in colors]
    most = max(MOST_GAIN, _MORE_GAIN * _gain(linear(colors[0], colors[1], ones[0], ones[1])[0]))
    graded = []
    for index in range(len(matches)):
        weights = [share[index].flatten() for share in sums]
        matrix, offset = linear(colors[0], colors[1], weights[0], weights[1])
        if _gain(matrix) > most:
            return index, _next(sums, hard, index, matches)
        mapped = matrix @ colors[0].to(matrix) + offset[:, None]
        graded.append(mapped.clamp(0, 1).float().view_as(content.colors))
    for first in range(len(matches)):
        for second in range(first):
            masks = hard[0][first], hard[0][second]
            before = across(content.colors, *masks).mean(0)
            after = across(graded[first], *masks, graded[second]).mean(0)
            swapped = median(torch.where(before > 0, after, -after)[before.abs() > LEAST_STEP])
            if swapped is not None and swapped < -MOST_INVERSION:
                return first, second
    return None


def _hard(shares: Tensor) -> Tensor:
    """Masks (R, h, w), 1 where the share is the largest."""
    return F.one_hot(shares.argmax(0), len(shares)).permute(2, 0, 1).float()


def _has_edge(photo: Seen, first: Tensor, second: Tensor) -> bool:
    """Whether the border of two masks (h, w) lies on an edge; so it does if they have none."""
    step = median(across(photo.colors, first, second).abs().amax(0))
    return step is None or step >= LEAST_STEP


def _gain(matrix: Tensor) -> float:
    return float(torch.linalg.eigvalsh(matrix).max())


def _certainty(sums: list[Tensor], hard: list[Tensor], count: int) -> tuple[Tensor, Tensor]:
    """How probable each region is in its cells, in the photo where it is less; 0 for specks.

    Returns:
        (count) the mean probability, and the share of cells of at least `LEAST_CERTAINTY`.
    """
    means: list[Tensor] = []
    shares: list[Tensor] = []
    for probability, mask in zip(sums, hard, strict=True):
        area = mask[:count].sum((1, 2))
        large = area >= LEAST_SHARE * mask[0].numel()
        for found, of in ((means, probability), (shares, probability >= LEAST_CERTAINTY)):
            mean = (of * mask)[:count].sum((1, 2)) / area.clamp_min(1)
            found.append(torch.where(large, mean, 0.0))
    return torch.minimum(*means), torch.minimum(*shares)


def _next(sums: list[Tensor], hard: list[Tensor], index: int, matches: list[_Groups]) -> int:
    """The region that another's cells find next most probable, in both photos; the sky last."""
    votes = torch.zeros(len(matches))
    for share, mask in zip(sums, hard, strict=True):
        area = mask[index].sum().clamp_min(1)
        votes += (share * mask[index])[: len(matches)].sum((1, 2)) / area
    # Grades of a sky and of what stands before it differ most.
    votes -= torch.tensor([float("sky" in match[0]) for match in matches]) * len(sums)
    votes[index] = -torch.inf
    return int(votes.argmax())


def across(colors: Tensor, first: Tensor, second: Tensor, others: Tensor | None = None) -> Tensor:
    """The differences of colours across the border of two regions.

    Args:
        colors: (3, h, w).
        first: (h, w), 1 in a region.
        second: likewise in another.
        others: the colours (3, h, w) of the second; None is the same.

    Returns:
        (3, N), the first region's less the second's, each a cell away from the border.
    """
    others = colors if others is None else others
    found = []
    for dim in (1, 2):
        length = max(0, colors.shape[dim] - 3)
        for mine, theirs in ((0, 3), (3, 0)):
            # The cells at the border hold both.
            inner, outer = (1, 2) if mine == 0 else (2, 1)
            border = first.narrow(dim - 1, inner, length) * second.narrow(dim - 1, outer, length)
            step = colors.narrow(dim, mine, length) - others.narrow(dim, theirs, length)
            found.append(step[:, border > 0])
    return torch.cat(found, 1)


def median(values: Tensor) -> float | None:
    """The median, or None of hardly any."""
    return float(values.median()) if len(values) > 2 else None


def _merged(matches: list[_Groups], first: int, second: int) -> list[_Groups]:
    """The same with two regions as one."""
    one = (matches[first][0] | matches[second][0], matches[first][1] | matches[second][1])
    return [one, *(match for k, match in enumerate(matches) if k not in (first, second))]
