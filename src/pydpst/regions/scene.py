"""What a photo shows: a small network over the features of VGG-16, trained for this project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pydpst.losses.bundled import trained
from pydpst.losses.remembered import Remembered
from pydpst.losses.vgg import VGGFeatures, quick_dtype
from pydpst.matting.guided import guided_filter
from pydpst.photos.resizing import size_of_area
from pydpst.regions import sky

# What matters to a colourist. Furniture and things belong to the interior: what is a thing cannot
# be learned from so few photos, and a room is graded as one.
GROUPS = (
    "sky",
    "vegetation",
    "mountain",
    "ground",
    "water",
    "building",
    "interior",
    "person",
    "vehicle",
)
# Photos are seen at this area, in pixels, whatever their aspect.
SEEN_AREA = 256 * 320
# A panorama's longer side, at most.
_LONGEST = 832
LAYERS = ("conv2_2", "conv3_3", "conv4_3", "conv5_1")
SEEN_LAYERS = (*sky.LAYERS, *LAYERS)
_CHANNELS = (128, 256, 512, 512)
# To how many channels each layer is reduced: shallow ones say little of what is seen.
_REDUCED = (32, 64, 96, 160)
_CONTEXT, _DECODED = 160, 96
# What is told follows the photo's edges within so many cells, those of more contrast than the root
# of this.
_REACH, _CONTRAST = 1, 1e-4
# The pyramid's levels, in cells a side (Zhao et al. 2017, "Pyramid scene parsing network").
_LEVELS = (1, 2, 4)


def seen_size(height: int, width: int) -> tuple[int, int]:
    """The size at which a photo is looked at: of `SEEN_AREA` about, sides multiples of 16."""
    return size_of_area(height, width, SEEN_AREA, _LONGEST)


def seen(photo: Tensor) -> Tensor:
    """A photo (3, H, W) at that size, (3, h, w), antialiased."""
    size = seen_size(*photo.shape[-2:])
    scaled = F.interpolate(photo[None].float(), size, mode="bicubic", antialias=True)
    return scaled[0].clamp(0, 1)


def scene_features(features: Mapping[str, Tensor], images: Tensor) -> list[Tensor]:
    """What the head reads.

    Args:
        features: those of VGG-16, `LAYERS` among them.
        images: (B, 3, h, w) in [0, 1], sides multiples of 16, of which they are.

    Returns:
        conv2_2, conv3_3 and conv4_3 on a grid of h/8 by w/8, conv5_1 on h/16 by w/16, their square
        roots, which tame the few channels that shout; last the mean colours, (B, 3, h/8, w/8). All
        float32.
    """
    cells = (images.shape[-2] // 8, images.shape[-1] // 8)
    found = [F.adaptive_avg_pool2d(features[layer].float(), cells) for layer in LAYERS[:3]]
    roots = [x.sqrt() for x in (*found, features[LAYERS[3]].float())]
    return [*roots, F.interpolate(images, cells, mode="area")]


def _convolution(before: int, after: int, side: int = 1, dilation: int = 1) -> nn.Sequential:
    reach = dilation * (side // 2)
    return nn.Sequential(
        nn.Conv2d(before, after, side, padding=reach, dilation=dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


class SceneHead(nn.Module):
    """Tells the groups apart: context on the grid of conv5_1, outlines on that of conv4_3."""

    def __init__(self) -> None:
        super().__init__()
        # Features differ in size by layer and channel, and so they are learned from alike.
        self.level = nn.ModuleList(nn.BatchNorm2d(count, affine=False) for count in (*_CHANNELS, 3))
        self.reduce = nn.ModuleList(
            _convolution(before, after) for before, after in zip(_CHANNELS, _REDUCED, strict=True)
        )
        self.drop = nn.Dropout2d(0.15)
        self.join = _convolution(_REDUCED[2] + _REDUCED[3] + 1, _CONTEXT)
        self.context = nn.ModuleList(
            _convolution(_CONTEXT, _CONTEXT, 3, dilation) for dilation in (1, 2, 4)
        )
        self.pool = nn.ModuleList(nn.Conv2d(_CONTEXT, _CONTEXT // 4, 1) for _ in _LEVELS)
        self.gather = _convolution(_CONTEXT + len(_LEVELS) * (_CONTEXT // 4), _CONTEXT)
        skips = sum(_REDUCED[:3]) + 4
        self.decode = nn.Sequential(
            _convolution(_CONTEXT + skips, _DECODED),
            _convolution(_DECODED, _DECODED, 3),
            _convolution(_DECODED, _DECODED, 3),
            nn.Dropout2d(0.1),
            nn.Conv2d(_DECODED, len(GROUPS), 1),
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The groups' logits, (B, groups, h/8, w/8), from what `scene_features` gives."""
        return self.classify(self.decoded(features))

    def decoded(self, features: Sequence[Tensor]) -> Tensor:
        """What the groups are told by, (B, 96, h/8, w/8), from what `scene_features` gives."""
        *layers, colors = [level(x) for level, x in zip(self.level, features, strict=True)]
        reduced = [self.drop(reduce(x)) for reduce, x in zip(self.reduce, layers, strict=True)]
        coarse, fine = reduced[3].shape[-2:], reduced[2].shape[-2:]
        x = self.join(
            torch.cat([reduced[3], F.adaptive_avg_pool2d(reduced[2], coarse), _down(reduced[3])], 1)
        )
        for block in self.context:
            x = x + block(x)
        pooled = [
            F.interpolate(
                F.relu(pool(F.adaptive_avg_pool2d(x, cells))),
                coarse,
                mode="bilinear",
                align_corners=False,
            )
            for pool, cells in zip(self.pool, _LEVELS, strict=True)
        ]
        x = F.interpolate(
            self.gather(torch.cat([x, *pooled], 1)), fine, mode="bilinear", align_corners=False
        )
        decoded: Tensor = self.decode[:-1](torch.cat([x, *reduced[:3], colors, _down(x)], 1))
        return decoded

    def classify(self, decoded: Tensor) -> Tensor:
        """The groups' logits, (B, groups, h/8, w/8), of what is `decoded`."""
        logits: Tensor = self.decode[-1](decoded)
        return logits


def _down(x: Tensor) -> Tensor:
    """The height in the picture, -1 to 1 from above: sky is above, ground below."""
    batch, _, height, width = x.shape
    rows = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)
    return rows[None, None, :, None].expand(batch, 1, height, width)


class Scene(NamedTuple):
    """What is where in a photo.

    Attributes:
        groups: the probabilities of `GROUPS`, (9, h, w), on a grid of about 32 by 40 cells.
        sky: the sky's opacity, (4 h, 4 w), in [0, 1].
    """

    groups: Tensor
    sky: Tensor


@torch.no_grad()
def parse_scene(photo: Tensor) -> Scene:
    """What is where in a photo.

    Args:
        photo: (3, H, W) in [0, 1], of any size.

    Returns:
        The scene, float32 on the CPU.
    """
    return _scenes(_scene, seen(photo), None)


# Those of a photo and of the style that a folder shares.
_scenes = Remembered[Scene](2)


def _scene(photo: Tensor) -> Scene:
    """As above, of a photo at `seen_size`."""
    vgg = VGGFeatures(SEEN_LAYERS, dtype=quick_dtype(photo.device)).to(photo.device)
    shallow, decoded, logits = sky_inputs(vgg, photo[None])
    opacity = sky.sky_outline()(shallow, decoded, logits).sigmoid()
    return Scene(groups_along_edges(logits[0], photo), opacity[0])


def groups_along_edges(logits: Tensor, photo: Tensor) -> Tensor:
    """The groups' probabilities, which change where the photo does (the guided filter).

    Args:
        logits: (groups, h/8, w/8), from the head.
        photo: (3, h, w) in [0, 1], of which they are, on any device.

    Returns:
        The same shape, float32, summing to 1, on the logits' device.
    """
    colors = F.interpolate(photo[None], logits.shape[-2:], mode="area")[0].to(logits.device)
    return guided_filter(colors, logits, radius=_REACH, eps=_CONTRAST).softmax(0)


def sky_inputs(vgg: VGGFeatures, images: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """What `sky.SkyOutline` reads; the last of it are the groups' logits.

    Args:
        vgg: gives `SEEN_LAYERS`.
        images: (B, 3, h, w) in [0, 1], sides multiples of 16.

    Returns:
        The arguments of its `forward`, on the CPU.
    """
    features, head = vgg(images), scene_head()
    decoded = head.decoded([x.cpu() for x in scene_features(features, images)])
    shallow = [x.cpu() for x in sky.sky_features(features, images)]
    return shallow, decoded, head.classify(decoded)


@lru_cache
def scene_head() -> SceneHead:
    """The trained head, read once a process."""
    return trained(SceneHead(), "scene")
