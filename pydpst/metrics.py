"""Three measures of a restyled photo: its style, its edges, and whether it is still a photo."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.laplacian import MattingLaplacian
from pydpst.losses import STYLE_LAYERS, RegionPixels
from pydpst.vgg import VGGFeatures


@torch.no_grad()
def style_distance(
    result: Tensor,
    content: Tensor,
    style: Tensor,
    content_masks: Tensor | None = None,
    style_masks: Tensor | None = None,
) -> float:
    """How far the result's style is from the style photo's, relative to the content's own distance.

    For each of conv1_1 … conv5_1 of VGG-16, the distance is the Frobenius norm between the Gram
    matrices of a region (Gatys et al. 2016, eq. 4, without the square), averaged over the regions
    by area; divided by that of the untouched content; averaged over the layers. 0 is the style's
    own statistics, 1 the untouched content.

    Args:
        result: (3, H, W) in [0, 1], float32.
        content: (3, H, W), likewise.
        style: (3, H', W'), likewise.
        content_masks: (R, H, W) in [0, 1]; None is one region.
        style_masks: (R, H', W').

    Returns:
        The relative distance.
    """
    if content_masks is None or style_masks is None:
        content_masks, style_masks = torch.ones_like(content[:1]), torch.ones_like(style[:1])
    vgg = VGGFeatures(STYLE_LAYERS).to(content.device)
    result_features, content_features = vgg(result[None]), vgg(content[None])
    style_features = vgg(style[None])
    ratios = []
    for layer in STYLE_LAYERS:
        pixels = RegionPixels(content_masks, content_features[layer])
        wanted = RegionPixels(style_masks, style_features[layer]).gram_matrices(
            style_features[layer]
        )
        distances = []
        for features in (result_features[layer], content_features[layer]):
            grams = pixels.gram_matrices(features)
            apart = [
                area * torch.linalg.matrix_norm(gram - want)
                for area, gram, want in zip(pixels.areas, grams, wanted, strict=True)
            ]
            distances.append(torch.stack(apart).sum())
        ratios.append(distances[0] / distances[1])
    return torch.stack(ratios).mean().item()


def _edges(image: Tensor) -> Tensor:
    """The length of the luminance's Sobel gradient, (1, 1, H, W); 1 at a step from 0 to 1."""
    luminance = torch.einsum("c,chw->hw", image.new_tensor([0.299, 0.587, 0.114]), image)
    padded = F.pad(luminance[None, None], (1, 1, 1, 1), mode="replicate")
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


def edge_ssim(result: Tensor, content: Tensor) -> float:
    """The number that `edge_similarity` gives."""
    return edge_similarity(result, content).item()


def photorealism_residual(result: Tensor, content: Tensor, eps: float = 1e-7) -> float:
    """How far the result is from a local recolouring of the content: Σ pᵀL p over colours, a pixel.

    Luan et al. 2017, eq. 4, with the matting Laplacian L of the content, radius 1.

    Args:
        result: (3, H, W) in [0, 1].
        content: (3, H, W), likewise.
        eps: of the matting Laplacian.

    Returns:
        The residual; 0 is an affine map of the content's colours in every window.
    """
    return MattingLaplacian(content.double(), eps).energy(result.double()).item() / (
        result[0].numel()
    )
