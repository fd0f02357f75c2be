"""How far a result's style is from the style photo's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.losses.vgg import VGGFeatures
from pydpst.metrics.comparison import Comparison

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


@dataclass(frozen=True)
class StyleDistances:
    """Style distances relative to the untouched content's own; nan where that is 0.

    Attributes:
        total: the mean over the layers: 0 is the style's own statistics, 1 the untouched content.
        layers: of each layer, the regions' distances averaged by area.
        regions: for each region, of each layer.
    """

    total: float
    layers: dict[str, float]
    regions: list[dict[str, float]]


@torch.no_grad()
def style_distances(comparison: Comparison) -> StyleDistances:
    """How far the result's style is from the style photo's, relative to the content's own distance.

    For each of conv1_1 … conv5_1 of VGG-16, the distance is the Frobenius norm between the Gram
    matrices of a region (Gatys et al. 2016, eq. 4, without the square; regions as in Luan et al.
    2017, eq. 6), averaged over the regions by area; divided by that of the untouched content;
    averaged over the layers.

    Returns:
        The relative distances: 0 is the style's own statistics, 1 the untouched content.
    """
    vgg = VGGFeatures(STYLE_LAYERS).to(comparison.content.device)
    masks, style_masks = comparison.masks
    grams, areas = _gram_matrices(vgg, comparison.result, masks)
    content_grams, _ = _gram_matrices(vgg, comparison.content, masks)
    style_grams, _ = _gram_matrices(vgg, comparison.style, style_masks)
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
