"""How far a result is from a local recolouring of the content."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.matting.laplacian import MattingLaplacian
from pydpst.metrics.comparison import check_same_size


def photorealism_residual(result: Tensor, content: Tensor, eps: float = 1e-7) -> float:
    """How far the result is from a local recolouring of the content: Σ pᵀL p over colours, a pixel.

    Luan et al. 2017, eq. 4, with the matting Laplacian L of the content, radius 1.

    Args:
        result: (3, H, W) in [0, 1].
        content: (3, H, W), likewise.
        eps: of the matting Laplacian.

    Returns:
        The residual; 0 is an affine map of the content's colours in every window.

    Raises:
        ValueError: if the shapes do not agree.
    """
    check_same_size(result, content)
    return MattingLaplacian(content.double(), eps).energy(result.double()).item() / (
        result[0].numel()
    )


@torch.no_grad()
def residual_map(result: Tensor, content: Tensor, eps: float = 1e-7) -> Tensor:
    """Where the result stops being a local recolouring of the content.

    pᵀL p is a sum over windows of n pixels, n (var(p) - cov(I, p)ᵀ (cov(I) + eps/n)⁻¹ cov(I, p))
    each: what is left of p's variance after the best affine map of the content's colours (Levin et
    al. 2008, eq. 12). Each window's share is spread evenly over its pixels.

    Args:
        result: (3, H, W) in [0, 1].
        content: (3, H, W), likewise.
        eps: of the matting Laplacian.

    Returns:
        (H, W), float64, not negative; its mean is `photorealism_residual`.

    Raises:
        ValueError: if the shapes do not agree.
    """
    check_same_size(result, content)
    guide, p = content.double(), result.double()

    def mean(x: Tensor) -> Tensor:
        """Over each 3×3 window inside the image: (C, H - 2, W - 2)."""
        return F.avg_pool2d(x, 3, 1)

    def covariance(x: Tensor, y: Tensor) -> Tensor:
        """Of the channels of x and y in each window: (H - 2, W - 2, 3, 3)."""
        products = mean((x[:, None] * y[None]).flatten(0, 1))
        means = (mean(x)[:, None] * mean(y)[None]).flatten(0, 1)
        return (products - means).permute(1, 2, 0).reshape(*means.shape[1:], 3, 3)

    ridge = eps / 9 * torch.eye(3, dtype=guide.dtype, device=guide.device)
    factor = torch.linalg.cholesky(covariance(guide, guide) + ridge)
    whitened = torch.linalg.solve_triangular(factor, covariance(guide, p), upper=False)
    explained = whitened.square().sum((-2, -1))
    variance = (mean(p * p) - mean(p) ** 2).sum(0)
    energy = (9 * (variance - explained)).clamp_min(0)  # rounding can leave less than nothing
    return F.avg_pool2d(F.pad(energy[None], (2, 2, 2, 2)), 3, 1)[0]
