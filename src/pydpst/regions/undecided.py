"""Pixels that belong to several regions, since the photo has no edge where these meet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.matting.conjugate_gradients import conjugate_gradients
from pydpst.matting.guided import box_mean, guided_filter
from pydpst.photos.resizing import resize
from pydpst.regions.masks import color_likelihood

# Shares spread on a copy of the photo of so many pixels, up to colour differences of about this.
_SIZE = 160
_STEP = 0.05
# How far they spread, squared, in those pixels, where the head is sure; and how much less the head
# counts where it is not.
_REACH = 60.0
_LEAST_SURE = 0.01
# A pixel of this probability belongs to one region; of the other, to none more than to others.
_ONE_REGION, _NO_REGION = 0.9, 0.6
_THIN = 2


def undecided(coarse: Tensor, photo: Tensor) -> Tensor:
    """What belongs to several regions, since neither where it is nor its colour says to which.

    Args:
        coarse: (R, h, w), the head's shares, summing to 1.
        photo: (3, H, W) in [0, 1].

    Returns:
        (R, h', w') of at most 160 pixels a side: shares of the regions, which sum to how far a
        pixel is undecided.
    """
    guide = resize(photo, _SIZE)
    shares = _spread(coarse, guide)
    belonging = shares * color_likelihood(guide, shares.square())
    belonging = belonging / belonging.sum(0, keepdim=True).clamp_min(1e-12)
    belonging = guided_filter(guide, belonging, radius=4, eps=1e-3).clamp(0, 1)
    doubt = (_ONE_REGION - belonging.amax(0, keepdim=True)) / (_ONE_REGION - _NO_REGION)
    # A thin line of doubt is an edge, of which the pixels hold both sides.
    broad = -F.max_pool2d(-doubt.clamp(0, 1), 2 * _THIN + 1, 1, _THIN)
    mixed = box_mean(F.max_pool2d(broad, 2 * _THIN + 1, 1, _THIN), _THIN)
    return mixed * belonging / belonging.sum(0, keepdim=True).clamp_min(1e-6)


def _spread(coarse: Tensor, guide: Tensor) -> Tensor:
    """Shares that change where the photo does, and hardly elsewhere.

    The random walker with priors (Grady 2005, "Multilabel random walker image segmentation using
    prior models"): min over x of Σ w (x − coarse)² + Σ c (xᵢ − xⱼ)² over neighbours, where w is how
    sure the coarse shares are, and c how alike the neighbours' colours are. Where the photo has no
    edge, what is unsure takes the mean of all around it, and what is sure on both sides of a border
    goes over slowly.

    Args:
        coarse: (R, h, w), summing to 1.
        guide: (3, H, W) in [0, 1].

    Returns:
        (R, H, W), summing to 1.
    """
    prior = F.interpolate(coarse[None], guide.shape[-2:], mode="bilinear")[0]
    sure = _LEAST_SURE + (2 * prior.amax(0) - 1).clamp_min(0).square()
    along = [
        _REACH * torch.exp(-(step.abs().amax(0) / _STEP).square())
        for step in (guide.diff(dim=1), guide.diff(dim=2))
    ]

    def pulled(rows: Tensor) -> Tensor:
        x = rows.view_as(prior)
        down, right = along[0] * x.diff(dim=1), along[1] * x.diff(dim=2)
        pull = sure * x
        pull[:, 1:] += down
        pull[:, :-1] -= down
        pull[..., 1:] += right
        pull[..., :-1] -= right
        return pull.flatten(1)

    around = sure.clone()
    around[1:] += along[0]
    around[:-1] += along[0]
    around[:, 1:] += along[1]
    around[:, :-1] += along[1]
    x, _ = conjugate_gradients(
        pulled,
        lambda rows: rows / around.flatten(),
        (sure * prior).flatten(1),
        prior.flatten(1),
        tol=1e-2,
        max_iter=200,
    )
    x = x.view_as(prior).clamp_min(0)
    return x / x.sum(0, keepdim=True).clamp_min(1e-6)
