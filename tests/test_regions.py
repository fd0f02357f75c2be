"""Label maps as people make them, soft masks, the guided filter and the colour transfer."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pydpst
from pydpst.matting.guided import carry_to_size, guided_filter, local_affine
from pydpst.photos.resizing import resize
from pydpst.regions.labels import MaskPair, label_maps
from pydpst.regions.masks import soft_masks
from pydpst.transfer.linear import monge_kantorovich, transfer_color

SKY, CITY, WATER = (0, 0, 255), (0, 255, 0), (255, 255, 0)


def mask(*colors: tuple[int, int, int], size: tuple[int, int] = (60, 40)) -> Image.Image:
    """Vertical bands of flat colour."""
    image = Image.new("RGB", size)
    for index, color in enumerate(colors):
        left, right = (size[0] * k // len(colors) for k in (index, index + 1))
        image.paste(color, (left, 0, right, size[1]))
    return image


def blank(width: int = 60, height: int = 40) -> torch.Tensor:
    return torch.zeros(3, height, width)


def test_the_papers_colours_are_named_and_matched() -> None:
    regions = label_maps(blank(), blank(), MaskPair(mask(SKY, CITY), mask(CITY, SKY)))
    assert sorted(regions.names) == ["blue", "green"]
    assert regions.content.shape == (40, 60)
    assert (regions.content[:, :30] == regions.style[:, 30:]).all()
    assert regions.content[0, 0] == regions.names.index("blue")


def test_antialiased_and_compressed_masks_keep_their_regions(tmp_path: Path) -> None:
    large = mask(SKY, CITY, (0, 0, 0), (255, 255, 255), size=(240, 160))
    large.resize((60, 40), Image.Resampling.LANCZOS).save(tmp_path / "mask.jpg", quality=80)
    regions = label_maps(blank(), blank(), MaskPair(tmp_path / "mask.jpg", large))
    assert sorted(regions.names) == ["black", "blue", "green", "white"]


def test_integers_are_labels() -> None:
    content = np.zeros((40, 60), dtype=np.uint8)
    content[:, 30:] = 1
    style = torch.from_numpy(1 - content)
    regions = label_maps(blank(), blank(), MaskPair(content, style))
    assert regions.names == ["0", "1"]
    assert regions.content.tolist() == content.tolist()
    assert regions.style.tolist() == (1 - content).tolist()


def numbers(*values: int, dtype: str = "uint8") -> Image.Image:
    """Vertical bands of numbers in one grey channel."""
    bands = np.repeat(np.array(values, dtype), 60 // len(values))
    return Image.fromarray(np.tile(bands, (40, 1)))


@pytest.mark.parametrize(
    ("content", "style", "names"),
    [
        (numbers(0, 1, 2), numbers(2, 1, 0), ["0", "1", "2"]),
        (numbers(0, 1, 2).convert("RGB"), numbers(1, 0, 2), ["0", "1", "2"]),
        (numbers(11, 12, dtype="uint16"), numbers(12, 11, dtype="uint16"), ["11", "12"]),
        (numbers(300, 1000, dtype="uint16"), numbers(1000, 300, dtype="int32"), ["1000", "300"]),
        (numbers(26001, 7, dtype="uint16"), numbers(7, 26001, dtype="uint16"), ["26001", "7"]),
        (numbers(0, 255), numbers(255, 0), ["black", "white"]),
        (numbers(0, 65535, dtype="uint16"), numbers(255, 0), ["black", "white"]),
        (mask((1, 0, 0), (2, 0, 0)), mask((2, 0, 0), (1, 0, 0)), ["#010000", "#020000"]),
    ],
)
def test_class_numbers_are_labels(
    content: Image.Image, style: Image.Image, names: list[str], tmp_path: Path
) -> None:
    content.save(tmp_path / "content.png")
    style.save(tmp_path / "style.tif")
    masks = MaskPair(tmp_path / "content.png", tmp_path / "style.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regions = label_maps(blank(), blank(), masks)
    assert sorted(regions.names) == names
    counts = [int((regions.content == label).sum()) for label in range(len(names))]
    assert counts == [40 * 60 // len(names)] * len(names)


@pytest.mark.parametrize(
    ("suffix", "options", "values"),
    [
        ("jpg", {"quality": 95}, (0, 1, 2)),
        ("webp", {"lossless": True}, (0, 1, 2)),
        ("webp", {"lossless": True}, (0, 10, 20, 90)),
        ("webp", {"lossless": True, "icc_profile": b"x" * 77}, (0, 10, 20, 90)),
    ],
)
def test_class_numbers_in_formats_that_may_be_lossy(
    suffix: str, options: dict[str, Any], values: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    numbers(*values).save(path, **options)
    regions = label_maps(blank(), blank(), MaskPair(path, path))
    assert sorted(regions.names) == [str(value) for value in values]


def test_jpeg_does_not_make_regions_of_noise(tmp_path: Path) -> None:
    edge = np.zeros((40, 60), np.uint8)
    edge[:, 29:] = 255  # in the middle of a block
    Image.fromarray(edge).save(tmp_path / "a.jpg", quality=90)
    Image.fromarray(edge).save(tmp_path / "a.tif", compression="jpeg", quality=90)
    for name in ("a.jpg", "a.tif"):
        regions = label_maps(blank(), blank(), MaskPair(tmp_path / name, tmp_path / name))
        assert sorted(regions.names) == ["black", "white"]


@pytest.mark.parametrize("tiny", ["content", "style", "both"])
def test_a_region_that_vanishes_at_the_working_size_is_left_out(tiny: str) -> None:
    masks = []
    for photo in ("content", "style"):
        labels = np.zeros((64, 96), dtype=np.int64)
        side = 1 if tiny in (photo, "both") else 30
        labels[31 : 31 + side, 41 : 41 + side] = 1
        masks.append(labels)
    with pytest.warns(UserWarning, match="region 1 is too small at the size") as caught:
        regions = label_maps(blank(96, 64), blank(96, 64), MaskPair(*masks), size=16)
    assert len(caught) == 1
    assert regions.names[: regions.shared] == ["0"]
    assert regions.style.max() == 0


def test_flat_colours_are_not_merged_in_silence() -> None:
    smooth = np.tile(np.repeat(np.arange(0, 240, 3, dtype=np.uint8), 3)[:240], (40, 1))
    wide = np.concatenate([np.zeros((40, 240)), np.full((40, 240), 2), smooth, smooth], 1)
    soft = Image.fromarray(wide.astype(np.uint8))
    with pytest.warns(UserWarning, match="colours too near to tell apart, such as #000000"):
        label_maps(blank(960, 40), blank(960, 40), MaskPair(soft, soft))


@pytest.mark.parametrize(("noise", "told"), [(8, False), (9, True)])
def test_noise_of_the_papers_maps_is_no_region(noise: int, told: bool) -> None:
    """Maps of the benchmark have areas of #010101, #fefefe, #0101fe and antialiased borders."""
    areas = [
        (0, 0, 0),
        (1, 1, 0),
        (255, 255, 255),
        (255 - noise, 253, 252),
        (0, 0, 255),
        (1, 1, 254),
    ]
    soft = np.linspace((0, 0, 255), (255, 255, 255), 100)[None].repeat(40, 0)
    colors = np.concatenate([*(np.full((40, 30, 3), area) for area in areas), soft], 1)
    mask = Image.fromarray(colors.astype(np.uint8))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        regions = label_maps(blank(280, 40), blank(280, 40), MaskPair(mask, mask))
    assert sorted(regions.names) == ["black", "blue", "white"]
    assert ["too near to tell apart" in str(warning.message) for warning in caught] == [True] * told


def test_a_region_of_one_photo_is_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="yellow is in the style mask only"):
        regions = label_maps(blank(), blank(), MaskPair(mask(SKY, CITY), mask(SKY, CITY, WATER)))
    assert regions.shared == len(regions.names) == 2
    assert (regions.style[:, 40:] == -1).all()
    with pytest.warns(UserWarning, match="yellow is in the content mask only"):
        regions = label_maps(blank(), blank(), MaskPair(mask(SKY, CITY, WATER), mask(SKY, CITY)))
    assert regions.shared == 2
    assert regions.names[2:] == ["yellow"]
    assert (regions.content[:, 40:] == 2).all()
    assert regions.style.max() == 1


def test_masks_of_another_size_are_resized_only_if_the_aspect_agrees() -> None:
    regions = label_maps(blank(), blank(), MaskPair(mask(SKY, size=(123, 82)), mask(SKY)))
    assert regions.content.shape == (40, 60)
    with pytest.raises(ValueError, match=r"80×40.*60×40"):
        label_maps(blank(), blank(), MaskPair(mask(SKY, size=(80, 40)), mask(SKY)))


def test_masks_must_share_a_region() -> None:
    with pytest.raises(ValueError, match=r"share no region.*blue.*yellow"):
        label_maps(blank(), blank(), MaskPair(mask(SKY), mask(WATER)))


def test_soft_masks_sum_to_one_and_follow_the_photo() -> None:
    photo = blank(280, 40)
    photo[:, :, 143:] = 1  # the photo's edge, three pixels from the mask's
    labels = torch.zeros(40, 280, dtype=torch.int64)
    labels[:, 140:] = 1
    soft = soft_masks(labels, photo, 2)
    torch.testing.assert_close(soft.sum(0), torch.ones(40, 280))
    assert soft.min() >= 0
    steps = soft[0, 20].diff().abs()
    assert steps.argmax() == 142
    assert steps[142] > 2 * steps[139]
    assert (soft_masks(torch.zeros_like(labels), photo, 1) == 1).all()


def test_an_affine_map_is_found_and_carried_to_a_larger_size(city_day: Path) -> None:
    photo = pydpst.load_image(city_day)
    transform = torch.tensor([[0.5, 0.1, 0.0], [0.0, 0.4, 0.2], [0.1, 0.0, 0.3]])
    small = resize(photo, 180)

    def recolored(image: torch.Tensor) -> torch.Tensor:
        return torch.einsum("dc,chw->dhw", transform, image) + 0.1

    maps = local_affine(small, recolored(small), 2, 1e-12)
    assert (guided_filter(small, recolored(small), 2, 1e-12) - recolored(small)).abs().max() < 1e-4
    assert maps.shape == (3, 4, *small.shape[-2:])
    assert (carry_to_size(small, recolored(small), photo) - recolored(photo)).abs().mean() < 0.01


def test_monge_kantorovich_gives_mean_and_covariance() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.tensor([[1.0, 0.2, 0.0], [0.5, 1.0, 0.3], [0.0, 0.4, 2.0]])
    source = mixing @ torch.randn(3, 5000, generator=generator)
    target = torch.randn(3, 4000, generator=generator) * torch.tensor([[1.0], [2.0], [3.0]]) + 5
    transform, offset = monge_kantorovich(source, target, torch.ones(5000), torch.ones(4000))
    result = transform @ source.double() + offset[:, None]
    torch.testing.assert_close(result.mean(1), target.double().mean(1))
    torch.testing.assert_close(result.cov(), target.double().cov(), rtol=0.02, atol=0.02)
    torch.testing.assert_close(transform, transform.T)  # the map that moves colours least


def test_transfer_is_region_by_region_and_leaves_the_rest() -> None:
    content, style = torch.rand(3, 20, 30), torch.zeros(3, 20, 30)
    style[0, :, :10] = 1.0
    masks = torch.zeros(1, 20, 30)
    masks[..., :10] = 1
    result = transfer_color(content, style, masks, masks)
    torch.testing.assert_close(result[..., 10:], content[..., 10:])
    torch.testing.assert_close(result[0, :, :10].mean(), torch.tensor(1.0), atol=0.02, rtol=0)
    assert result[1:, :, :10].max() < 0.1
