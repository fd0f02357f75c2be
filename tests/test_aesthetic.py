"""Ratings of photos: the head, its loss, and what it is trained on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PHOTOS

import pydpst
from pydpst.losses.aesthetic import Aesthetics, mean_rating
from pydpst.photos.resizing import resize


@pytest.fixture
def _tools(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "tools"))
    yield
    for name in ("faults", "train_aesthetic", "pushed_light", "scene_data", "weights_file"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def lake() -> torch.Tensor:
    return resize(pydpst.load_image(PHOTOS / "lake.jpg"), 256)


def test_a_spoiled_photo_is_rated_lower(lake: torch.Tensor) -> None:
    aesthetics = Aesthetics(torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    noisy = (lake + 0.2 * torch.randn(lake.shape, generator=generator)).clamp(0, 1)
    ratings = [aesthetics.ratings(photo) for photo in (lake, noisy, lake / 8)]
    for found in ratings:
        assert found.shape == (10,)
        assert found.sum().item() == pytest.approx(1, abs=1e-5)
    good, *spoiled = (mean_rating(found).item() for found in ratings)
    assert all(1 < rating < good - 0.3 for rating in spoiled)


def test_the_loss_falls_along_its_gradient(lake: torch.Tensor) -> None:
    aesthetics = Aesthetics(torch.device("cpu"))
    # One gain a channel: a step of noise would be another matter.
    gain = torch.full((3, 1, 1), 0.5, requires_grad=True)
    loss = aesthetics.loss(lake * gain)
    loss.backward()
    assert 0 < loss.item() < 1
    with torch.no_grad():
        step = 0.1 * gain.grad / gain.grad.norm()
        assert aesthetics.loss(lake * (gain - step)) < loss < aesthetics.loss(lake * (gain + step))


def test_a_look_can_ask_for_a_better_rating(lake: torch.Tensor) -> None:
    style = resize(pydpst.load_image(PHOTOS / "city_night.jpg"), 128)
    options = {"size": 128, "steps": 12, "regions": "none"}
    aesthetics = Aesthetics(torch.device("cpu"))
    plain, asked = (
        mean_rating(
            aesthetics.ratings(
                pydpst.stylize(lake, style, aesthetic_weight=weight, **options).working
            )
        )
        for weight in (0.0, 30.0)
    )
    assert asked > plain


@pytest.mark.usefixtures("_tools")
def test_spoiled_photos_are_photos_and_repeat(lake: torch.Tensor) -> None:
    from faults import spoiled

    for seed in range(20):
        image = spoiled(lake, np.random.default_rng(seed))
        assert image.shape == lake.shape
        assert image.min() >= 0
        assert image.max() <= 1
        assert not torch.equal(image, lake)
        assert torch.equal(image, spoiled(lake, np.random.default_rng(seed)))


@pytest.mark.usefixtures("_tools")
def test_ratings_are_compared_by_what_is_moved_and_by_rank() -> None:
    from train_aesthetic import earth_mover, spearman

    first, near, far = torch.eye(10)[[0, 1, 9]].split(1)
    assert earth_mover(first, first).item() < 1e-3
    assert earth_mover(first, near) < earth_mover(first, far)
    values = torch.tensor([1.0, 5.0, 2.0, 9.0])
    assert spearman(values, values.exp()) == pytest.approx(1)
    assert spearman(values, -values) == pytest.approx(-1)
