"""How far a result's colours are from the style photo's."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pydpst.metrics.comparison import Comparison
from pydpst.metrics.wasserstein import sliced_quantiles
from pydpst.photos.color_spaces import lab


@dataclass(frozen=True)
class ColorDistances:
    """Colour distances relative to the untouched content's own; nan where that is 0.

    Attributes:
        total: the regions' distances averaged by area: 0 is the style's own colours, 1 the
            untouched content's.
        regions: of each region.
    """

    total: float
    regions: list[float]


@torch.no_grad()
def color_distances(comparison: Comparison) -> ColorDistances:
    """How far the result's colours are from the style's, relative to the content's own distance.

    The distance between the colours of a region is the sliced Wasserstein distance of order 2
    (Rabin et al. 2011, "Wasserstein Barycenter and its Application to Texture Mixing"; Bonneel et
    al. 2015, "Sliced and Radon Wasserstein Barycenters of Measures") in CIE 1976 L*a*b*: the root
    of the mean, over directions, of the squared distance between the projections' quantile
    functions. Here over 32 directions spread evenly over the half sphere, and 1024 quantiles. The
    regions' distances are averaged by area and divided by those of the untouched content.

    Returns:
        The relative distances: 0 is the style's own colours, 1 the untouched content's.
    """
    photos = (comparison.result, comparison.content, comparison.style)
    colors = [lab(photo.flatten(1)) for photo in photos]
    masks, style_masks = comparison.masks
    apart, start = [], []
    for mask, style_mask in zip(masks.flatten(1), style_masks.flatten(1), strict=True):
        weights = (mask, mask, style_mask)
        ours, own, wanted = (
            sliced_quantiles(points, weight) for points, weight in zip(colors, weights, strict=True)
        )
        apart.append((ours - wanted).square().mean().sqrt())
        start.append((own - wanted).square().mean().sqrt())
    areas = masks.flatten(1).mean(1).double()
    distances, own_distances = torch.stack(apart), torch.stack(start)
    return ColorDistances(
        ((areas @ distances) / (areas @ own_distances)).item(),
        (distances / own_distances).tolist(),
    )
