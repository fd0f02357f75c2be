"""The look carried to the whole photo: nothing is lost, whatever the strips; and the plan."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import pydpst
from pydpst.metrics import edge_ssim, photorealism_residual
from pydpst.photos.resizing import resize
from pydpst.transfer import planning
from pydpst.transfer.full_size import Colours, enlarged, given_to_photo, recoloured
from pydpst.transfer.planning import parse_memory

QUICK = {"steps": 2, "regions": "none"}


@pytest.fixture(scope="module")
def photo(city_day: Path) -> Tensor:
    return resize(pydpst.load_image(city_day), 400)


@pytest.fixture(scope="module")
def night(city_night: Path) -> Tensor:
    return resize(pydpst.load_image(city_night), 128)


@pytest.fixture(scope="module")
def result(photo: Tensor, night: Tensor) -> pydpst.Result:
    return pydpst.stylize(photo, night, size=128, **QUICK)


def halves(image: Tensor) -> Tensor:
    """Masks of the left half and of the right."""
    masks = torch.zeros(2, *image.shape[-2:])
    masks[0, :, : image.shape[2] // 2] = 1
    masks[1] = 1 - masks[0]
    return masks


def test_the_result_is_the_whole_photo_in_the_small_ones_look(
    result: pydpst.Result, photo: Tensor
) -> None:
    assert result.image.shape == photo.shape
    assert result.working.shape == (3, 64, 128)
    assert (result.image - photo).abs().mean() > 0.1
    assert edge_ssim(resize(result.image, 128), result.working) > 0.95
    # Enlarged, the small result has none of the photo's detail.
    enlarged = torch.nn.functional.interpolate(result.working[None], photo.shape[1:])[0]
    residual = photorealism_residual(result.image, photo)
    assert residual < 0.05 * photorealism_residual(enlarged, photo)


def test_a_photo_of_the_working_size_is_not_carried(photo: Tensor, night: Tensor) -> None:
    small = resize(photo, 128)
    one = pydpst.stylize(small, night, size=128, **QUICK)
    other = pydpst.stylize(small, night, size=4000, **QUICK)
    assert torch.equal(one.image, one.working)
    assert torch.equal(one.image, other.image)


def test_what_did_not_change_keeps_every_bit(photo: Tensor, night: Tensor) -> None:
    small = resize(photo, 128)
    masks = halves(small)
    same = recoloured(small, small, photo.shape[1])
    assert torch.equal(given_to_photo(photo, small, same, masks, [1.0, 1.0]), photo)
    untouched = pydpst.stylize(photo, night, size=128, strength=0, **QUICK)
    assert torch.equal(untouched.image, photo)
    other = recoloured(small, small.flip(0), photo.shape[1])
    locked = given_to_photo(photo, small, other, masks, [0.0, 1.0])
    border = photo.shape[2] // 2
    assert torch.equal(locked[..., : border - 20], photo[..., : border - 20])
    assert not torch.isclose(locked[..., border + 20 :], photo[..., border + 20 :]).all(0).any()
    negative = recoloured(small, 1 - small, photo.shape[1])
    half = given_to_photo(photo, small, negative, masks, [0.5, 0.5])
    assert (half - 0.5).abs().mean() < 0.02


@pytest.mark.parametrize("recolour", [True, False])
def test_strips_give_the_bits_of_the_whole(photo: Tensor, recolour: bool) -> None:
    small = resize(photo, 128)
    colours: Colours = enlarged(small.flip(0), *photo.shape[1:])
    if recolour:
        colours = recoloured(small, small.flip(0), photo.shape[1])
    arguments = (photo, small, colours, halves(small), [0.25, 1.0])
    whole = given_to_photo(*arguments, preserve_luminance=True)
    assert torch.equal(given_to_photo(*arguments, preserve_luminance=True, rows=7), whole)
    luma = [
        torch.einsum("c,chw->hw", torch.tensor([0.299, 0.587, 0.114]), x) for x in (whole, photo)
    ]
    torch.testing.assert_close(*luma, atol=1e-5, rtol=0)


def test_a_painting_is_enlarged(photo: Tensor, night: Tensor) -> None:
    options = {"photorealism_weight": 0, "init": "content", "smooth": False, **QUICK}
    options["method"] = "pixels"
    painting = pydpst.stylize(photo, night, size=64, **options)
    assert painting.image.shape == photo.shape
    back = resize(painting.image, 64)
    assert (back - painting.working).abs().mean() < 0.03
    assert (back - resize(photo, 64)).abs().mean() < 0.03
    assert edge_ssim(painting.image, photo) < 0.6  # the photo's own detail is not in it


def test_the_plan(tmp_path: Path, city_day: Path, photo: Tensor, night: Tensor) -> None:
    plan = pydpst.plan(city_day, night)
    assert (plan.width, plan.height, plan.size, plan.strips) == (720, 360, 1024, 0)
    assert "720×360 pixels: about " in str(plan)
    large = torch.empty(3, 4000, 6000, dtype=torch.uint8)
    plan = pydpst.plan(large, night, steps=10)
    assert plan.strips == math.ceil(4000 / (2**20 // 6000))
    assert plan.seconds < pydpst.plan(large, night, steps=1000).seconds
    assert f"at 1024×683, carried over in {plan.strips} strips: about " in str(plan)
    planned: list[pydpst.Plan] = []
    pydpst.stylize(photo, night, size=64, planned=planned.append, **QUICK)
    assert [plan.size for plan in planned] == [64]


def test_memory_chooses_the_working_size(night: Tensor) -> None:
    large = torch.empty(3, 4000, 6000, dtype=torch.uint8)
    free = pydpst.plan(large, night, size=1024, method="pixels")
    less = pydpst.plan(large, night, max_memory=free.memory - 300_000_000, method="pixels")
    assert 256 <= less.size < 1024
    assert less.memory <= free.memory - 300_000_000
    with pytest.raises(ValueError, match=r"max_memory is 300MB, but this photo needs .* GB; give"):
        pydpst.plan(large, night, max_memory="300MB")
    with pytest.raises(ValueError, match=r"needs .* GB; give more, or a smaller size"):
        pydpst.stylize(
            large, night, size=1024, max_memory=free.memory - 300_000_000, method="pixels"
        )


def test_memory_is_read_as_it_is_written() -> None:
    sizes = {"4GB": 4e9, "4 GiB": 2**32, "1.5g": 1.5e9, "500 MB": 5e8, "7": 7, "2kb": 2000}
    assert {text: parse_memory(text) for text in sizes} == sizes
    assert parse_memory(123) == 123
    for wrong in ("much", "4 GHz", "-1GB", "", 0, -5, 1.5):
        with pytest.raises(ValueError, match=r"max_memory is .*; it must be bytes, or such as 4GB"):
            parse_memory(wrong)  # type: ignore[arg-type]


def test_both_photos_together_must_fit(night: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = torch.empty(3, 13000, 13000, dtype=torch.uint8)
    monkeypatch.setattr(planning, "_meminfo", lambda name: 0)
    monkeypatch.setattr(planning, "_free_memory", lambda: 7.9e9)
    planning.check_can_be_read(huge, "the photo")
    assert pydpst.plan(huge, night).size >= 256
    assert pydpst.plan(night, huge).size == 1024, "a smaller one would need as much"
    with pytest.raises(
        ValueError, match=r"photos need \d+\.\d GB of memory, and there are \d+\.\d GB"
    ):
        pydpst.plan(huge, huge)
    monkeypatch.setattr(planning, "_free_memory", lambda: 5e9)
    with pytest.raises(ValueError, match=r"the photo needs \d+\.\d GB of memory, and there are"):
        planning.check_can_be_read(huge, "the photo")
