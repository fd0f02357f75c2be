"""Regions found in a pair of photos: what is alike in both, by deep features, without masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.losses.vgg import VGGFeatures, quick_dtype
from pydpst.photos.resizing import resize
from pydpst.regions.mask_colors import REGION_NAMES
from pydpst.regions.masks import Regions, resized_labels
from pydpst.regions.outlines import eroded, follow_colors
from pydpst.regions.semantic import classes

# Photos are segmented at this size.
REGIONS_SIZE = 512
# What a pixel is described by: the layers, and how much each counts. Deeper ones know more of what
# is seen and less of where it ends.
_LAYERS = {"conv3_3": 1.0, "conv4_3": 1.0, "conv5_1": 0.3}
# How much the height in the picture counts beside the layers: sky is above, ground below.
_HEIGHT = 0.8
# How much of a photo's own mean is taken off its features, rather than the mean of both: night and
# day differ everywhere.
_OWN_MEAN = 0.7
# A region has at least this share of each photo, and of its area lies more than two cells of the
# deep features' grid from its border: the rims that their wide view makes along borders have not.
_LEAST_SHARE = 0.03
_LEAST_INSIDE = 0.3
# Two regions are one if merging them adds less than this to the descriptions' variance within
# regions; that of all descriptions is near 2.3 in every pair of photos.
_LEAST_APART = 0.105
_MOST_REGIONS = len(REGION_NAMES)


def joint_regions(content: Tensor, style: Tensor, model: str | None = None) -> Regions:
    """Regions that both photos have: sky and sky, buildings and buildings, water and water.

    The semantic grouping of Penhouët and Sanzenbacher 2019 ("Automated Deep Photo Style Transfer"),
    with clusters in place of a segmentation network's words: the pixels of both photos are
    clustered together by VGG-16 features and height in the picture, and clusters merged (Ward 1963)
    while that loses little; so the photos give the number. What only one of them has goes to
    what is most like it. Colours then move the borders onto the photo's own.

    With a segmentation model, its classes take the place of the clusters, as in their paper; a
    class that one photo lacks goes to the most similar one that both have.

    Args:
        content: (3, H, W) in [0, 1].
        style: (3, H', W'), likewise.
        model: a semantic segmentation model of the transformers library, as for
            `semantic.classes`.

    Returns:
        The regions, all of them shared, the largest first, named as the paper's mask colours.

    Raises:
        ValueError: for a model that cannot be loaded.
        ImportError: for a model, if the transformers library is not installed.
    """
    photos = [resize(photo, REGIONS_SIZE) for photo in (content, style)]
    grids = _descriptions(photos)
    labels = _clusters(grids) if model is None else _paired(classes(photos, model), grids)
    return _finish(labels, photos, (content, style))


def _finish(
    labels: list[Tensor], photos: list[Tensor], originals: tuple[Tensor, Tensor]
) -> Regions:
    """Numbers the labels (h, w) by area, and moves their borders onto those of the photos."""
    regions = int(torch.cat([part.flatten() for part in labels]).max()) + 1
    rank = torch.argsort(torch.argsort(_shares(labels, regions).sum(0), descending=True))
    followed = []
    for part, photo, original in zip(labels, photos, originals, strict=True):
        hard = F.one_hot(rank[part], regions).permute(2, 0, 1).float().to(photo.device)
        # Deep features blur what they see: near a border only the inner side of a region is sure.
        found = follow_colors(hard, eroded(hard[None])[0], photo).argmax(0)
        followed.append(resized_labels(found, original))
    return Regions(followed[0], followed[1], list(REGION_NAMES[:regions]), regions)


@torch.no_grad()
def _descriptions(photos: list[Tensor]) -> list[Tensor]:
    """A photo's features on the grid of conv4_3, (C, h, w), float32: unit vectors by layer."""
    device = photos[0].device
    dtype = quick_dtype(device)
    vgg = VGGFeatures(list(_LAYERS), dtype=dtype).to(device)
    # Continued around, so that no feature sees the convolutions' zeros beyond the border.
    margin = 64
    features = []
    for photo in photos:
        height, width = (max(1, round(side / 16)) * 16 for side in photo.shape[-2:])
        fitted = F.interpolate(photo[None], (height, width), mode="bilinear", antialias=True)
        grid = (height // 8, width // 8)
        parts = {}
        for layer, x in vgg(_mirrored(fitted, margin)).items():
            cell = round((height + 2 * margin) / x.shape[2])
            inner = x[..., margin // cell : -(margin // cell), margin // cell : -(margin // cell)]
            mode = "area" if cell < 8 else "bilinear"
            # The square root tames the few channels that shout.
            parts[layer] = F.interpolate(inner.float(), grid, mode=mode)[0].sqrt()
        features.append(parts)
    means = [{layer: x.mean((1, 2), keepdim=True) for layer, x in f.items()} for f in features]
    descriptions = []
    for parts, own in zip(features, means, strict=True):
        rows = []
        for layer, share in _LAYERS.items():
            common = (means[0][layer] + means[1][layer]) / 2
            mean = _OWN_MEAN * own[layer] + (1 - _OWN_MEAN) * common
            rows.append(share * F.normalize(parts[layer] - mean, dim=0))
        height, width = rows[0].shape[1:]
        down = torch.linspace(-1, 1, height, device=device)[None, :, None].expand(1, height, width)
        descriptions.append(torch.cat([*rows, _HEIGHT * down]))
    return [description.cpu() for description in descriptions]


def _mirrored(x: Tensor, margin: int) -> Tensor:
    """Mirrored at the border, as often as a small photo needs."""
    while margin > 0:
        step = min(margin, min(x.shape[-2:]) - 1)
        x = F.pad(x, (step, step, step, step), mode="reflect")
        margin -= step
    return x


def _paired(maps: list[Tensor], grids: list[Tensor]) -> list[Tensor]:
    """Labels for two maps (H, W) of classes: each goes to the most similar one that both have."""
    values = torch.unique(torch.cat([part.flatten() for part in maps]))
    ids = [torch.searchsorted(values, part) for part in maps]
    least = _shares(ids, len(values)).amin(0)
    order = least.argsort(descending=True)[:_MOST_REGIONS]
    kept = order[least[order] >= _LEAST_SHARE]
    if len(kept) == 0:
        return [torch.zeros_like(part) for part in maps]
    labels = []
    for part, grid in zip(ids, grids, strict=True):
        members = F.one_hot(part, len(values)).permute(2, 0, 1).float()[None]
        weights = F.interpolate(members, grid.shape[1:], mode="area")[0].flatten(1)
        means = weights @ grid.flatten(1).T / weights.sum(1, keepdim=True).clamp_min(1e-9)
        nearest = torch.cdist(means, means[kept]).argmin(1)
        nearest[kept] = torch.arange(len(kept))
        labels.append(nearest[part])
    return labels


def _shares(labels: list[Tensor], regions: int) -> Tensor:
    """The share of each photo that each region takes, (2, regions), float64."""
    counts = [torch.bincount(part.flatten(), minlength=regions) for part in labels]
    return torch.stack([count.double() / count.sum() for count in counts])


def _clusters(grids: list[Tensor]) -> list[Tensor]:
    """Clusters the descriptions (C, h, w) of both photos: labels (h, w) from 0."""
    rows, shapes = [grid.flatten(1).T for grid in grids], [grid.shape[1:] for grid in grids]
    both = torch.cat(rows)
    # Few directions hold nearly all the variance, and distances are quicker there.
    mean = both.mean(0)
    some = (both[::5] - mean).double()
    _, vectors = torch.linalg.eigh(some.T @ some)
    both = (both - mean) @ vectors[:, -32:].float()
    # Both photos weigh the same, whatever their sizes.
    weights = torch.cat([torch.full((len(part),), 0.5 / len(part)) for part in rows])
    centres = _spread_centres(both, _MOST_REGIONS)
    while True:
        for _ in range(5):  # k-means (Lloyd 1982)
            labels = _nearest(both, centres, rows, shapes)
            flat = torch.cat([part.flatten() for part in labels])
            members = F.one_hot(flat, len(centres)).float() * weights[:, None]
            areas = members.sum(0)
            centres = torch.where(
                areas[:, None] > 0, members.T @ both / areas[:, None].clamp_min(1e-9), centres
            )
        if len(centres) == 1:
            return labels
        share = _shares(labels, len(centres)).amin(0)
        inside = _inside(labels, len(centres))
        if share.min() < _LEAST_SHARE:
            leaving = int(share.argmin())
        elif inside.min() < _LEAST_INSIDE:
            leaving = int(inside.argmin())
        else:
            apart = torch.cdist(centres, centres).square()
            added = areas[:, None] * areas / (areas[:, None] + areas) * apart
            added.fill_diagonal_(torch.inf)
            if added.min() > _LEAST_APART:
                return labels
            kept, leaving = divmod(int(added.argmin()), len(centres))
            centres[kept] = (areas[kept] * centres[kept] + areas[leaving] * centres[leaving]) / (
                areas[kept] + areas[leaving]
            )
        centres = torch.cat([centres[:leaving], centres[leaving + 1 :]])


def _spread_centres(rows: Tensor, count: int) -> Tensor:
    """Starts k-means from rows far from one another, the same ones each time (k-means++, 2007)."""
    generator = torch.Generator().manual_seed(0)
    centres = [rows[(rows - rows.mean(0)).square().sum(1).argmin()]]
    distance = (rows - centres[0]).square().sum(1)
    for _ in range(count - 1):
        chosen = rows[torch.multinomial(distance + 1e-12, 1, generator=generator)[0]]
        centres.append(chosen)
        distance = torch.minimum(distance, (rows - chosen).square().sum(1))
    return torch.stack(centres)


def _nearest(
    both: Tensor, centres: Tensor, rows: list[Tensor], shapes: list[torch.Size]
) -> list[Tensor]:
    """The centre nearest to each cell and its neighbours together."""
    distances = torch.cdist(both, centres).square()
    labels = []
    for part, shape in zip(
        torch.split(distances, [len(part) for part in rows]), shapes, strict=True
    ):
        maps = F.pad(part.T.reshape(1, -1, *shape), (1, 1, 1, 1), mode="replicate")
        labels.append(F.avg_pool2d(maps, 3, 1)[0].argmin(0))
    return labels


def _inside(labels: list[Tensor], regions: int) -> Tensor:
    """The share of each region's area that lies more than two cells from its border."""
    areas, insides = torch.zeros(regions), torch.zeros(regions)
    for part in labels:
        hard = F.one_hot(part, regions).permute(2, 0, 1).float()[None]
        areas += hard.mean((0, 2, 3))
        insides += eroded(hard).mean((0, 2, 3))
    return insides / areas.clamp_min(1e-9)
