"""The content loss (Gatys et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from pydpst.losses.gram import Features

CONTENT_LAYERS = ("conv4_2",)


class ContentLoss:
    """The squared distance of features from the content's, relative to them (Gatys 2016, eq. 1).

    Args:
        content: the content's features in CONTENT_LAYERS.
    """

    def __init__(self, content: Features) -> None:
        self.targets = {layer: content[layer] for layer in CONTENT_LAYERS}
        self.scales = {
            layer: 1 / target.float().square().mean() for layer, target in self.targets.items()
        }

    def __call__(self, features: Features) -> Tensor:
        """The loss of an image's features in CONTENT_LAYERS, a scalar."""
        distances = [
            self.scales[layer] * (features[layer] - target).float().square().mean()
            for layer, target in self.targets.items()
        ]
        return torch.stack(distances).mean()
