"""All measures of a result."""

from __future__ import annotations

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


def evaluate(comparison: Comparison) -> Evaluation:
    """Takes all measures of a result."""
    aesthetics = Aesthetics(comparison.result.device)
    with torch.no_grad():
        ratings = [
            float(mean_rating(aesthetics.ratings(photo)))
            for photo in (comparison.result, comparison.content)
        ]
    return Evaluation(
        style_distances(comparison),
        color_distances(comparison),
        edge_ssim(comparison.result, comparison.content),
        flat_gain(comparison.result, comparison.content),
        photorealism_residual(comparison.result, comparison.content),
        *ratings,
    )
