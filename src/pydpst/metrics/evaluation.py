"""All measures of a result."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    style: StyleDistances
    color: ColorDistances
    edge_ssim: float
    flat: float
    residual: float


def evaluate(comparison: Comparison) -> Evaluation:
    """Takes all measures of a result."""
    return Evaluation(
        style_distances(comparison),
        color_distances(comparison),
        edge_ssim(comparison.result, comparison.content),
        flat_gain(comparison.result, comparison.content),
        photorealism_residual(comparison.result, comparison.content),
    )
