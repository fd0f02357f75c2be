"""Regions that content and style share, and their soft masks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.matting.guided import EnlargedPlanes
from pydpst.matting.laplacian import MattingLaplacian
from pydpst.photos.resizing import resize
from pydpst.regions.mask_colors import REGION_NAMES

# The longer side of the copy in which masks are filtered.
_FILTERED_SIZE = 320


@dataclass(frozen=True)
class Regions:
    """Where the regions of a content and a style photo are.

    Attributes:
        content: labels (H, W), int64, indices into names.
        style: labels (H', W'), int64, below `shared`; -1 for what the content does not have.
        names: the regions that both photos have first, then those of the content alone.
        shared: how many both have.
    """

    content: Tensor
    style: Tensor
    names: list[str]
    shared: int

    def masks(self, content: Tensor, style: Tensor, refine: bool = False) -> tuple[Tensor, Tensor]:
        """Soft masks of all the content's regions, and of the style's shared ones.

        Args:
            content: (3, h, w) in [0, 1], of the labels' aspect.
            style: (3, h', w'), likewise.
            refine: whether to solve for them (see `refined_masks`) instead of `soft_masks`.

        Returns:
            (len(names), h, w) and (shared, h', w'), float32.
        """
        soften = refined_masks if refine else soft_masks
        return (
            soften(resized_labels(self.content, content), content, len(self.names)),
            soften(resized_labels(self.style, style), style, self.shared),
        )

    def hard_masks(self) -> tuple[Tensor, Tensor]:
        """Masks (shared, H, W) and (shared, H', W'), float32, 0 or 1, of the shared regions."""
        content, style = (
            F.one_hot(labels + 1, len(self.names) + 1).permute(2, 0, 1)[1 : self.shared + 1].float()
            for labels in (self.content, self.style)
        )
        return content, style


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
    small = resize(photo, _FILTERED_SIZE)
    planes = F.interpolate(hard[None], small.shape[-2:], mode="area")[0]
    soft = EnlargedPlanes(small, planes, photo.shape[1], _reach(small[0]))(photo)
    return (soft / soft.sum(0, keepdim=True).clamp_min(1e-6))[1:]


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
    soft = soft.clamp(0, 1)
    return (soft / soft.sum(0, keepdim=True).clamp_min(1e-6))[1:]


def _reach(plane: Tensor) -> int:
    """How many pixels a label map's border may be off at the size of a plane (H, W)."""
    return max(2, round(max(plane.shape) / 70))
