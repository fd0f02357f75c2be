"""The photos and labels that the scene head learns from, and how they are split and cut."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pushed_light import pushed
from torch import Tensor

from pydpst.regions.scene import GROUPS

# The labels' kinds, in order, and the group of each. What may be of a house or of a room has none:
# see `grouped`.
KINDS = {
    "other": "interior",
    "wall": "interior",
    "building": "building",
    "sky": "sky",
    "floor": None,
    "tree": "vegetation",
    "ceiling": "interior",
    "road": "ground",
    "bed": "interior",
    "window": None,
    "grass": "vegetation",
    "cabinet": "interior",
    "sidewalk": "ground",
    "person": "person",
    "earth": "ground",
    "door": None,
    "table": "interior",
    "mountain": "mountain",
    "plant": "vegetation",
    "curtain": "interior",
    "chair": "interior",
    "car": "vehicle",
    "water": "water",
    "painting": "interior",
    "sofa": "interior",
    "shelf": "interior",
    "house": "building",
    "sea": "water",
    "mirror": "interior",
    "rug": "ground",
    "field": "vegetation",
    "armchair": "interior",
}
# Crops for training have one of these sizes, so that they can be learned from together; at the
# smaller ones, all that is seen is smaller.
SHAPES = ((256, 320), (224, 368), (288, 288), (320, 256))
SMALL_SHAPES = ((192, 256), (160, 304), (224, 224), (256, 192))
# Of so many rounds one is in the photos' own light.
PLAIN_EVERY = 3


@dataclass(frozen=True)
class Window:
    """What of a photo is seen, as shares of it: top, bottom, left, right; perhaps mirrored."""

    top: float
    bottom: float
    left: float
    right: float
    mirrored: bool


WHOLE = Window(0, 1, 0, 1, False)


def split(folder: Path) -> tuple[list[str], list[str]]:
    """The photos' numbers to train on and to validate on, a fifth; a series is never in both.

    A series is what differs in its file names by digits only, within one source.
    """
    series: dict[str, list[str]] = {}
    with (folder / "SOURCES.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            key = re.sub(r"\d+", "", row["source"].rsplit(".", 1)[0])
            series.setdefault(key, []).append(Path(row["file"]).stem)
    ordered = sorted(series, key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    total = sum(len(of) for of in series.values())
    training: list[str] = []
    held: list[str] = []
    for key in ordered:
        (held if len(held) < total / 5 else training).extend(series[key])
    return sorted(training), sorted(held)


def read_photo(folder: Path, number: str) -> Tensor:
    """A photo, (3, H, W) in [0, 1]."""
    with Image.open(folder / "photos" / f"{number}.jpg") as image:
        array = np.asarray(image.convert("RGB")).copy()
    return torch.from_numpy(array).permute(2, 0, 1) / 255


def some_window(
    height: int,
    width: int,
    shapes: tuple[tuple[int, int], ...],
    random: np.random.Generator,
) -> tuple[Window, tuple[int, int]]:
    """A window of the aspect of the nearest of some shapes, and that shape."""
    aspects = np.log([wide / tall for tall, wide in shapes])
    shape = int(np.abs(aspects - np.log(width / height)).argmin())
    tall, wide = shapes[shape]
    most = min(height / tall, width / wide) * random.uniform(0.6, 1.0) ** 0.7
    share = most * tall / height, most * wide / width
    top, left = (random.uniform(0, 1 - min(1, of)) for of in share)
    mirrored = bool(random.random() < 0.5)
    return Window(top, min(1, top + share[0]), left, min(1, left + share[1]), mirrored), (
        tall,
        wide,
    )


def cut(photo: Tensor, window: Window, size: tuple[int, int]) -> Tensor:
    """The window of a photo (3, H, W) at that size."""
    height, width = photo.shape[-2:]
    rows = slice(round(window.top * height), round(window.bottom * height))
    columns = slice(round(window.left * width), round(window.right * width))
    part = photo[:, rows, columns]
    part = F.interpolate(part[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
    return part.flip(-1) if window.mirrored else part


def view(
    folder: Path, number: str, shapes: tuple[tuple[int, int], ...] | None, round_: int
) -> tuple[Window, Tensor]:
    """A photo, (3, h, w), in one round's light, and what is seen of it.

    With shapes, some window of it at one of these; else all of it.
    """
    random = np.random.default_rng([round_, int(number)])
    window, image = WHOLE, read_photo(folder, number)
    if shapes is not None:
        window, shape = some_window(image.shape[-2], image.shape[-1], shapes, random)
        image = cut(image, window, shape)
    return window, pushed(image, random) if round_ % PLAIN_EVERY > 0 else image


def cut_map(maps: Tensor, window: Window, size: tuple[int, int]) -> Tensor:
    """The same of maps (G, h, w), whose cells are larger than pixels."""
    height, width = size
    y = torch.linspace(window.top, window.bottom, 2 * height + 1)[1::2] * 2 - 1
    x = torch.linspace(window.left, window.right, 2 * width + 1)[1::2] * 2 - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None]
    part = F.grid_sample(
        maps[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[0]
    return part.flip(-1) if window.mirrored else part


def grouped(kinds: Tensor, alpha: Tensor) -> Tensor:
    """The soft target of a photo: the groups' probabilities.

    Windows and doors belong to what the photo has more of, buildings or walls, and floors to the
    ground or to walls likewise. Where the labels see sky, the outline is that of the sky network as
    well.

    Args:
        kinds: (32, h, w), the labels' weights, not negative.
        alpha: (h, w) in [0, 1], the sky network's.

    Returns:
        (groups, h, w), summing to 1.
    """
    kinds = kinds / kinds.sum(0, keepdim=True).clamp_min(1e-6)
    mass = dict(zip(KINDS, kinds.mean((1, 2)).tolist(), strict=True))
    houses, walls = mass["building"] + mass["house"], mass["wall"] + mass["ceiling"]
    open_air = houses + mass["sky"] + mass["tree"] + mass["grass"] + mass["road"]
    shares = {
        "building": (houses + 1e-3) / (houses + walls + 2e-3),
        "ground": (open_air + 1e-3) / (open_air + walls + 2e-3),
    }
    target = torch.zeros(len(GROUPS), *alpha.shape)
    for weight, (kind, group) in zip(kinds, KINDS.items(), strict=True):
        if group is None:
            outside = "ground" if kind == "floor" else "building"
            target[GROUPS.index(outside)] += shares[outside] * weight
            target[GROUPS.index("interior")] += (1 - shares[outside]) * weight
        else:
            target[GROUPS.index(group)] += weight
    sky = target[0]
    others = target[1:].sum(0)
    refined = torch.where(near_sky(sky) & (others > 0.02), (sky + alpha) / 2, sky)
    target[1:] *= (1 - refined) / others.clamp_min(1e-6)
    target[0] = refined
    return target / target.sum(0, keepdim=True)


def near_sky(sky: Tensor) -> Tensor:
    """Where the sky network is asked: in and beside what the labels (h, w) call sky."""
    return F.max_pool2d(sky[None, None], 3, 1, 1)[0, 0] > 0.5


def load_targets(folder: Path) -> dict[str, Tensor]:
    """The targets of all photos by number, (groups, 64, 64), float16."""
    found = {}
    with np.load(folder / "labels.npz") as labels, np.load(folder / "sky.npz") as skies:
        for number in labels.files:
            kinds = torch.from_numpy(labels[number]).permute(2, 0, 1).float()
            found[number] = grouped(kinds, on_cells(skies[number], kinds)).half()
    return found


def on_cells(sky: np.ndarray, kinds: Tensor) -> Tensor:
    """The sky network's opacity, 192×192 bytes, on the cells of the labels (32, h, w)."""
    alpha = torch.from_numpy(sky)[None, None].float() / 255
    return F.interpolate(alpha, kinds.shape[-2:], mode="area")[0, 0]


def load_skies(folder: Path) -> dict[str, Tensor]:
    """The sky's opacity in all photos by number, (192, 192), float16.

    That of the sky network where the labels see sky, but are not sure of it; theirs elsewhere.
    """
    found = {}
    with np.load(folder / "labels.npz") as labels, np.load(folder / "sky.npz") as skies:
        for number in labels.files:
            kinds = torch.from_numpy(labels[number]).permute(2, 0, 1).float()
            seen = (kinds[list(KINDS).index("sky")] / kinds.sum(0).clamp_min(1e-6))[None, None]
            alpha = torch.from_numpy(skies[number]).float() / 255
            asked = near_sky(seen[0, 0]) & (seen[0, 0] < 0.98)
            asked = F.interpolate(asked[None, None].float(), alpha.shape, mode="nearest")[0, 0]
            seen = F.interpolate(seen, alpha.shape, mode="bilinear", align_corners=False)[0, 0]
            found[number] = torch.where(asked > 0, alpha, seen).half()
    return found
