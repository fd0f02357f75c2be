"""The operators in plain, differentiable torch: what the kernels are tested against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def _windows(x: Tensor, radius: int) -> Tensor:
    """All windows of x (B, C, H, W), as (B, C, K, n): K windows of n pixels."""
    side = 2 * radius + 1
    batch, channels = x.shape[:2]
    return F.unfold(x, side).view(batch, channels, side * side, -1).transpose(2, 3)


def matting_matvec(image: Tensor, p: Tensor, eps: float = 1e-7, radius: int = 1) -> Tensor:
    """L p by the definition of the matting Laplacian (Levin et al. 2008, eq. 12).

    For every window k of n pixels: a = (cov(I) + (eps/n)·Id)⁻¹ cov(I, p), and each of its pixels i
    adds (p_i - mean(p)) - (I_i - mean(I))ᵀ a to (L p)_i.

    Args:
        image: the guide, (B, G, H, W).
        p: (B, C, H, W).
        eps: the regularisation, relative to values in [0, 1].
        radius: windows are 2·radius + 1 pixels a side.

    Returns:
        L p, shaped like p; differentiable in both arguments.
    """
    size = (2 * radius + 1) ** 2
    guide, signal = _windows(image, radius), _windows(p, radius)
    guide = guide - guide.mean(-1, keepdim=True)
    signal = signal - signal.mean(-1, keepdim=True)
    identity = torch.eye(image.shape[1], dtype=image.dtype, device=image.device)
    covariance = torch.einsum("bgkn,bhkn->bkgh", guide, guide) / size + eps / size * identity
    cross = torch.einsum("bgkn,bckn->bkgc", guide, signal) / size
    slope = torch.linalg.solve(covariance, cross)
    residual = signal - torch.einsum("bkgc,bgkn->bckn", slope, guide)
    columns = residual.transpose(2, 3).reshape(p.shape[0], p.shape[1] * size, -1)
    return F.fold(columns, p.shape[-2:], 2 * radius + 1)


def ellpack_matvec(blocks: Tensor, columns: Tensor, x: Tensor) -> Tensor:
    """The product of a sparse matrix of small blocks and vectors.

    Args:
        blocks: (N, K, a, b).
        columns: (N, K), of the blocks in x; those not from 0 to M - 1 count for nothing.
        x: (C, M, b).

    Returns:
        (C, N, a).
    """
    inside = (columns >= 0) & (columns < x.shape[1])
    gathered = x[:, columns.where(inside, 0)] * inside[..., None]
    return torch.einsum("nkij,cnkj->cni", blocks.to(x.dtype), gathered)


def bilateral_slice_apply(grid: Tensor, guide: Tensor, image: Tensor) -> Tensor:
    """Slices a bilateral grid of affine colour transforms and applies them to an image.

    The transform of every pixel is there in full before it is applied (Gharbi et al. 2017, eq. 3).

    Args:
        grid: (B, 12, D, Gh, Gw), 3×4 matrices by rows.
        guide: (B, H, W) in [0, 1].
        image: (B, 3, H, W).

    Returns:
        (B, 3, H, W), differentiable in all three.
    """
    batch, _, height, width = image.shape
    y = torch.arange(height, dtype=image.dtype, device=image.device) + 0.5
    x = torch.arange(width, dtype=image.dtype, device=image.device) + 0.5
    y, x = torch.meshgrid(2 * y / height - 1, 2 * x / width - 1, indexing="ij")
    places = torch.stack([x.expand_as(guide), y.expand_as(guide), 2 * guide - 1], -1)
    coefficients = F.grid_sample(
        grid, places[:, None], padding_mode="border", align_corners=False
    ).view(batch, 3, 4, height, width)
    return torch.einsum("bijhw,bjhw->bihw", coefficients[:, :, :3], image) + coefficients[:, :, 3]


def affine_maps_apply(maps: Tensor, image: Tensor) -> Tensor:
    """Enlarges affine colour maps to an image and applies them to it.

    Args:
        maps: (B, 12, h, w), 3×4 matrices by rows.
        image: (B, 3, H, W).

    Returns:
        (B, 3, H, W).
    """
    batch, _, height, width = image.shape
    matrices = F.interpolate(maps, (height, width), mode="bilinear").view(
        batch, 3, 4, height, width
    )
    return torch.einsum("bijhw,bjhw->bihw", matrices[:, :, :3], image) + matrices[:, :, 3]


def hue_shares(image: Tensor) -> Tensor:
    """How much each of seven maps of a grade counts for colours; they sum to 1.

    Args:
        image: (B, 3, H, W).

    Returns:
        (B, 7, H, W), of red, yellow, green, cyan, blue, magenta and grey: see `ops.grade_apply`.
    """
    hues: list[Tensor] = [image[:, 0]] * 6
    for channel in range(3):
        own, one, other = (image[:, (channel + k) % 3] for k in range(3))
        hues[2 * channel] = (own - torch.maximum(one, other)).clamp_min(0)
        hues[(2 * channel + 3) % 6] = (torch.minimum(one, other) - own).clamp_min(0)
    colored = torch.stack(hues, 1)
    shares = colored / colored.sum(1, keepdim=True).clamp_min(0.5)
    return torch.cat([shares, 1 - shares.sum(1, keepdim=True)], 1)


def grade_apply(maps: Tensor, masks: Tensor, image: Tensor) -> Tensor:
    """Renders a colour grade by region: every region's photo in full, then their blend.

    Args:
        maps: (B, R, K, 12), 3×4 matrices by rows at K knots of the mean channel over [0, 1]; or
            (B, R, 1 or 7, K, 12), where seven are those of `hue_shares`.
        masks: (B, R, H, W).
        image: (B, 3, H, W).

    Returns:
        (B, 3, H, W), differentiable in all three.
    """
    if maps.dim() == 5 and maps.shape[2] == 1:
        maps = maps[:, :, 0]
    elif maps.dim() == 5:
        masks = (masks[:, :, None] * hue_shares(image)[:, None]).flatten(1, 2)
        maps = maps.flatten(1, 2)
    knots = maps.shape[2]
    position = image.mean(1).clamp(0, 1) * (knots - 1)
    knot = torch.arange(knots, dtype=image.dtype, device=image.device).view(-1, 1, 1)
    below = position.detach().floor().clamp(max=max(knots - 2, 0))
    fraction = position - below
    # each pixel's weights of the knots, (B, K, H, W)
    weights = (knot == below[:, None]) * (1 - fraction[:, None])
    weights = weights + (knot == below[:, None] + 1) * fraction[:, None]
    batch, regions, height, width = masks.shape
    matrices = torch.einsum("bkhw,brkc->brchw", weights, maps).view(
        batch, regions, 3, 4, height, width
    )
    graded = torch.einsum("brijhw,bjhw->brihw", matrices[:, :, :, :3], image)
    change = graded + matrices[:, :, :, 3] - image[:, None]
    result: Tensor = image + (masks[:, :, None] * change).sum(1)
    return result
