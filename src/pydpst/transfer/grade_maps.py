"""What a grade is made of: where its maps start, and numbers that all matter about as much."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.ops.grade import grade_change_maps_gradient
from pydpst.transfer.grade import HUES, KNOTS
from pydpst.transfer.linear import monge_kantorovich

# Colours that vary less than this, squared, count as not varying: a step would be a steep slope.
_LEAST_VARIANCE = 1e-3
# How far θ = 1 moves colours. Not the style's own contrast: a dark style could not be left.
_REACH = 0.2
# The start's steepest slope: a grey photo and a bright style would ask for tens.
_STEEPEST_START = 4.0
# A pixel far fainter than any region's keeps empty ones from dividing by 0.
_FAINT = 1e-9


class RegionMaps:
    """The maps of all regions as a function of well-scaled numbers.

    A region's map at a knot is M + a θ Z: M is where it starts, the region's Monge-Kantorovich map
    unless another is set, Z makes its colours of zero mean and unit covariance, and a is the same
    for all. So an entry of θ moves colours by about as much as any other, whatever the photos. To
    this, each hue but grey adds a times an offset.

    θ is (R, K, 3, 10): by output channel, the four entries of the matrix, and the offset of red,
    yellow, green, cyan, blue and magenta. Whole maps by hue, with slopes of their own, do no more,
    and take longer to find.

    Args:
        content: (3, H, W) in [0, 1].
        style: (3, H', W'), likewise.
        masks: (R, H, W), soft, in [0, 1].
        style_masks: (R, H', W').

    Attributes:
        start: (R, K, 3, 4), the maps at θ = 0.
        shares: (R), of each region in the area of all; they sum to 1.
    """

    def __init__(self, content: Tensor, style: Tensor, masks: Tensor, style_masks: Tensor) -> None:
        colors, wanted = content.flatten(1).double().cpu(), style.flatten(1).double().cpu()
        weights = masks.flatten(1).double().cpu() + _FAINT
        style_weights = style_masks.flatten(1).double().cpu() + _FAINT
        starts, inputs = [], []
        for weight, style_weight in zip(weights, style_weights, strict=True):
            starts.append(_start(colors, wanted, weight, style_weight))
            mean, root = _root(colors, weight)
            whitening = torch.linalg.inv(root)
            whitened = torch.cat([whitening, -(whitening @ mean)[:, None]], 1)
            inputs.append(torch.cat([whitened, whitened.new_tensor([[0.0, 0, 0, 1]])]))
        self.start = torch.stack(starts).to(content)[:, None].expand(-1, KNOTS, -1, -1)
        self._inputs = torch.stack(inputs).to(content)[:, None]
        self.shares = (weights.sum(1) / weights.sum()).to(content)

    def zeros(self) -> Tensor:
        """θ of the start, (R, K, 3, 10)."""
        return self.start.new_zeros(*self.start.shape[:3], 4 + HUES - 1)

    def __call__(self, theta: Tensor) -> Tensor:
        """The maps (R, 7, K, 12) of θ (R, K, 3, 10), as `ops.grade_apply` takes them."""
        maps = (self.start + _REACH * theta[..., :4] @ self._inputs)[:, None]
        offsets = F.pad(_REACH * theta[..., 4:], (0, 1)).movedim(3, 1)[..., None]
        slopes = maps[..., :3].expand(-1, HUES, -1, -1, -1)
        return torch.cat([slopes, maps[..., 3:] + offsets], 4).flatten(3)


def _start(colors: Tensor, wanted: Tensor, weight: Tensor, style_weight: Tensor) -> Tensor:
    """The Monge-Kantorovich map (3, 4), its slopes held to a limit."""
    matrix, _ = monge_kantorovich(colors, wanted, weight, style_weight)
    slopes, axes = torch.linalg.eigh(matrix)
    # Of the same colours it is the identity, but for rounding; no slope is then near the limit.
    matrix = (
        matrix
        if slopes.max() <= _STEEPEST_START
        else ((axes * slopes.clamp_max(_STEEPEST_START)) @ axes.T)
    )
    mean = colors @ weight / weight.sum()
    wanted_mean = wanted @ style_weight / style_weight.sum()
    return torch.cat([matrix, (wanted_mean - matrix @ mean)[:, None]], 1)


def _root(colors: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (3) of colours (3, N), and the symmetric root (3, 3) of their covariance."""
    weight = weight / weight.sum()
    mean = colors @ weight
    centred = colors - mean[:, None]
    values, vectors = torch.linalg.eigh((centred * weight) @ centred.T)
    return mean, (vectors * (values.clamp_min(0) + _LEAST_VARIANCE).sqrt()) @ vectors.T


def knot_sums(values: Tensor, content: Tensor, masks: Tensor, hues: int = HUES) -> Tensor:
    """Sums of three planes over each region's pixels, by hue and luminance.

    They are what the gradient of `ops.grade_apply` in the maps' offsets is.

    Args:
        values: (3, H, W).
        content: (3, H, W) in [0, 1].
        masks: (R, H, W), soft, in [0, 1].
        hues: 7, or 1 to take all together.

    Returns:
        (R, hues, K, 3).
    """
    sums = grade_change_maps_gradient(values[None], masks[None], content[None], hues, KNOTS)[0]
    return sums[..., 3::4]


def knot_colors(content: Tensor, masks: Tensor, hues: int = HUES) -> tuple[Tensor, Tensor]:
    """The mean colour of each region and hue near each knot, and how much of the region it is.

    Args:
        content: (3, H, W) in [0, 1].
        masks: (R, H, W), soft, in [0, 1].
        hues: 7, or 1 to take all together.

    Returns:
        (R, hues, K, 3) and (R, hues, K), which sums to 1 over hues and knots. A knot that no pixel
        is near has the hue's mean colour, as grey-wards and as bright as the knot; and a hue that
        no pixel has, the region's.
    """
    # Of ones, a map's first row gathers the colours, and its offset how many there are.
    ones = torch.ones_like(content)[None]
    rows = grade_change_maps_gradient(ones, masks[None], content[None], hues, KNOTS)[0, ..., :4]
    sums, amounts = rows[..., :3], rows[..., 3]
    totals = amounts.sum((1, 2), keepdim=True).clamp_min(_FAINT)
    few = 1e-3 * totals + _FAINT
    whole = sums.sum((1, 2), keepdim=True) / totals[..., None]
    by_hue = amounts.sum(2, keepdim=True)
    means = (sums.sum(2, keepdim=True) + few[..., None] * whole) / (by_hue + few)[..., None]
    brightness = torch.linspace(0, 1, KNOTS).to(content)
    shifted = means + (brightness - means.mean(3))[..., None]
    found = (sums + few[..., None] * shifted) / (amounts + few)[..., None]
    return found, amounts / totals
