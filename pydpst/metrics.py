"""Measures of a restyled photo: its style, its colours, its edges, and whether it is still a photo.

They share no code with the losses, so that another loss is not also another measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.laplacian import MattingLaplacian
from pydpst.vgg import VGGFeatures
from pydpst.wasserstein import lab, sliced_quantiles

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


@dataclass(frozen=True)
class StyleDistances:
    """Style distances relative to the untouched content's own; nan where that is 0.

    Attributes:
        total: the mean over the layers, what `style_distance` returns.
        layers: of each layer, the regions' distances averaged by area.
        regions: for each region, of each layer.
    """

    total: float
    layers: dict[str, float]
    regions: list[dict[str, float]]


@dataclass(frozen=True)
class ColorDistances:
    """Colour distances relative to the untouched content's own; nan where that is 0.

    Attributes:
        total: the regions' distances averaged by area, what `color_distance` returns.
        regions: of each region.
    """

    total: float
    regions: list[float]


@dataclass(frozen=True)
class Evaluation:
    """All measures of a result.

    Attributes:
        style: see `style_distances`.
        color: see `color_distances`.
        edge_ssim: see `edge_ssim`.
        residual: see `photorealism_residual`.
    """

    style: StyleDistances
    color: ColorDistances
    edge_ssim: float
    residual: float


def evaluate(
    result: Tensor,
    content: Tensor,
    style: Tensor,
    content_masks: Tensor | None = None,
    style_masks: Tensor | None = None,
) -> Evaluation:
    """Takes all measures of a result; arguments as for `style_distances`.

    Raises:
        ValueError: if the shapes do not agree.
    """
    return Evaluation(
        style_distances(result, content, style, content_masks, style_masks),
        color_distances(result, content, style, content_masks, style_masks),
        edge_ssim(result, content),
        photorealism_residual(result, content),
    )


def style_distance(
    result: Tensor,
    content: Tensor,
    style: Tensor,
    content_masks: Tensor | None = None,
    style_masks: Tensor | None = None,
) -> float:
    """The total of `style_distances`: 0 is the style's own statistics, 1 the untouched content."""
    return style_distances(result, content, style, content_masks, style_masks).total


@torch.no_grad()
def style_distances(
    result: Tensor,
    content: Tensor,
    style: Tensor,
    content_masks: Tensor | None = None,
    style_masks: Tensor | None = None,
) -> StyleDistances:
    """How far the result's style is from the style photo's, relative to the content's own distance.

    For each of conv1_1 … conv5_1 of VGG-16, the distance is the Frobenius norm between the Gram
    matrices of a region (Gatys et al. 2016, eq. 4, without the square; regions as in Luan et al.
    2017, eq. 6), averaged over the regions by area; divided by that of the untouched content;
    averaged over the layers.

    Args:
        result: (3, H, W) in [0, 1], float32.
        content: (3, H, W), likewise.
        style: (3, H', W'), likewise.
        content_masks: (R, H, W) in [0, 1]; None is one region.
        style_masks: (R, H', W').

    Returns:
        The relative distances: 0 is the style's own statistics, 1 the untouched content.

    Raises:
        ValueError: if the shapes do not agree.
    """
    masks, style_masks = _masks(result, content, style, content_masks, style_masks)
    vgg = VGGFeatures(STYLE_LAYERS).to(content.device)
    grams, areas = _gram_matrices(vgg, result, masks)
    content_grams, _ = _gram_matrices(vgg, content, masks)
    style_grams, _ = _gram_matrices(vgg, style, style_masks)
    layers, regions = {}, []
    for layer in STYLE_LAYERS:
        apart = torch.linalg.matrix_norm(grams[layer] - style_grams[layer])
        start = torch.linalg.matrix_norm(content_grams[layer] - style_grams[layer])
        layers[layer] = ((areas[layer] @ apart) / (areas[layer] @ start)).item()
        regions.append((apart / start).tolist())
    return StyleDistances(
        sum(layers.values()) / len(layers),
        layers,
        [dict(zip(STYLE_LAYERS, ratios, strict=True)) for ratios in zip(*regions, strict=True)],
    )


def _masks(
    result: Tensor,
    content: Tensor,
    style: Tensor,
    content_masks: Tensor | None,
    style_masks: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The masks, or one region each, if all shapes agree."""
    _check_same_size(result, content)
    if (content_masks is None) != (style_masks is None):
        raise ValueError("there are masks of one photo only; give both or none.")
    if content_masks is None or style_masks is None:
        return torch.ones_like(content[:1]), torch.ones_like(style[:1])
    for masks, photo, name in ((content_masks, content, "content"), (style_masks, style, "style")):
        if masks.shape[1:] != photo.shape[1:] or len(masks) != len(content_masks):
            raise ValueError(
                f"the {name} masks have the shape {tuple(masks.shape)}; it must be "
                f"{(len(content_masks), *photo.shape[1:])}."
            )
        for region, mask in enumerate(masks):
            if not mask.any():
                raise ValueError(f"region {region} of the {name} masks is empty; leave it out.")
    return content_masks, style_masks


def _check_same_size(result: Tensor, content: Tensor) -> None:
    if result.ndim != 3 or len(result) != 3 or result.shape != content.shape:
        raise ValueError(
            f"the result has the shape {tuple(result.shape)} and the content "
            f"{tuple(content.shape)}; both must be the same (3, H, W)."
        )


def _gram_matrices(
    vgg: VGGFeatures, image: Tensor, masks: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """For each layer the Gram matrices (R, C, C) of the regions, and their share of the area (R).

    The masks are averaged down to the layer and multiply the features.
    """
    grams, areas = {}, {}
    for layer, features in vgg(image[None]).items():
        weights = F.interpolate(masks[None], features.shape[-2:], mode="area")[0].flatten(1)
        rows = features[0].flatten(1)
        products = []
        for weight in weights:
            inside = weight.nonzero()[:, 0]
            weighted = rows[:, inside] * weight[inside]
            products.append(weighted @ weighted.T / weight.square().sum())
        grams[layer], areas[layer] = torch.stack(products), weights.mean(1)
    return grams, areas


def color_distance(
    result: Tensor,
    content: Tensor,
    style: Tensor,
    content_masks: Tensor | None = None,
    style_masks: Tensor | None = None,
) -> float:
    """The total of `color_distances`: 0 is the style's own colours, 1 the untouched content's."""
    return color_distances(result, content, style, content_masks, style_masks).total


@torch.no_grad()
def color_distances(
    result: Tensor,
    content: Tensor,
    style: Tensor,
    content_masks: Tensor | None = None,
    style_masks: Tensor | None = None,
) -> ColorDistances:
    """How far the result's colours are from the style's, relative to the content's own distance.

    The distance between the colours of a region is the sliced Wasserstein distance of order 2
    (Rabin et al. 2011, "Wasserstein Barycenter and its Application to Texture Mixing"; Bonneel et
    al. 2015, "Sliced and Radon Wasserstein Barycenters of Measures") in CIE 1976 L*a*b*: the root
    of the mean, over directions, of the squared distance between the projections' quantile
    functions. Here over 32 directions spread evenly over the half sphere, and 1024 quantiles. The
    regions' distances are averaged by area and divided by those of the untouched content.

    Args:
        result: (3, H, W), sRGB in [0, 1].
        content: (3, H, W), likewise.
        style: (3, H', W'), likewise.
        content_masks: (R, H, W) in [0, 1]; None is one region.
        style_masks: (R, H', W').

    Returns:
        The relative distances: 0 is the style's own colours, 1 the untouched content's.

    Raises:
        ValueError: if the shapes do not agree.
    """
    masks, style_masks = _masks(result, content, style, content_masks, style_masks)
    colors = [lab(image.flatten(1)) for image in (result, content, style)]
    apart, start = [], []
    for mask, style_mask in zip(masks.flatten(1), style_masks.flatten(1), strict=True):
        weights = (mask, mask, style_mask)
        ours, own, wanted = (
            sliced_quantiles(points, weight) for points, weight in zip(colors, weights, strict=True)
        )
        apart.append((ours - wanted).square().mean().sqrt())
        start.append((own - wanted).square().mean().sqrt())
    areas = masks.flatten(1).mean(1).double()
    distances, own_distances = torch.stack(apart), torch.stack(start)
    return ColorDistances(
        ((areas @ distances) / (areas @ own_distances)).item(),
        (distances / own_distances).tolist(),
    )


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

    Raises:
        ValueError: if the shapes do not agree.
    """
    _check_same_size(result, content)
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

    Raises:
        ValueError: if the shapes do not agree.
    """
    _check_same_size(result, content)
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
    _check_same_size(result, content)
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


def level_error(result: Tensor, wanted: Tensor) -> tuple[float, float]:
    """How far colours are off, in levels of 8 bits.

    Args:
        result: any shape, values in [0, 1].
        wanted: like result.

    Returns:
        The root mean square over pixels and channels, and the 95th percentile.
    """
    error = 255 * (result.double() - wanted.double()).abs().flatten()
    # `quantile` takes no more than 2**24 values.
    percentile = error.kthvalue(max(1, round(0.95 * error.numel()))).values
    return float(error.square().mean().sqrt()), float(percentile)
