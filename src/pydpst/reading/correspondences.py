"""What two photos both show, patch by patch, whatever their looks.

As in Non-Rigid Dense Correspondence (HaCohen et al. 2011), patches are matched without regard to
their tones and kept where others agree; here all are compared with all, at a few scales.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.photos.color_spaces import oklab
from pydpst.photos.resizing import size_of_area

# Patches are searched in copies of this area, in pixels, and placed in some four times as large.
_AREA, _LONGEST = 128 * 128, 256
_PATCH = 8
# How much larger or smaller the style may show the same things.
_SCALES = (1.0, 0.75, 1.33, 0.56, 1.78)
# Pixels between the content's patches, when scales are compared and when matches are taken.
_SPARSE, _DENSE = 6, 3
# Deviation of lightness below which a patch shows nothing; correlation of a match, when searched
# and when placed.
_LEAST_CONTRAST, _LEAST_CORRELATION, _LEAST_PLACED = 0.008, 0.8, 0.85
# Of a match's eight neighbours so many are displaced alike, to so many pixels.
_NEIGHBOURS, _NEAR = 3, 1.5
# Matches of one displacement, to so many pixels and this share of the distance between them.
_FAR, _STRETCH = 3.0, 0.05
# Fewer of them are chance.
_LEAST_MATCHES = 24
# How far a match may be moved when it is placed.
_MOVE = 4
# Colours are means of squares of this side.
_SAMPLE = 4


@dataclass(frozen=True, eq=False)
class Correspondences:
    """Colours of the same things in two photos.

    Attributes:
        colors: (N, 3), of the content, in [0, 1].
        wanted: (N, 3), of the style.
        places: (N, 2), where in the content: rows and columns, in [0, 1).
        style_places: (N, 2), where in the style.
    """

    colors: Tensor
    wanted: Tensor
    places: Tensor
    style_places: Tensor

    def __getitem__(self, index: Tensor) -> Correspondences:
        return Correspondences(*(x[index] for x in vars(self).values()))


@torch.no_grad()
def correspondences(content: Tensor, style: Tensor) -> Correspondences | None:
    """Finds what both photos show.

    Args:
        content: (3, H, W) in [0, 1].
        style: (3, H', W'), likewise.

    Returns:
        Colours in both; None where nothing or too little is in both.
    """
    mine = _View(content, 1.0)
    most, chosen = _LEAST_MATCHES // (_SPARSE // _DENSE) ** 2, None
    for scale in _SCALES:
        theirs = _View(style, scale)
        found = len(_matches(mine, theirs, _SPARSE)[0])
        if found > most:
            most, chosen = found, theirs
        if found > 2 * _LEAST_MATCHES:
            break
    if chosen is None:
        return None
    matches = _matches(mine, chosen, _DENSE)
    if len(matches[0]) < _LEAST_MATCHES:
        return None
    return _placed(mine, chosen, *(2 * x for x in matches))


def _sized(photo: Tensor, scale: float) -> Tensor:
    """A copy of about four times the area at which is searched, its sides even."""
    height, width = photo.shape[-2:]
    height, width = size_of_area(height, width, round(scale**2 * _AREA), _LONGEST)
    least = 2 * _PATCH
    size = (2 * max(height, least), 2 * max(width, least))
    return F.interpolate(photo[None], size, mode="bilinear", antialias=True)[0]


class _View:
    """A photo, its lightness, and the patches of that at half the size, in which is searched."""

    def __init__(self, photo: Tensor, scale: float) -> None:
        self.photo = _sized(photo, scale)
        self.lightness = oklab(self.photo[None])[0, 0]
        self.patches, self.contrast = _patches(F.avg_pool2d(self.lightness[None], 2)[0], _PATCH)


def _patches(lightness: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """All patches of (..., H, W), without their mean and of length 1, and their deviations.

    Returns:
        (..., H', W', size²) and (..., H', W').
    """
    patches = lightness.unfold(-2, size, 1).unfold(-2, size, 1).flatten(-2)
    patches = patches - patches.mean(-1, keepdim=True)
    deviation = patches.square().mean(-1).sqrt()
    return patches / (deviation[..., None] * size + 1e-6), deviation


def _matches(content: _View, style: _View, stride: int) -> tuple[Tensor, Tensor]:
    """The corners of patches that match, and agree on where, in both photos: (N, 2), (N, 2)."""
    mine, contrast = content.patches[::stride, ::stride], content.contrast[::stride, ::stride]
    theirs = style.patches
    found, index = (mine.flatten(0, 1) @ theirs.flatten(0, 1).T).max(1)
    columns = theirs.shape[1]
    place = torch.stack([index // columns, index % columns], 1).view(*mine.shape[:2], 2)
    rows, cols = (torch.arange(x, device=place.device) for x in mine.shape[:2])
    corner = stride * torch.cartesian_prod(rows, cols).view(*mine.shape[:2], 2)
    good = (found.view(mine.shape[:2]) > _LEAST_CORRELATION) & (contrast > _LEAST_CONTRAST)
    kept = good & (_alike_neighbours((place - corner).float(), good) >= _NEIGHBOURS)
    corner, place = corner[kept], place[kept]
    if not len(corner):
        return corner, place
    agree = _agreement((place - corner).float(), corner.float())
    return corner[agree], place[agree]


def _alike_neighbours(displacement: Tensor, good: Tensor) -> Tensor:
    """How many of the eight neighbours are good and displaced alike, (h, w)."""
    height, width = good.shape
    around, known = F.pad(displacement, (0, 0, 1, 1, 1, 1)), F.pad(good, (1, 1, 1, 1))
    count = torch.zeros_like(good, dtype=torch.int64)
    for row, column in ((a, b) for a in range(3) for b in range(3) if (a, b) != (1, 1)):
        window = (slice(row, row + height), slice(column, column + width))
        near = (around[window] - displacement).abs().amax(2) <= _NEAR
        count += near & known[window]
    return count


def _agreement(displacement: Tensor, corner: Tensor) -> Tensor:
    """Which of N matches are of the displacement that most agree on, (N)."""
    apart = (corner[:, None] - corner).abs().amax(2)
    differ = (displacement[:, None] - displacement).abs().amax(2)
    agree = differ <= _FAR + _STRETCH * apart
    return agree[agree.sum(1).argmax()]


def _placed(
    content: _View, style: _View, corners: Tensor, places: Tensor
) -> Correspondences | None:
    """Colours of matches whose corners in both photos, (N, 2), are about right."""
    size = 2 * _PATCH
    limits = places.new_tensor(style.lightness.shape) - size
    starts = (places - _MOVE).clamp_min(0).minimum(limits - 2 * _MOVE)
    own, _ = _patches(_windows(content.lightness, corners, size), size)
    around, _ = _patches(_windows(style.lightness, starts, size + 2 * _MOVE), size)
    correlation = (around * own).sum(-1)
    found, best = correlation.flatten(1).max(1)
    across = correlation.shape[2]
    moves = torch.stack([best // across, best % across], 1)
    kept = found > _LEAST_PLACED
    if kept.sum() < _LEAST_MATCHES:
        return None
    of_content, of_style = (
        _sampled(view.photo, at[kept], size)
        for view, at in ((content, corners), (style, starts + moves))
    )
    return Correspondences(of_content[0], of_style[0], of_content[1], of_style[1])


def _sampled(photo: Tensor, corners: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Mean colours and places of the squares within patches of this size at these corners."""
    steps = torch.arange(0, size - _SAMPLE + 1, _SAMPLE, device=corners.device)
    squares = (corners[:, None] + torch.cartesian_prod(steps, steps)).flatten(0, 1)
    means = F.avg_pool2d(photo[None], _SAMPLE, 1)[0]
    sides = squares.new_tensor(photo.shape[1:])
    return means[:, squares[:, 0], squares[:, 1]].T, (squares + _SAMPLE / 2) / sides


def _windows(plane: Tensor, corners: Tensor, size: int) -> Tensor:
    """What lies at corners (N, 2) of a plane (H, W), (N, size, size)."""
    steps = torch.arange(size, device=corners.device)
    rows, columns = (corners[:, k, None] + steps for k in (0, 1))
    return plane[rows[:, :, None], columns[:, None]]
