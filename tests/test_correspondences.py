"""What two photos both show: found whatever their looks, and not where there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import evening, halves
from torch import Tensor

import pydpst
from pydpst.photos.resizing import resize
from pydpst.reading.correspondences import correspondences
from pydpst.transfer.matches import find_matches
from pydpst.transfer.read_look import agreeing

NAMES = ("city_day", "lake", "autumn_meadow")


@pytest.fixture(scope="module")
def photos(city_day: Path) -> list[Tensor]:
    return [resize(pydpst.load_image(city_day.with_name(f"{name}.jpg")), 512) for name in NAMES]


@pytest.mark.parametrize("scale", [1.0, 1.5, 0.7])
def test_the_same_things_are_found_at_any_scale(photos: list[Tensor], scale: float) -> None:
    for photo in photos:
        left, right = halves(photo, 0.6)
        style = evening(right)
        style = F.interpolate(style[None], scale_factor=scale, mode="bilinear", antialias=True)[0]
        found = correspondences(left, style)
        assert found is not None
        error = (found.wanted - evening(found.colors.T[..., None])[..., 0].T).abs()
        assert error.median() < 0.02
        # The left of the photo is not in its right.
        assert (found.places[:, 1] > 0.3 / 0.6 - 0.05).all()


def test_of_different_photos_nothing_is_the_same(photos: list[Tensor]) -> None:
    for content, style in [(0, 1), (1, 2), (2, 0)]:
        assert correspondences(photos[content], photos[style]) is None


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 5, 900), (3, 900, 4), (3, 64, 64)])
def test_photos_that_show_nothing_have_nothing_in_common(
    photos: list[Tensor], shape: tuple[int, ...]
) -> None:
    plain = torch.full(shape, 0.5)
    assert correspondences(plain, photos[0]) is None
    assert correspondences(photos[0], plain) is None
    assert correspondences(plain, plain) is None


def test_a_grade_follows_what_both_show_and_not_a_few_that_are_wrong(photos: list[Tensor]) -> None:
    left, right = halves(photos[0])
    look = torch.tensor([[0.7, 0.1, 0.0, 0.05], [0.0, 0.8, 0.1, 0.0], [0.1, 0.0, 0.9, 0.1]])

    def graded(image: Tensor) -> Tensor:
        return torch.einsum("ij,jhw->ihw", look[:, :3], image) + look[:, 3, None, None]

    found = correspondences(left, graded(right))
    assert found is not None
    found.wanted[::10] = torch.rand(len(found.wanted[::10]), 3)
    identity = torch.eye(3, 4).flatten().expand(8, -1)
    maps = agreeing(identity, left, found)
    result = pydpst.ops.grade_apply(maps[None, None], torch.ones_like(left[None, :1]), left[None])
    assert (result[0] - graded(left)).abs().mean() < 0.1 * (left - graded(left)).abs().mean()


def test_matches_count_where_regions_go_together(photos: list[Tensor]) -> None:
    left, right = halves(photos[0])
    planes = [torch.ones_like(x[:1]) for x in (left, right)]
    together = [torch.cat([x, 0 * x]) for x in planes]
    assert find_matches(left, evening(right), *planes) is not None
    assert find_matches(left, evening(right), *together) is not None
    assert find_matches(left, evening(right), together[0], together[1].flip(0)) is None


def test_a_shot_of_the_same_scene_is_matched(photos: list[Tensor]) -> None:
    left, right = halves(photos[0])
    truth = evening(left)
    untouched = (left - truth).abs().mean()
    for result in (
        pydpst.match(left, evening(right)).image,
        pydpst.stylize(left, evening(right), size=256).image,
    ):
        assert (result - truth).abs().mean() < 0.3 * untouched
