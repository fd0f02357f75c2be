"""All measures of a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pydpst.losses.aesthetic import Aesthetics, mean_rating
from pydpst.metrics.color import ColorDistances, color_distances
from pydpst.metrics.comparison import Comparison
from pydpst.metrics.edges import edge_ssim
from pydpst.metrics.flat import flat_gain
from pydpst.metrics.residual import photorealism_residual
from pydpst.metrics.style import StyleDistances, style_distances


@dataclass(frozen=True)
class Evaluation:
    """All measures of a result.

    Attributes:
        style: see `style_distances`.
        color: see `color_distances`.
        edge_ssim: see `edge_ssim`.
        flat: see `flat_gain`.
        residual: see `photorealism_residual`.
        rating: how people would rate the result, from 1 to 10; see `losses.aesthetic`.
        content_rating: likewise the content.
    """

    style: StyleDistances
    color: ColorDistances
    edge_ssim: float
    flat: float
    residual: float
    rating: float
    content_rating: float


def evaluate(comparison: Comparison, callback: Callable[[str], None] | None = None) -> Evaluation:
    """Takes all measures of a result.

    Args:
        comparison: what is measured.
        callback: called with the name of each measure as it is begun.
    """
    begin = callback or (lambda name: None)
    result, content = comparison.result, comparison.content
    begin("style distance")
    style = style_distances(comparison)
    begin("colour distance")
    color = color_distances(comparison)
    begin("edges")
    edges, flat = edge_ssim(result, content), flat_gain(result, content)
    begin("photorealism residual")
    residual = photorealism_residual(result, content)
    begin("rating")
    aesthetics = Aesthetics(result.device)
    with torch.no_grad():
        ratings = [float(mean_rating(aesthetics.ratings(photo))) for photo in (result, content)]
    return Evaluation(style, color, edges, flat, residual, *ratings)
