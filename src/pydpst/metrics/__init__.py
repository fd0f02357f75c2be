"""Measures of a restyled photo: its style, its colours, its edges, and whether it is still a photo.

They share no code with the losses but for VGG and, named there, the edges; so another loss is not
another measure.
"""

from pydpst.metrics.color import ColorDistances, color_distances
from pydpst.metrics.comparison import Comparison
from pydpst.metrics.edges import edge_ssim
from pydpst.metrics.evaluation import Evaluation, evaluate
from pydpst.metrics.flat import flat_gain
from pydpst.metrics.levels import level_error
from pydpst.metrics.residual import photorealism_residual, residual_map
from pydpst.metrics.style import StyleDistances, style_distances

__all__ = [
    "ColorDistances",
    "Comparison",
    "Evaluation",
    "StyleDistances",
    "color_distances",
    "edge_ssim",
    "evaluate",
    "flat_gain",
    "level_error",
    "photorealism_residual",
    "residual_map",
    "style_distances",
]
