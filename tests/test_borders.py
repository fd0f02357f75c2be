"""What a colourist looks for at full size: halos at a skyline, bands in a sky."""

from __future__ import annotations

import math
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Run
from PIL import Image, ImageDraw
from torch import Tensor

import pydpst
from pydpst.matting.guided import EnlargedPlanes
from pydpst.photos.resizing import resize
from pydpst.regions.masks import followed_masks, resized_labels
from pydpst.regions.scene import GROUPS
from pydpst.regions.scene_regions import regions_again

WIDTH, HEIGHT = 960, 640


def bare_tree() -> Image.Image:
    """Branches and ground, white, on black, three times as large."""
    random = np.random.default_rng(3)
    picture = Image.new("L", (3 * WIDTH, 3 * HEIGHT))
    draw = ImageDraw.Draw(picture)

    def branch(x: float, y: float, angle: float, length: float, width: float) -> None:
        if width < 2 or length < 15:
            return
        end = (x + length * math.cos(angle), y - length * math.sin(angle))
        draw.line([x, y, *end], fill=255, width=int(width))
        for _ in range(random.integers(2, 4)):
            turn, share = random.uniform(-0.7, 0.7), random.uniform(0.65, 0.85)
            branch(*end, angle + turn, length * share, 0.62 * width)

    branch(1.5 * WIDTH, 3 * HEIGHT, math.pi / 2, 0.84 * HEIGHT, 66)
    draw.rectangle([0, 2.7 * HEIGHT, 3 * WIDTH, 3 * HEIGHT], fill=255)
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


@pytest.fixture(scope="module")
def tree() -> tuple[Tensor, Tensor, Tensor]:
    """A photo (3, H, W) of a tree before a sky, its alpha (H, W), and the sky alone."""
    alpha = torch.from_numpy(np.asarray(bare_tree()).astype(np.float32)) / 255
    down = torch.linspace(0, 1, HEIGHT)[:, None].expand(HEIGHT, WIDTH)
    sky = torch.stack([0.45 + 0.3 * down, 0.6 + 0.2 * down, 0.85 - 0.05 * down])
    generator = torch.Generator().manual_seed(0)
    texture = torch.randn(1, 1, HEIGHT // 3, WIDTH // 3, generator=generator)
    bark = torch.tensor([0.16, 0.12, 0.09])[:, None, None]
    bark = bark + 0.04 * F.interpolate(texture, (HEIGHT, WIDTH), mode="bilinear")[0]
    noise = 0.006 * torch.randn(3, HEIGHT, WIDTH, generator=generator)
    return (alpha * bark + (1 - alpha) * sky + noise).clamp(0, 1), alpha, sky


def test_no_halo_beside_branches_at_full_size(tree: tuple[Tensor, Tensor, Tensor]) -> None:
    """The sky is darkened and the tree brightened: beyond two pixels the sky is all sky's."""
    photo, alpha, sky = tree
    small = resize(photo, 640)
    labels = resized_labels((alpha > 0.5).long(), small)
    masks = EnlargedPlanes(small, followed_masks(labels, small, 2), HEIGHT)(photo)
    masks = masks / masks.sum(0)
    tint = torch.tensor([-0.05, -0.02, 0.05])[:, None, None]
    graded = masks[0] * (0.35 * photo + tint) + masks[1] * (1.1 * photo + 0.15)
    wanted = 0.35 * sky + tint
    branches = (alpha > 0.02).float()[None]
    near = [F.max_pool2d(branches, 2 * reach + 1, 1, reach)[0] > 0 for reach in (2, 3, 6)]
    error = 255 * (graded - wanted).abs().mean(0)
    assert error[near[1] & ~near[0]].mean() < 2  # of 98 levels between the two grades there
    assert error[near[2] & ~near[1]].mean() < 2
    assert error[~near[2]].mean() < 2


def test_no_halo_where_a_colour_is_common_on_both_sides() -> None:
    """A dark arm, beside a shirt that is as white as the wall behind both."""
    generator = torch.Generator().manual_seed(0)
    photo = 0.85 + 0.01 * torch.randn(3, 240, 320, generator=generator)
    labels = torch.zeros(240, 320, dtype=torch.int64)
    labels[60:180, 60:200] = 1
    arm = torch.zeros(240, 320, dtype=torch.bool)
    arm[60:180, 160:200] = True
    photo[:, arm] -= 0.6
    masks = followed_masks(labels, photo, 2)
    beside_arm = masks[1, 80:160, 200:212].mean(0)
    assert beside_arm[2:].max() < 0.1, "wall beside the arm"
    assert masks[1, 80:160, 170:198].min() > 0.9, "arm"


def test_the_sky_that_is_found_ends_at_the_branches(tree: tuple[Tensor, Tensor, Tensor]) -> None:
    photo, alpha, _ = tree
    masks = regions_again(photo, [frozenset(["sky"]), frozenset(GROUPS) - {"sky"}])
    assert (masks[0] - (1 - alpha)).abs().mean() < 0.015


def test_a_smooth_sky_of_16_bits_has_no_more_bands(
    run: Run, tmp_path: Path, city_night: Path
) -> None:
    path, out = tmp_path / "sky.png", tmp_path / "out.png"
    slope = np.linspace([0.35, 0.5, 0.8], [0.45, 0.56, 0.82], 600)
    sky = np.tile((slope * 65535).round().astype(np.uint16)[:, None], (1, 40, 1))
    path.write_bytes(imagecodecs.png_encode(sky))
    style = city_night
    options = ["--regions", "none", "--steps", "4", "--size", "128"]
    assert run("stylize", path, style, "-o", out, *options)[0] == 0
    result = imagecodecs.png_decode(out.read_bytes())
    assert (result.dtype, result.shape) == (sky.dtype, sky.shape)
    columns = [len(np.unique(image[:, 20], axis=0)) for image in (sky, result)]
    assert columns[1] >= columns[0]
    assert not torch.equal(pydpst.load_image(out), pydpst.load_image(path))
