"""Locally affine maps between images: the guided filter, and carrying a look to a larger size."""

from __future__ import annotations

import torch
from torch import Tensor

from pydpst.ops import affine_maps_apply


def box_mean(x: Tensor, radius: int) -> Tensor:
    """The mean over the part of each window that lies in the image; x is (..., C, H, W).

    By running sums, so that the cost does not depend on the radius.
    """
    return _running_mean(_running_mean(x, x.ndim - 2, radius), x.ndim - 1, radius)


def _running_mean(x: Tensor, dim: int, radius: int) -> Tensor:
    size = x.shape[dim]
    place = torch.arange(size, device=x.device)
    last = (place + radius).clamp_max(size - 1)
    before = (place - radius - 1).clamp_min(-1)
    sums = x.cumsum(dim)
    means = sums.index_select(dim, last)
    begun = max(0, size - radius - 1)  # so many windows do not begin at the border
    means.narrow(dim, size - begun, begun).sub_(sums.narrow(dim, 0, begun))
    shape = [size if axis == dim else 1 for axis in range(x.ndim)]
    return means.div_((last - before).to(x.dtype).view(shape))


def _inverse(matrices: Tensor) -> Tensor:
    """Inverses of symmetric 3×3 matrices (..., 3, 3): torch's batched ones are far slower."""
    first, second, third = matrices.unbind(-2)
    cofactors = torch.stack(
        [
            torch.linalg.cross(second, third),
            torch.linalg.cross(third, first),
            torch.linalg.cross(first, second),
        ],
        -2,
    )
    return cofactors / (first * cofactors[..., 0, :]).sum(-1)[..., None, None]


def local_affine(guide: Tensor, x: Tensor, radius: int, eps: float) -> Tensor:
    """The affine map from guide to x around each pixel (He, Sun and Tang 2013, eqs. 14 to 16).

    Least squares in each window, with the slopes held back by eps; then the mean over the windows
    that hold the pixel.

    Args:
        guide: (3, H, W) in [0, 1].
        x: (C, H, W).
        radius: windows are 2·radius + 1 pixels a side; they end at the image's border.
        eps: a window with less contrast than this, squared, counts as flat.

    Returns:
        (C, 4, H, W), float64: three slopes and the offset.
    """
    guide, x = guide.double(), x.double()
    mean_guide, mean_x = box_mean(guide, radius), box_mean(x, radius)
    size = guide.shape[-2:]
    covariance = box_mean((guide[:, None] * guide[None]).flatten(0, 1), radius).view(3, 3, *size)
    covariance = covariance - mean_guide[:, None] * mean_guide[None]
    covariance = covariance + eps * torch.eye(3, device=guide.device)[..., None, None]
    cross = box_mean((x[:, None] * guide[None]).flatten(0, 1), radius).view(-1, 3, *size)
    cross = cross - mean_x[:, None] * mean_guide[None]
    inverse = _inverse(covariance.permute(2, 3, 0, 1))
    slope = torch.einsum("hwij,cjhw->cihw", inverse, cross)
    offset = mean_x[:, None] - (slope * mean_guide).sum(1, keepdim=True)
    maps = torch.cat([slope, offset], 1)
    return box_mean(maps.flatten(0, 1), radius).view_as(maps)


def apply_affine(maps: Tensor, guide: Tensor) -> Tensor:
    """Maps (C, 4, H, W) applied to a guide (3, H, W): (C, H, W) in the guide's dtype."""
    return ((maps[:, :3] * guide).sum(1) + maps[:, 3]).to(guide.dtype)


def guided_filter(guide: Tensor, x: Tensor, radius: int, eps: float) -> Tensor:
    """Smooths x (C, H, W) along the edges of guide (3, H, W); arguments as for `local_affine`."""
    return apply_affine(local_affine(guide, x, radius, eps), guide)


class EnlargedPlanes:
    """Planes of a small copy of a photo, for the photo or strips of it, along its own edges.

    Around each pixel of the copy a plane is an affine function of the colours; these functions are
    enlarged and applied to the photo (He and Sun 2015, "Fast Guided Filter").

    Args:
        content: (3, h, w), the photo scaled down, on the device to compute on.
        planes: (P, h, w) in [0, 1].
        height: of the photo.
        radius: of the windows in the copy, as for `local_affine`.
        eps: likewise.
    """

    def __init__(
        self, content: Tensor, planes: Tensor, height: int, radius: int = 2, eps: float = 1e-4
    ) -> None:
        self._count, self._height = len(planes), height
        # The operator takes three planes at a time; the last are filled up with zeros.
        padded = torch.cat([planes, planes.new_zeros(-len(planes) % 3, *planes.shape[1:])])
        maps = local_affine(content, padded, radius, eps).float()
        self._maps = [three.flatten(0, 1)[None] for three in torch.split(maps, 3)]

    def __call__(self, strip: Tensor, top: int = 0) -> Tensor:
        """The planes (P, h, w) in [0, 1] of a strip (3, h, w) whose first row is top."""
        planes = [affine_maps_apply(maps, strip[None], top, self._height)[0] for maps in self._maps]
        return torch.cat(planes)[: self._count].clamp_(0, 1)


def recolouring(content: Tensor, result: Tensor) -> Tensor:
    """The local recolouring of the content that is nearest to the result, as affine maps.

    They are fitted to the difference, in small windows: where the result is the content they are
    the identity to the last bit, and where the content is flat they keep its grain as it is.

    Args:
        content: (3, H, W) in [0, 1].
        result: (3, H, W), likewise.

    Returns:
        (12, H, W), float32: 3×4 matrices by rows, which map (r, g, b, 1).
    """
    maps = local_affine(content, result - content, radius=2, eps=1e-4)
    maps[range(3), range(3)] += 1
    return maps.flatten(0, 1).float()


def carry_to_size(small_guide: Tensor, small: Tensor, guide: Tensor) -> Tensor:
    """What `small` would be at the guide's size: the same local recolouring, with all its detail.

    The affine maps from small_guide to small are enlarged and applied to guide (He and Sun 2015,
    "Fast Guided Filter").

    Args:
        small_guide: (3, h, w), float32, the guide scaled down.
        small: (3, h, w), likewise.
        guide: (3, H, W), likewise.

    Returns:
        (3, H, W).
    """
    return affine_maps_apply(recolouring(small_guide, small)[None], guide[None])[0]
