"""The outlines of coarse regions, moved to where the photo's colours change."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.matting.guided import box_mean
from pydpst.regions.masks import color_likelihood

_BINS = 16
# Of this opacity pixels teach the colours of the sky; and of 1 less this, those of the rest.
_SURE_SKY = 0.75
_AROUND = 32


def eroded(hard: Tensor) -> Tensor:
    """Masks (1, R, h, w) without the two cells along their borders."""
    return 1 - F.max_pool2d(F.pad(1 - hard, (2, 2, 2, 2), mode="replicate"), 5, 1)


def follow_colors(
    coarse: Tensor, sure: Tensor, photo: Tensor, fixed: Tensor | None = None
) -> Tensor:
    """Shares of regions at the photo's size, whose borders are where the colours change.

    A pixel near a border goes to the region in which its colour is more common: Bayes' rule, with
    the blurred shares for the prior and colour histograms for the likelihood, three times over.

    Args:
        coarse: (R, h, w), summing to 1.
        sure: likewise, of what is surely in a region; 0 elsewhere.
        photo: (3, H, W) in [0, 1].
        fixed: likewise, of what colours must not change; 0 elsewhere.

    Returns:
        (R, H, W), summing to 1.
    """
    size, regions = photo.shape[-2:], len(coarse)
    share = F.interpolate(coarse[None], size, mode="bilinear")
    if regions == 1:
        return torch.ones_like(share[0])
    sure = F.interpolate(sure[None], size, mode="bilinear")
    sure = torch.where(sure.sum((2, 3), keepdim=True) > 0, sure, share)
    held = None
    if fixed is not None:
        held = F.interpolate(fixed[None], size, mode="nearest")
        free = 1 - held.sum(1, keepdim=True)
    # The root tells dark colours apart: night photos have hardly any others.
    red, green, blue = (photo.clamp_min(0).sqrt() * (_BINS - 1e-3)).long()
    index = ((red * _BINS + green) * _BINS + blue).flatten()
    for reach in (24, 16, 8):
        histogram = torch.stack(
            [torch.bincount(index, part.flatten(), _BINS**3) for part in sure[0]]
        )
        smooth = F.avg_pool3d(histogram.view(1, regions, _BINS, _BINS, _BINS), 3, 1, 1)
        likelihood = smooth.view(regions, -1)
        likelihood = likelihood / likelihood.sum(1, keepdim=True).clamp_min(1e-9) + 1e-5
        radius = min(reach, min(size) // 2 - 1)
        prior = box_mean(box_mean(share, radius), radius)
        share = prior * likelihood[:, index].view(1, regions, *size)
        share = share / share.sum(1, keepdim=True)
        if held is not None:
            share = held + free * share
        sure = share
    return share[0]


def follow_sky(opacity: Tensor, shares: Tensor, index: int, photo: Tensor) -> Tensor:
    """Shares of regions of which one is the sky, whose opacity is known more finely.

    What the opacity leaves open, the photo's colours decide. It is believed as far as it is sure
    of what is around: branches before a day's sky are sky or not, a sky at night may be neither.

    Args:
        opacity: (h, w) in [0, 1], the sky's.
        shares: (R, H, W), of the regions, summing to 1.
        index: which of them is the sky.
        photo: (3, H, W) in [0, 1].

    Returns:
        (R, H, W), summing to 1.
    """
    prior = F.interpolate(opacity[None, None], photo.shape[-2:], mode="bilinear")[0, 0]
    both = torch.stack([prior, 1 - prior])
    # The root: clouds, snow and glass have the sky's colours, too.
    likely = both * color_likelihood(photo, both * (both > _SURE_SKY)).sqrt()
    found = likely[0] / likely.sum(0).clamp_min(1e-12)
    sure = box_mean((2 * prior - 1).square()[None], _AROUND)[0].clamp(0, 1)
    sky = shares[index].lerp(found, sure)
    others = shares.clone()
    others[index] = 0
    others = others / others.sum(0).clamp_min(1e-6) * (1 - sky)
    others[index] = sky
    return others
