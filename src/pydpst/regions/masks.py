"""Regions that content and style share, and their soft masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.matting.guided import EnlargedPlanes, box_mean, guided_filter
from pydpst.matting.laplacian import MattingLaplacian
from pydpst.photos.resizing import resize
from pydpst.regions.mask_colors import REGION_NAMES
from pydpst.regions.pairing import Match, joined

# The longer side of the copy in which masks are filtered.
_FILTERED_SIZE = 320
# Of colour histograms, a channel; and what a colour counts that a region has not.
_BINS = 16
_UNSEEN = 1e-2
# Of a region, of the photo's pixels: less tells nothing of its colours.
_LEAST_INSIDE = 1e-3
# What a region is styled after that takes the look of all of the style photo.
WHOLE_STYLE = -1


@dataclass(frozen=True)
class Regions:
    """Where the regions of a content and a style photo are.

    Attributes:
        content: labels (H, W), int64, indices into names.
        style: labels (H', W'), int64, below `shared`; -1 for what the content does not have.
        names: the regions that both photos have first, then those of the content alone.
        shared: how many both have.
        undecided: for content and style (R, h, w) and (R', h', w'), coarse: the shares that several
            regions have of pixels which no edge gives to one of them; None is none.
        matches: of the shared regions, what each shows in both photos and how sure that is; empty
            where that is not known.
        styled_after: of the shared regions, the label of the style's that each takes its look of,
            or `WHOLE_STYLE`; empty is each of its own. Several may take that of one.
    """

    content: Tensor
    style: Tensor
    names: list[str]
    shared: int
    undecided: tuple[Tensor, Tensor] | None = None
    matches: tuple[Match, ...] = ()
    styled_after: tuple[int, ...] = ()

    def masks(self, content: Tensor, style: Tensor, refine: bool = False) -> tuple[Tensor, Tensor]:
        """Soft masks of all the content's regions, and of the style's shared ones.

        Args:
            content: (3, h, w) in [0, 1], of the labels' aspect.
            style: (3, h', w'), likewise.
            refine: whether to solve for the content's (see `refined_masks`), instead of
                `followed_masks`. The style's, whose borders are not seen, are `soft_masks`.

        Returns:
            (len(names), h, w) and (shared, h', w'), float32: where each region is, and what it is
            styled after.
        """
        found = refined_masks if refine else followed_masks
        mine = found(resized_labels(self.content, content), content, len(self.names))
        theirs = soft_masks(resized_labels(self.style, style), style, self.shared)
        if self.undecided is not None:
            mine, theirs = map(with_undecided, (mine, theirs), self.undecided)
        return mine, self._by_partner(theirs)

    def rematched(self, partners: Mapping[str, str | None]) -> Regions:
        """The same with shared regions styled after others of the style's.

        Args:
            partners: by a region's name that of the shared region whose part of the style it takes
                its look of; None is the whole style photo. Other regions stay as they are.

        Raises:
            ValueError: for regions that both photos do not have.
        """
        shared = self.names[: self.shared]
        changed = list(self.partners)
        for name, partner in partners.items():
            if name not in shared or (partner is not None and partner not in shared):
                raise ValueError(
                    f"{name} cannot be styled after {partner or 'the style photo'}; the regions of "
                    f"both photos are {', '.join(shared)}."
                )
            label = WHOLE_STYLE if partner is None else shared.index(partner)
            changed[shared.index(name)] = label
        own = changed == list(range(self.shared))
        return replace(self, styled_after=() if own else tuple(changed))

    @property
    def partners(self) -> tuple[int, ...]:
        """Of each shared region the label of what it is styled after, as in styled_after."""
        return self.styled_after or tuple(range(self.shared))

    def partner_names(self) -> dict[str, str | None]:
        """What each shared region is styled after, as `rematched` takes it."""
        return {
            name: None if partner == WHOLE_STYLE else self.names[partner]
            for name, partner in zip(self.names, self.partners, strict=False)
        }

    def _by_partner(self, planes: Tensor) -> Tensor:
        """Of planes of the style's regions (shared, h, w) those that each is styled after."""
        if not self.styled_after:
            return planes
        return torch.cat([planes, torch.ones_like(planes[:1])])[list(self.styled_after)]

    def merged(self, names: Sequence[str]) -> Regions:
        """The same with some of the shared regions as one, which has the first's name.

        Raises:
            ValueError: for fewer than two regions, or one that both photos do not have.
        """
        shared = self.names[: self.shared]
        if len(set(names)) < 2 or not set(names) <= set(shared):
            raise ValueError(
                f"the regions to merge are {', '.join(names) or 'none'}; they must be two or more "
                f"of {', '.join(shared)}."
            )
        into, gone = self.names.index(names[0]), {self.names.index(name) for name in names[1:]}
        kept = [label for label in range(len(self.names)) if label not in gone]
        new = [kept.index(into if label in gone else label) for label in range(len(self.names))]
        # The last is for what is in no region, -1.
        renumbered = torch.tensor([*new, -1], device=self.content.device)
        undecided = None
        if self.undecided is not None:
            undecided = _added(self.undecided[0], new), _added(self.undecided[1], new)
        matches = list(self.matches)
        if matches:
            matches[into] = joined([matches[label] for label in (into, *sorted(gone))])
        return Regions(
            renumbered[self.content],
            renumbered[self.style],
            [self.names[label] for label in kept],
            self.shared - len(gone),
            undecided,
            tuple(match for label, match in enumerate(matches) if label not in gone),
            tuple(
                partner if partner == WHOLE_STYLE else new[partner]
                for label, partner in enumerate(self.styled_after)
                if label not in gone
            ),
        )

    def hard_masks(self) -> tuple[Tensor, Tensor]:
        """As `masks` for the shared regions, (shared, H, W) and (shared, H', W'), of 0 and 1."""
        content, style = (
            F.one_hot(labels + 1, len(self.names) + 1).permute(2, 0, 1)[1 : self.shared + 1].float()
            for labels in (self.content, self.style)
        )
        return content, self._by_partner(style)


def _added(planes: Tensor, new: Sequence[int]) -> Tensor:
    """Planes (R, h, w) with those of one new number added up."""
    of_planes = torch.tensor(new[: len(planes)], device=planes.device)
    sums = planes.new_zeros(int(of_planes.max()) + 1, *planes.shape[1:])
    return sums.index_add(0, of_planes, planes)


def with_undecided(masks: Tensor, undecided: Tensor) -> Tensor:
    """Masks (R, h, w) with the coarse shares of undecided pixels."""
    shares = F.interpolate(undecided[None].to(masks), masks.shape[-2:], mode="bilinear")[0]
    return masks * (1 - shares.sum(0, keepdim=True)).clamp_min(0) + shares


def resized_labels(labels: Tensor, photo: Tensor) -> Tensor:
    """A label map (H, W) at the size of a photo (3, h, w) and on its device."""
    # Labels are small whole numbers: float32 holds them.
    size = photo.shape[-2:]
    fitted = F.interpolate(labels[None, None].float(), size, mode="nearest-exact")[0, 0]
    return fitted.long().to(photo.device)


def one_region(content: Tensor, style: Tensor) -> Regions:
    """Each of two photos (3, H, W) as one region, named blue."""
    labels = [torch.zeros(photo.shape[-2:], dtype=torch.int64) for photo in (content, style)]
    return Regions(labels[0], labels[1], list(REGION_NAMES[:1]), 1)


def soft_masks(labels: Tensor, photo: Tensor, regions: int) -> Tensor:
    """Masks of a label map whose edges follow the photo's own.

    Hard borders would show: a colour transfer leaves a seam wherever a hand-made mask misses the
    skyline by a pixel. The guided filter of a small copy is enlarged (He and Sun 2015, "Fast Guided
    Filter"): its windows are as wide as a label map's border may be off.

    Args:
        labels: (H, W), int64, -1 for none.
        photo: (3, H, W) in [0, 1].
        regions: how many labels there are.

    Returns:
        (regions, H, W), float32 in [0, 1], summing to 1 where there is a region.
    """
    hard = F.one_hot(labels + 1, regions + 1).permute(2, 0, 1).to(photo)
    if not hard[0].any() and regions == 1:
        return hard[1:]
    return _of_regions(_along_edges(hard, photo))


def _along_edges(hard: Tensor, photo: Tensor) -> Tensor:
    """Planes (P, H, W) of 0 and 1 as `soft_masks` has them, before they add up to 1."""
    small = resize(photo, _FILTERED_SIZE)
    planes = F.interpolate(hard[None], small.shape[-2:], mode="area")[0]
    return EnlargedPlanes(small, planes, photo.shape[1], _reach(small[0]))(photo)


def followed_masks(labels: Tensor, photo: Tensor, regions: int) -> Tensor:
    """Masks of a label map whose borders are where the photo's colours say.

    Near a border, nearer than a label map may be off, a pixel goes to the regions in whose inside
    its colour is common: Bayes' rule, with what `soft_masks` has for the prior and colour
    histograms for the likelihood. So branches before a sky are branches, and sky is sky between
    them; and where a colour is common on both sides, a wall's behind a shirt, the border is at the
    photo's nearest edge. The guided filter then takes the noise out.

    Args:
        labels: as for `soft_masks`.
        photo: likewise.
        regions: likewise.

    Returns:
        As `soft_masks`.
    """
    hard = F.one_hot(labels + 1, regions + 1).permute(2, 0, 1).to(photo)
    if not hard[0].any() and regions == 1:
        return hard[1:]
    reach = _reach(labels)
    share = box_mean(hard, reach)
    sure = (share > 1 - 1e-4).to(hard)
    near = sure.sum(0, keepdim=True) == 0
    # A region that is thin everywhere has no inside.
    inside = torch.where(
        sure.sum((1, 2), keepdim=True) > _LEAST_INSIDE * labels.numel(), sure, hard
    )
    belonging = _along_edges(hard, photo) * color_likelihood(photo, inside)
    belonging = belonging / belonging.sum(0, keepdim=True).clamp_min(1e-12)
    return _of_regions(guided_filter(photo, torch.where(near, belonging, hard), radius=4, eps=1e-3))


def _of_regions(soft: Tensor) -> Tensor:
    """Planes (1 + R, H, W), of none and of the regions: the regions' masks, which add up to 1."""
    soft = soft.clamp(0, 1)
    return (soft / soft.sum(0, keepdim=True).clamp_min(1e-6))[1:]


def color_likelihood(photo: Tensor, masks: Tensor) -> Tensor:
    """How common each pixel's colour is inside each mask (R, H, W), by smoothed histograms."""
    # The root tells dark colours apart: night photos have hardly any others.
    red, green, blue = (photo.clamp(0, 1).sqrt() * (_BINS - 1e-3)).long().unbind()
    index = ((red * _BINS + green) * _BINS + blue).flatten()
    counts = torch.stack([torch.bincount(index, mask.flatten(), _BINS**3) for mask in masks])
    smooth = counts.view(-1, _BINS, _BINS, _BINS)
    for _ in range(2):
        smooth = F.avg_pool3d(smooth, 3, 1, 1)
    smooth = smooth.flatten(1)
    common = smooth / smooth.sum(1, keepdim=True).clamp_min(1e-9) + _UNSEEN / _BINS**3
    return common[:, index].view_as(masks)


def refined_masks(labels: Tensor, photo: Tensor, regions: int) -> Tensor:
    """Masks of a label map whose borders are mattes: they follow hair and branches.

    A closed-form matte of each region (Levin et al. 2008, eq. 13): pixels far from any border keep
    their label, the others are solved for with the matting Laplacian.

    Args:
        labels: as for `soft_masks`.
        photo: likewise.
        regions: likewise.

    Returns:
        As `soft_masks`.
    """
    hard = F.one_hot(labels + 1, regions + 1).permute(2, 0, 1).to(photo)
    reach = _reach(labels)
    least, most = (
        sign * F.max_pool2d(sign * hard[None], 2 * reach + 1, 1, reach)[0] for sign in (-1, 1)
    )
    near = (least != most).any(0)
    if not near.any():
        return hard[1:]
    soft, _ = MattingLaplacian(photo, eps=1e-5).solve(
        torch.zeros_like(hard),
        torch.zeros_like(photo[0]),
        hard,
        tol=1e-4,
        free=near,
        on_failure="warn",
    )
    return _of_regions(soft)


def _reach(plane: Tensor) -> int:
    """How many pixels a label map's border may be off at the size of a plane (H, W)."""
    return max(2, round(max(plane.shape) / 70))
