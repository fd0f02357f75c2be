"""Where the sky ends: a small network beside the scene head, on a grid four times as fine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pydpst.losses.bundled import trained

LAYERS = ("conv1_2", "conv2_2")
_CHANNELS = (64, 128)
_REDUCED = (16, 24)
# Of what the scene head has decoded, and how much of it is read.
_DECODED, _CONTEXT = 96, 32
_WIDTH = 32


def sky_features(features: Mapping[str, Tensor], images: Tensor) -> list[Tensor]:
    """What the network reads beside what the scene head has decoded.

    Args:
        features: those of VGG-16, `LAYERS` among them.
        images: (B, 3, h, w) in [0, 1], sides multiples of 16, of which they are.

    Returns:
        The roots of conv1_2 and conv2_2, and the colours, on a grid of h/2 by w/2, float32.
    """
    shallow = F.avg_pool2d(features[LAYERS[0]].float(), 2)
    return [shallow.sqrt(), features[LAYERS[1]].float().sqrt(), F.avg_pool2d(images, 2)]


class SkyOutline(nn.Module):
    """The sky's opacity: the head says what is sky, shallow layers where it ends."""

    def __init__(self) -> None:
        super().__init__()
        counts = (*_CHANNELS, 3, _DECODED)
        self.level = nn.ModuleList(nn.BatchNorm2d(count, affine=False) for count in counts)
        self.reduce = nn.ModuleList(
            nn.Conv2d(before, after, 1) for before, after in zip(_CHANNELS, _REDUCED, strict=True)
        )
        self.context = nn.Conv2d(_DECODED, _CONTEXT, 1)
        joined = sum(_REDUCED) + 3 + _CONTEXT
        self.first = nn.Conv2d(joined, _WIDTH, 3, padding=1)
        self.wide = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=2, dilation=2)
        self.wider = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=4, dilation=4)
        self.last = nn.Conv2d(_WIDTH, 1, 1)

    def forward(self, features: list[Tensor], decoded: Tensor, logits: Tensor) -> Tensor:
        """The logit of the sky's opacity.

        Args:
            features: as from `sky_features`.
            decoded: (B, 96, h/8, w/8), of the scene head.
            logits: (B, groups, h/8, w/8), the head's; the sky is the first group.

        Returns:
            (B, h/2, w/2).
        """
        *shallow, colors, context = [
            level(x) for level, x in zip(self.level, [*features, decoded], strict=True)
        ]
        size = colors.shape[-2:]
        coarse = logits[:, :1] - logits[:, 1:].logsumexp(1, keepdim=True)
        coarse, context = (
            F.interpolate(x, size, mode="bilinear", align_corners=False)
            for x in (coarse, F.relu(self.context(context)))
        )
        reduced = [F.relu(reduce(x)) for reduce, x in zip(self.reduce, shallow, strict=True)]
        x = F.relu(self.first(torch.cat([*reduced, colors, context], 1)))
        x = x + F.relu(self.wide(x))
        x = x + F.relu(self.wider(x))
        found: Tensor = (coarse + self.last(x))[:, 0]
        return found


@lru_cache
def sky_outline() -> SkyOutline:
    """The trained network, read once a process."""
    return trained(SkyOutline(), "sky")
