"""`stylize` end to end, on real photos made small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pydpst
from pydpst.metrics import (
    Comparison,
    color_distances,
    edge_ssim,
    flat_gain,
    photorealism_residual,
    style_distances,
)
from pydpst.photos.resizing import resize
from pydpst.transfer.pair import find_regions
from pydpst.transfer.planning import level_sizes, level_steps
from pydpst.transfer.stylize import Progress


@pytest.fixture(scope="module")
def day(city_day: Path) -> torch.Tensor:
    return resize(pydpst.load_image(city_day), 160)


@pytest.fixture(scope="module")
def night(city_night: Path) -> torch.Tensor:
    return resize(pydpst.load_image(city_night), 160)


@pytest.fixture(scope="module")
def result(day: torch.Tensor, night: torch.Tensor) -> pydpst.Result:
    return pydpst.stylize(day, night)


@pytest.fixture(scope="module")
def pixels(day: torch.Tensor, night: torch.Tensor) -> pydpst.Result:
    return pydpst.stylize(day, night, method="pixels", steps=30)


def test_a_grade_has_the_colours_and_all_that_the_photo_shows(
    result: pydpst.Result, day: torch.Tensor, night: torch.Tensor
) -> None:
    assert result.image.shape == day.shape
    assert result.image.dtype == torch.float32
    assert result.image.min() >= 0
    assert result.image.max() <= 1
    comparison = Comparison(result.image, day, night)
    assert style_distances(comparison).total < 0.85
    assert color_distances(comparison).total < 0.4
    assert edge_ssim(result.image, day) > 0.8
    assert flat_gain(result.image, day) < 1.5
    assert result.grade is not None
    assert len(result.grade.maps) == result.regions.shared


def test_the_same_photo_comes_back(day: torch.Tensor) -> None:
    for options in ({}, {"regions": "none"}):
        result = pydpst.stylize(day, day, **options)
        assert (result.image - day).abs().max() <= 1 / 255


def test_pixels_are_nearer_to_the_style_and_still_the_photo(
    pixels: pydpst.Result, result: pydpst.Result, day: torch.Tensor, night: torch.Tensor
) -> None:
    masks = result.regions.hard_masks()
    ours, graded = (
        style_distances(Comparison(of.image, day, night, *masks)).total for of in (pixels, result)
    )
    assert ours < graded
    assert edge_ssim(pixels.image, day) > edge_ssim(result.image, day) - 0.05
    assert photorealism_residual(pixels.image, day) < 5e-4
    assert pixels.grade is None


def test_pixels_from_a_linear_transfer_reach_the_style(
    day: torch.Tensor, night: torch.Tensor
) -> None:
    options = {"method": "pixels", "init": "color", "photorealism_weight": 225, "steps": 30}
    result = pydpst.stylize(day, night, **options)
    assert result.image.shape == day.shape
    assert result.image.dtype == torch.float32
    assert result.image.min() >= 0
    assert result.image.max() <= 1
    assert style_distances(Comparison(result.image, day, night)).total < 0.6
    assert edge_ssim(result.image, day) > 0.6
    assert photorealism_residual(result.image, day) < 5e-4


def test_the_losses_are_by_step_and_fall(pixels: pydpst.Result, result: pydpst.Result) -> None:
    assert len(pixels.losses) == 30
    for losses in (pixels.losses, result.losses):
        assert set(losses[0]) == {"content", "style", "photorealism", "total"}
        assert losses[-1]["total"] < losses[0]["total"]
    last = pixels.losses[-1]
    weighted = 0.2 * last["content"] + last["style"] + 3000 * last["photorealism"]
    assert last["total"] == pytest.approx(weighted, rel=1e-4)


def test_photorealism_is_what_keeps_it_a_photo(
    pixels: pydpst.Result, day: torch.Tensor, night: torch.Tensor
) -> None:
    options = {"method": "pixels", "steps": 30, "photorealism_weight": 0}
    painting = pydpst.stylize(day, night, **options).image
    ours = photorealism_residual(pixels.image, day)
    assert photorealism_residual(painting, day) > 5 * ours


def test_photorealism_spans_from_recolouring_to_painting(
    day: torch.Tensor, night: torch.Tensor
) -> None:
    """A large weight leaves hardly anything that is no local recolouring."""
    day, night = resize(day, 96), resize(night, 96)
    options = {"method": "pixels", "steps": 30, "regions": "none", "smooth": False}
    strict = pydpst.stylize(day, night, photorealism_weight=30000, **options).image
    loose = pydpst.stylize(day, night, photorealism_weight=3, **options).image
    residuals = [photorealism_residual(image, day, eps=1e-4) for image in (strict, loose)]
    assert residuals[0] < 0.05 * residuals[1]


def test_plain_style_transfer_gets_from_noise_to_the_style(
    day: torch.Tensor, night: torch.Tensor
) -> None:
    result = pydpst.stylize(
        day,
        night,
        method="pixels",
        steps=60,
        photorealism_weight=0,
        init="noise",
        regions="none",
    )
    assert style_distances(Comparison(result.image, day, night)).total < 0.5
    assert result.losses[-1]["content"] < 1


def test_regions_found_before_are_taken_as_they_are(city_day: Path) -> None:
    lake, sunset = (
        resize(pydpst.load_image(city_day.with_name(f"{name}.jpg")), 160)
        for name in ("lake", "hilltop_sunset")
    )
    found = find_regions(lake, sunset)
    assert found.shared > 1
    again = pydpst.stylize(lake, sunset, steps=3, regions=found)
    assert again.regions is found
    assert torch.equal(again.image, pydpst.stylize(lake, sunset, steps=3).image)


def test_masks_make_regions(day: torch.Tensor, night: torch.Tensor) -> None:
    """The left half takes a red photo's colour, the right half a blue one's."""
    halves = np.zeros(day.shape[-2:], dtype=np.int64)
    halves[:, halves.shape[1] // 2 :] = 1
    style = 0.2 * night
    style[0, :, : style.shape[2] // 2] += 0.7
    style[2, :, style.shape[2] // 2 :] += 0.7
    image = pydpst.stylize(day, style, content_mask=halves, style_mask=halves, steps=2).image
    left, right = image.tensor_split(2, dim=2)
    assert left[0].mean() > 2 * left[2].mean()
    assert right[2].mean() > 2 * right[0].mean()


def test_every_kind_of_source_gives_the_same(
    tmp_path: Path, day: torch.Tensor, night: torch.Tensor
) -> None:
    bytes_ = (day * 255).round().to(torch.uint8)
    array = bytes_.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array)
    picture.save(tmp_path / "day.png")
    want = pydpst.stylize(bytes_, night, steps=1).image
    for source in (array, picture, tmp_path / "day.png", str(tmp_path / "day.png")):
        torch.testing.assert_close(pydpst.stylize(source, night, steps=1).image, want)


def test_runs_repeat_bit_for_bit(day: torch.Tensor, night: torch.Tensor) -> None:
    assert torch.equal(*(pydpst.stylize(day, night, steps=3).image for _ in range(2)))
    options = {"method": "pixels", "steps": 3, "init": "noise"}
    first, again, other = (pydpst.stylize(day, night, seed=s, **options).image for s in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_levels_go_from_coarse_to_fine() -> None:
    assert level_sizes(300) == [300]
    assert level_sizes(700) == [350, 700]
    assert level_sizes(1024) == [256, 512, 1024]
    for steps in (1, 2, 10, 99):
        assert sum(level_steps(steps, 3)) == steps
    assert level_steps(70, 3) == [40, 20, 10]


def test_a_callback_sees_the_image_grow_and_can_stop_it(city_day: Path, city_night: Path) -> None:
    seen: list[Progress] = []

    def stop(progress: Progress) -> None:
        seen.append(progress)
        assert progress.image().shape == (3, 256, 512)
        if progress.step == 3:
            raise KeyboardInterrupt

    result = pydpst.stylize(city_day, city_night, size=512, steps=40, callback=stop)
    assert [progress.step for progress in seen] == [1, 2, 3]
    assert {progress.steps for progress in seen} == {40}
    assert result.interrupted
    assert len(result.losses) == 3
    # All the photo's detail is there from the first step on.
    assert result.working.shape == (3, 256, 512)
    assert edge_ssim(result.working, resize(pydpst.load_image(city_day), 512)) > 0.7
    assert result.image.shape == (3, 360, 720)
    assert edge_ssim(result.image, pydpst.load_image(city_day)) > 0.7


def test_each_init_starts_where_it_says(day: torch.Tensor, night: torch.Tensor) -> None:
    options = {"method": "pixels", "steps": 1, "regions": "none", "smooth": False}
    content = pydpst.stylize(day, night, init="content", **options).image
    assert torch.equal(content, day)
    noise = pydpst.stylize(day, night, init="noise", **options).image
    assert abs(noise.std().item() - 12**-0.5) < 0.01
    color = pydpst.stylize(day, night, init="color", **options).image
    torch.testing.assert_close(color.mean((1, 2)), night.mean((1, 2)), atol=0.05, rtol=0)
    with pytest.raises(ValueError, match="init is 'photo'"):
        pydpst.stylize(day, night, init="photo")


def test_a_wrong_argument_is_named_before_any_work(day: torch.Tensor, night: torch.Tensor) -> None:
    for name in (
        "content_weight",
        "style_weight",
        "photorealism_weight",
        "tv_weight",
        "aesthetic_weight",
    ):
        with pytest.raises(ValueError, match=f"{name} is -1"):
            pydpst.stylize(day, night, **{name: -1.0})
    with pytest.raises(ValueError, match="steps is 0"):
        pydpst.stylize(day, night, steps=0)
    with pytest.raises(ValueError, match="content mask but no style mask"):
        pydpst.stylize(day, night, content_mask=np.zeros((80, 160), dtype=int))
    with pytest.raises(ValueError, match="weights are all 0"):
        pydpst.stylize(day, night, content_weight=0, style_weight=0, photorealism_weight=0)
