"""How people would rate a photo (Talebi and Milanfar 2018, "NIMA: Neural image assessment")."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pydpst.losses.bundled import trained
from pydpst.losses.vgg import VGGFeatures, quick_dtype

# Ratings from 1 to this.
RATINGS = 10
LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_1")
_CHANNELS = (64, 128, 256, 512, 512)
# Photos are judged at this many pixels a side, whatever their aspect, as NIMA does.
_SIDE = 224
_HIDDEN = 96


def aesthetic_features(vgg: VGGFeatures, images: Tensor) -> Tensor:
    """What the head reads: how strong each of VGG-16's channels is, and how it varies.

    Args:
        vgg: gives `LAYERS`.
        images: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 2944), float32: means and deviations of the square roots, which tame the few channels
        that shout. Differentiable.
    """
    squares = F.interpolate(
        images, (_SIDE, _SIDE), mode="bilinear", antialias=True, align_corners=False
    )
    features = vgg(squares)
    found = []
    for layer in LAYERS:
        roots = (features[layer].float() + 1e-4).sqrt()
        found += [roots.mean((2, 3)), (roots.var((2, 3)) + 1e-6).sqrt()]
    return torch.cat(found, 1)


class AestheticHead(nn.Module):
    """Tells ratings from the features."""

    def __init__(self) -> None:
        super().__init__()
        count = 2 * sum(_CHANNELS)
        self.layers = nn.Sequential(
            nn.BatchNorm1d(count, affine=False),
            nn.Dropout(0.5),
            nn.Linear(count, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(_HIDDEN, RATINGS),
        )

    def forward(self, features: Tensor) -> Tensor:
        """The probabilities of the ratings 1 to 10, (B, 10), of features (B, 2944)."""
        ratings: Tensor = self.layers(features).softmax(1)
        return ratings


def mean_rating(ratings: Tensor) -> Tensor:
    """The mean of ratings (..., 10): (...) from 1 to 10."""
    return ratings @ torch.arange(1.0, RATINGS + 1, device=ratings.device)


class Aesthetics:
    """Rates photos.

    Args:
        device: where.
    """

    def __init__(self, device: torch.device) -> None:
        dtype = quick_dtype(device)
        self._vgg = VGGFeatures(LAYERS, dtype=dtype).to(device)
        self._head = _head(device)

    def ratings(self, photo: Tensor) -> Tensor:
        """The probabilities of the ratings 1 to 10, (10), of a photo (3, H, W) in [0, 1].

        Differentiable.
        """
        found: Tensor = self._head(aesthetic_features(self._vgg, photo[None]))[0]
        return found

    def loss(self, photo: Tensor) -> Tensor:
        """How far its mean rating is from the best, 0 to 1 (Penhouët and Sanzenbacher 2019)."""
        return (RATINGS - mean_rating(self.ratings(photo))) / (RATINGS - 1)


@lru_cache
def _head(device: torch.device) -> AestheticHead:
    """The trained head, read once a process."""
    return trained(AestheticHead(), "aesthetic").requires_grad_(False).to(device)
