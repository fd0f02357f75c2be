"""Scales in which the losses of a grade bend about equally in all directions."""

from __future__ import annotations

import torch
from torch import Tensor

from pydpst.matting.laplacian import MattingLaplacian
from pydpst.transfer.grade import KNOTS
from pydpst.transfer.grade_maps import RegionMaps

# How strongly the style loss bends with the mean squared change of colours, about.
_STYLE_CURVATURE = 3.0
# Directions that bend less than this share of the most count as bending so much.
_LEAST = 1e-6


def scales(
    maps: RegionMaps,
    content: Tensor,
    masks: Tensor,
    laplacian: MattingLaplacian,
    weights: dict[str, float],
) -> Tensor:
    """What whitens the quadratic losses of a grade: the inverse root of their second derivatives.

    The graded image is linear in θ, and the same function of each of its three rows; so pᵀLp,
    roughness and distance have exact second derivatives, which are small matrices. The style loss
    is taken for the mean squared change of colours.

    Args:
        maps: of the regions.
        content: (3, h, w) in [0, 1].
        masks: (R, h, w), soft, in [0, 1].
        laplacian: of the content.
        weights: of photorealism, roughness and distance.

    Returns:
        (R·K·4, R·K·4): θ's rows are this times numbers of even scale.
    """
    images = maps.images(content, masks)
    pixels = images[0].numel()
    padded = torch.cat([images, images.new_zeros(-len(images) % 3, *images.shape[1:])])
    products = torch.cat([laplacian.matvec(three) for three in torch.split(padded, 3)])[
        : len(images)
    ]
    flat = images.flatten(1)
    bends = weights["photorealism"] * _symmetric(flat @ products.flatten(1).mT)
    bends = 2 / pixels * (bends + _STYLE_CURVATURE * flat @ flat.mT).double()
    bends = bends + _of_costs(maps, weights).to(bends)
    values, vectors = torch.linalg.eigh(bends)
    values = values.clamp_min(_LEAST * float(values[-1]))
    whitening: Tensor = (vectors * values.rsqrt()) @ vectors.mT
    return whitening.to(content)


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.mT) / 2


def _of_costs(maps: RegionMaps, weights: dict[str, float]) -> Tensor:
    """The second derivatives of roughness and distance (see `GradeCosts`), in a row of θ."""
    regions = len(maps.start)
    difference = torch.eye(KNOTS, dtype=torch.float64).diff(dim=0)
    each = torch.eye(regions, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    rough = torch.kron(torch.kron(each[0], difference.T @ difference), each[1])
    far = maps.shares.double().cpu().repeat_interleave(KNOTS * 4) / KNOTS
    count = regions * (KNOTS - 1) * 12
    return (2 * weights["roughness"] / count) * rough + (2 * weights["distance"]) * far.diag()
