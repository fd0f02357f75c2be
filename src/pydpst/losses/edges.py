"""The loss of edges."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.photos.color_spaces import luma


def _edges(image: Tensor) -> Tensor:
    """The length of the luminance's Sobel gradient, (1, 1, H, W); 1 at a step from 0 to 1."""
    padded = F.pad(luma(image)[None, None], (1, 1, 1, 1), mode="replicate")
    kernel = image.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
    gradient = F.conv2d(padded, torch.stack([kernel, kernel.T])[:, None])
    # Its length has no derivative at 0.
    return (gradient.square().sum(1, keepdim=True) + 1e-12).sqrt()


def _blur(x: Tensor) -> Tensor:
    """An 11-pixel Gaussian of standard deviation 1.5 (Wang et al. 2004)."""
    distance = torch.arange(-5, 6, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-(distance**2) / (2 * 1.5**2))
    kernel = kernel / kernel.sum()
    return F.conv2d(F.conv2d(x, kernel.view(1, 1, 1, 11)), kernel.view(1, 1, 11, 1))


def edge_similarity(result: Tensor, content: Tensor) -> Tensor:
    """How much of the content's edges the result keeps: the SSIM of their edge maps.

    SSIM is that of Wang et al. 2004, eq. 13; taking it between edge maps is common for
    photorealistic style transfer (Yoo et al. 2019, section 4), here with Sobel edges of the
    luminance. 1 is the same edges.

    Args:
        result: (3, H, W) in [0, 1], at least 11 pixels a side.
        content: (3, H, W), likewise.

    Returns:
        The mean SSIM, a scalar; differentiable.
    """
    x, y = _edges(result), _edges(content)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean()
