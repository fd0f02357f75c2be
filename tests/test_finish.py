"""What is done last: smoothing, brightness, strength by region, locked regions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import pydpst
from pydpst.metrics import photorealism_residual
from pydpst.photos.resizing import resize
from pydpst.transfer.finish import blended, smoothed, strengths_of, with_luminance_of

LUMA = torch.tensor([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def day(city_day: Path) -> torch.Tensor:
    return resize(pydpst.load_image(city_day), 128)


@pytest.fixture(scope="module")
def night(city_night: Path) -> torch.Tensor:
    return resize(pydpst.load_image(city_night), 128)


def test_smoothing_takes_away_what_is_no_recolouring(day: torch.Tensor) -> None:
    recoloured = (0.6 * day.flip(0) + 0.2).clamp(0, 1)
    noise = 0.02 * torch.randn(day.shape, generator=torch.Generator().manual_seed(0))
    noisy = (recoloured + noise).clamp(0, 1)
    result = smoothed(day, noisy)
    assert (result - recoloured).abs().mean() < 0.5 * noise.abs().mean()
    assert photorealism_residual(result, day) < 0.2 * photorealism_residual(noisy, day)
    assert (smoothed(day, recoloured) - recoloured).abs().mean() < 0.01


def test_luminance_is_the_contents_and_colours_the_results(
    day: torch.Tensor, night: torch.Tensor
) -> None:
    result = with_luminance_of(day, night)
    luma = torch.einsum("c,chw->hw", LUMA, result)
    torch.testing.assert_close(luma, torch.einsum("c,chw->hw", LUMA, day), atol=1e-5, rtol=0)
    assert result.min() >= 0
    assert result.max() <= 1
    torch.testing.assert_close(with_luminance_of(night, night), night, atol=1e-5, rtol=0)
    chroma, wanted = result - luma, night - torch.einsum("c,chw->hw", LUMA, night)
    assert torch.nn.functional.cosine_similarity(chroma, wanted, dim=0).median() > 0.99


def test_strength_mixes_by_region_and_0_keeps_every_bit(day: torch.Tensor) -> None:
    result = 1 - day
    masks = torch.zeros(2, *day.shape[1:])
    masks[0] = torch.linspace(1, 0, day.shape[2])
    masks[1] = 1 - masks[0]
    assert blended(day, result, masks, [1.0, 1.0]) is result
    half = blended(day, result, masks, [0.5, 0.5])
    torch.testing.assert_close(half, torch.full_like(day, 0.5))
    locked = blended(day, result, masks, [0.0, 1.0])
    left, right = day.shape[2] // 2, day.shape[2] - 1
    assert torch.equal(locked[..., :left], day[..., :left])
    torch.testing.assert_close(locked[..., right], result[..., right])
    steps = (locked - day).abs().mean((0, 1)).diff().abs()
    assert steps.max() < 0.1  # no seam


def test_strengths_are_by_name() -> None:
    names = ["blue", "green"]
    assert strengths_of(names, 0.5, ()) == [0.5, 0.5]
    assert strengths_of(names, {"green": 0.25}, ()) == [1.0, 0.25]
    assert strengths_of(names, 0.5, ["blue"]) == [0.0, 0.5]
    with pytest.raises(ValueError, match="no region 'red'; the content has blue, green"):
        strengths_of(names, {"red": 1.0}, ())
    with pytest.raises(ValueError, match="no region 'sky'"):
        strengths_of(names, 1.0, ["sky"])


def test_stylize_keeps_what_it_is_told_to(day: torch.Tensor, night: torch.Tensor) -> None:
    halves = torch.zeros(day.shape[-2:], dtype=torch.int64)
    halves[:, halves.shape[1] // 2 :] = 1
    alone = torch.where(halves == 1, 2, halves)
    alone[: len(alone) // 2] = 0
    options = {"steps": 2, "content_mask": alone, "style_mask": torch.zeros_like(halves)}
    with pytest.warns(UserWarning, match="2 is in the content mask only"):
        image = pydpst.stylize(day, night, lock=["2"], **options).image
    kept = alone == 2
    assert (image == day)[:, kept].float().mean() > 0.95
    assert (image - day)[:, ~kept].abs().mean() > 0.05
    plain = pydpst.stylize(day, night, steps=2, regions="none", smooth=False)
    half = pydpst.stylize(day, night, steps=2, regions="none", smooth=False, strength=0.5)
    torch.testing.assert_close(half.image, (day + plain.image) / 2)
    bright = pydpst.stylize(day, night, steps=2, regions="none", preserve_luminance=True).image
    luma = [torch.einsum("c,chw->hw", LUMA, image) for image in (bright, day)]
    torch.testing.assert_close(luma[0], luma[1], atol=1e-4, rtol=0)


def test_wrong_strengths_are_named_before_any_work(day: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"a strength is 1\.5; it must be from 0 to 1"):
        pydpst.stylize(day, day, strength=1.5)
    with pytest.raises(ValueError, match="a strength is -1"):
        pydpst.stylize(day, day, strength={"blue": -1})
    with pytest.raises(
        ValueError, match="regions is 'sky'; it must be one of auto, clusters, none"
    ):
        pydpst.stylize(day, day, regions="sky")
