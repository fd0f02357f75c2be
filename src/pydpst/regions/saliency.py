"""What stands out in a photo: the small U²-Net (Qin et al. 2020)."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pydpst.losses.bundled import trained
from pydpst.losses.remembered import Remembered

# Photos are seen at this many pixels a side, whatever their aspect, as the network learned to.
_SIDE = 320
_CHANNELS, _INNER = 64, 16
# Convolutions down to the bottom of each stage's block; the two deepest stages have dilated ones.
_DEPTHS = (6, 5, 4, 3)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _Convolution(nn.Module):
    """Its normalisation is part of the weights."""

    def __init__(self, before: int, after: int, dilation: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.convolution(x), inplace=True)


class _Block(nn.Module):
    """A residual U-block: a small U-net within a stage of the large one (figure 2).

    Args:
        before: channels that come in; `_CHANNELS` go out.
        depth: convolutions down to the bottom, each but the first on half the size.
    """

    def __init__(self, before: int, depth: int, *, dilated: bool = False) -> None:
        super().__init__()
        self.shrink = not dilated
        steps = [2**k if dilated else 1 for k in range(depth)]
        self.into = _Convolution(before, _CHANNELS)
        self.down = nn.ModuleList(
            _Convolution(_INNER if k else _CHANNELS, _INNER, step) for k, step in enumerate(steps)
        )
        self.bottom = _Convolution(_INNER, _INNER, 2**depth if dilated else 2)
        self.up = nn.ModuleList(
            _Convolution(2 * _INNER, _INNER if k else _CHANNELS, step)
            for k, step in reversed(list(enumerate(steps)))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.into(x)
        inner, levels = x, []
        for k, convolution in enumerate(self.down):
            inner = convolution(_halved(inner) if self.shrink and k else inner)
            levels.append(inner)
        inner = self.bottom(inner)
        for convolution, level in zip(self.up, reversed(levels), strict=True):
            inner = convolution(torch.cat([_sized(inner, level), level], 1))
        both: Tensor = inner + x
        return both


class Saliency(nn.Module):
    """The small U²-Net (figure 5; 16 inner channels and 64 outer ones in every stage)."""

    def __init__(self) -> None:
        super().__init__()
        deep = [_Block(_CHANNELS, 3, dilated=True) for _ in range(2)]
        shallow = [_Block(_CHANNELS if k else 3, depth) for k, depth in enumerate(_DEPTHS)]
        self.encode = nn.ModuleList([*shallow, *deep])
        self.decode = nn.ModuleList(
            [
                _Block(2 * _CHANNELS, 3, dilated=True),
                *(_Block(2 * _CHANNELS, depth) for depth in reversed(_DEPTHS)),
            ]
        )
        stages = len(self.encode)
        self.side = nn.ModuleList(nn.Conv2d(_CHANNELS, 1, 3, padding=1) for _ in range(stages))
        self.join = nn.Conv2d(stages, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of standing out.

        Args:
            images: (B, 3, H, W), normalised as ImageNet's are.

        Returns:
            (B, 1, H, W).
        """
        x = images
        stages: list[Tensor] = []
        for block in self.encode:
            x = block(_halved(x) if stages else x)
            stages.append(x)
        seen = [stages.pop()]
        for block in self.decode:
            stage = stages.pop()
            seen.append(block(torch.cat([_sized(seen[-1], stage), stage], 1)))
        sides = [side(x) for side, x in zip(self.side, reversed(seen), strict=True)]
        joined: Tensor = self.join(torch.cat([_sized(side, images) for side in sides], 1))
        return joined


def _halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, ceil_mode=True)


def _sized(x: Tensor, other: Tensor) -> Tensor:
    if x.shape[-2:] == other.shape[-2:]:
        return x
    return F.interpolate(x, other.shape[-2:], mode="bilinear", align_corners=False)


@torch.no_grad()
def salient(photo: Tensor) -> Tensor:
    """Where a photo's subject is.

    Args:
        photo: (3, H, W) in [0, 1], of any size.

    Returns:
        The probability, (320, 320), float32 on the CPU, for an image stretched to that size.
    """
    square = F.interpolate(
        photo[None].float(), (_SIDE, _SIDE), mode="bilinear", antialias=True, align_corners=False
    )
    return _subjects(_salient, square[0].cpu(), None)


# Those of a photo and of the style that a folder shares.
_subjects = Remembered[Tensor](2)


def _salient(square: Tensor) -> Tensor:
    mean, deviation = (torch.tensor(x)[:, None, None] for x in (_MEAN, _DEVIATION))
    # Deviation: photos are stretched to full brightness, as in the authors' code.
    bright = square / square.amax().clamp_min(1e-6)
    logits: Tensor = _network()(((bright - mean) / deviation)[None])
    return logits[0, 0].sigmoid()


@lru_cache
def _network() -> Saliency:
    """The network, read once a process."""
    return trained(Saliency(), "saliency")
