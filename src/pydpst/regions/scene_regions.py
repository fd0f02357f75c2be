"""Regions of a pair of photos by what they show."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.photos.resizing import resize
from pydpst.regions.masks import Regions, followed_masks, resized_labels, with_undecided
from pydpst.regions.outlines import follow_colors, follow_sky
from pydpst.regions.pairing import LinearMap, Match, Seen, pair_groups, region_sums
from pydpst.regions.scene import Scene, parse_scene
from pydpst.regions.subject import background, subject_background
from pydpst.regions.undecided import undecided

# Borders are found at this size.
_OUTLINES_SIZE = 512
# Cells of this probability teach a region's colours, and keep their region unless they lie beside
# a border.
_SURE = 0.75
# The region of which more is known than of others: where it ends (see `sky.SkyOutline`).
_SKY = frozenset(["sky"])


def scene_regions(content: Tensor, style: Tensor, linear: LinearMap | None = None) -> Regions:
    """Regions that both photos have by what they show: sky and sky, water and water.

    Args:
        content: (3, H, W) in [0, 1].
        style: (3, H', W'), likewise.
        linear: as for `pairing.pair_groups`.

    Returns:
        The regions, the largest first, named as `scene.GROUPS`; background and object, where both
        photos are no more than these; or one, named whole.
    """
    photos = [content, style]
    scenes = [parse_scene(photo) for photo in photos]
    seen = [_seen(photo, scene) for photo, scene in zip(photos, scenes, strict=True)]
    objects = _objects(photos, list(map(subject_background, photos, seen)))
    if objects is not None:
        return objects
    matches = pair_groups(seen[0], seen[1], linear)
    if len(matches) > 1:
        parts = [[match.content for match in matches], [match.style for match in matches]]
        outlines = [
            _outline(photo, region_sums(view, part), part, scene.sky)
            for photo, view, part, scene in zip(photos, seen, parts, scenes, strict=True)
        ]
        return _outlined(outlines, matches)
    objects = _objects(photos, list(map(background, photos, seen)))
    if objects is not None:
        return objects
    whole = [torch.zeros(x.shape[-2:], dtype=torch.int64, device=x.device) for x in photos]
    return Regions(whole[0], whole[1], [matches[0].name], 1, matches=tuple(matches))


def regions_again(photo: Tensor, parts: Sequence[frozenset[str]]) -> Tensor:
    """Masks of regions that were found in another photo of the same scene.

    Args:
        photo: (3, H, W) in [0, 1].
        parts: what each region shows, as `pairing.Match` has it for the content.

    Returns:
        (R, H, W), float32, soft, summing to 1. What none of the regions shows belongs to those that
        its cells find most probable.
    """
    if len(parts) == 1:
        return torch.ones_like(photo[:1])
    scene = parse_scene(photo)
    seen = _seen(photo, scene)
    if frozenset(["background"]) in parts:
        behind = background(photo, seen)
        if behind is None:
            behind = torch.zeros_like(seen.colors[0])
        share = torch.stack([behind if "background" in x else 1 - behind for x in parts])
        labels, mixed = _object_outline(photo, share)
    else:
        share = region_sums(seen, list(parts))[: len(parts)]
        labels, mixed = _outline(photo, share, parts, scene.sky)
    return with_undecided(followed_masks(labels, photo, len(parts)), mixed)


def _seen(photo: Tensor, scene: Scene) -> Seen:
    cells = scene.groups.shape[-2:]
    return Seen(scene.groups, F.interpolate(photo[None], cells, mode="area")[0].float().cpu())


def _objects(photos: list[Tensor], behind: list[Tensor | None]) -> Regions | None:
    """Background and object, if both photos have a background."""
    shares = [torch.stack([x, 1 - x]) for x in behind if x is not None]
    if len(shares) < len(photos):
        return None
    confidence = min(float(x.amax(0).mean()) for x in shares)
    matches = [
        Match(name, frozenset([name]), frozenset([name]), confidence)
        for name in ("background", "object")
    ]
    outlines = [_object_outline(photo, share) for photo, share in zip(photos, shares, strict=True)]
    return _outlined(outlines, matches)


def _outlined(outlines: list[tuple[Tensor, Tensor]], matches: list[Match]) -> Regions:
    """The regions of label maps and of what is undecided, the largest first."""
    labels, mixed = [labels for labels, _ in outlines], [mixed for _, mixed in outlines]
    order = torch.bincount(labels[0].flatten(), minlength=len(matches)).argsort(descending=True)
    rank = torch.full((len(matches) + 1,), -1, device=order.device)
    rank[order] = torch.arange(len(order), device=order.device)
    kept = order.tolist()
    return Regions(
        rank[labels[0]],
        rank[labels[1]],
        [matches[k].name for k in kept],
        len(matches),
        (mixed[0][kept], mixed[1][kept]),
        tuple(matches[k] for k in kept),
    )


def _outline(
    photo: Tensor, share: Tensor, parts: Sequence[frozenset[str]], sky: Tensor
) -> tuple[Tensor, Tensor]:
    """The label map of a photo, and what is `undecided`.

    Args:
        photo: (3, H, W) in [0, 1].
        share: (R, h, w), of the regions, coarse, and maybe of what is in none of them.
        parts: the groups of each.
        sky: (h', w'), the sky's opacity, finer.
    """
    share = (share / share.sum(0, keepdim=True).clamp_min(1e-6)).to(photo.device)
    small = resize(photo, _OUTLINES_SIZE)
    sure = (share > _SURE).float()
    inner = 1 - F.max_pool2d(F.pad(1 - sure, (1, 1, 1, 1), mode="replicate"), 3, 1)
    found = follow_colors(share, share * sure, small, inner)
    if _SKY in parts:
        # Never 0, so that what turns out not to be sky has a region.
        smooth = F.interpolate(share[None], small.shape[-2:], mode="bilinear")[0]
        found = found.lerp(smooth, 1e-3)
        found = follow_sky(sky.to(photo.device), found, parts.index(_SKY), small)
    return resized_labels(found.argmax(0), photo), undecided(share, photo)


def _object_outline(photo: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """The same of shares (2, h, w) that have outlines already."""
    share = share.to(photo.device)
    size = resize(photo, _OUTLINES_SIZE).shape[-2:]
    labels = F.interpolate(share[None], size, mode="bilinear", align_corners=False)[0].argmax(0)
    return resized_labels(labels, photo), undecided(share, photo)
