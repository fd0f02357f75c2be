"""Regions found without masks: shared by both photos, along their edges, and by a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PHOTOS, Run
from PIL import Image

import pydpst
from pydpst.photos.resizing import resize
from pydpst.regions.clusters import _paired, joint_regions
from pydpst.regions.labels import MaskPair, label_maps
from pydpst.regions.mask_colors import label_image


def photo(name: str, size: int = 320) -> torch.Tensor:
    return resize(pydpst.load_image(PHOTOS / f"{name}.jpg"), size)


@pytest.fixture(scope="module")
def cities() -> tuple[torch.Tensor, torch.Tensor]:
    return photo("city_day"), photo("city_night")


def test_sky_goes_with_sky(cities: tuple[torch.Tensor, torch.Tensor]) -> None:
    regions = joint_regions(*cities)
    assert regions.shared == len(regions.names) >= 2
    sky = regions.content[2, 160]
    for labels in (regions.content, regions.style):
        height = len(labels)
        assert (labels[: height // 12] == sky).float().mean() > 0.7
        assert (labels[-height // 4 :] == sky).float().mean() < 0.1


def test_borders_follow_the_photo(cities: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Where labels change, the photo does, far more than elsewhere."""
    regions = joint_regions(*cities)
    steps = cities[0].diff(dim=1).abs().sum(0)
    borders = regions.content.diff(dim=0) != 0
    assert borders.any()
    assert steps[borders].mean() > 2 * steps.mean()


def test_a_photo_and_itself_have_the_same_regions(
    cities: tuple[torch.Tensor, torch.Tensor],
) -> None:
    regions = joint_regions(cities[0], cities[0])
    assert torch.equal(regions.content, regions.style)
    again = joint_regions(cities[0], cities[0])
    assert torch.equal(regions.content, again.content)


def test_flat_and_tiny_photos_are_one_region() -> None:
    flat = torch.full((3, 40, 60), 0.5)
    assert joint_regions(flat, flat).names == ["blue"]
    tiny = torch.rand(3, 16, 300, generator=torch.Generator().manual_seed(0))
    regions = joint_regions(tiny, flat)
    assert regions.content.shape == (16, 300)
    assert regions.shared == len(regions.names)


def test_what_has_no_partner_joins_what_is_most_like_it() -> None:
    """Classes 7, 3 and 5; the second photo lacks 5, whose description is that of 3."""
    content, style = torch.full((16, 24), 7), torch.full((16, 24), 7)
    content[:, 8:] = 3
    content[:, 16:] = 5
    style[:, 12:] = 3
    grids = [torch.where(part[None] == 7, 1.0, 0.0).repeat(4, 1, 1) for part in (content, style)]
    labels, style_labels = _paired([content, style], grids)
    assert set(labels[:, :8].flatten().tolist()) != set(labels[:, 8:].flatten().tolist())
    assert (labels[:, 8:] == style_labels[0, 23]).all()
    assert (labels[:, :8] == style_labels[0, 0]).all()
    alone = _paired([torch.full((8, 8), 1), torch.full((8, 8), 2)], [torch.zeros(4, 2, 2)] * 2)
    assert all((part == 0).all() for part in alone)


def test_label_maps_can_be_passed_back(
    cities: tuple[torch.Tensor, torch.Tensor], tmp_path: Path, run: Run
) -> None:
    day, night = PHOTOS / "city_day.jpg", PHOTOS / "city_night.jpg"
    options = ("-o", tmp_path / "maps", "--size", 320, "--regions", "clusters")
    assert run("segment", day, night, *options)[0] == 0
    found = joint_regions(*cities)
    maps = tmp_path / "maps" / "content.png", tmp_path / "maps" / "style.png"
    back = label_maps(*cities, MaskPair(*maps))
    assert sorted(back.names) == sorted(found.names)
    for name in found.names:
        mine, theirs = found.names.index(name), back.names.index(name)
        assert torch.equal(found.content == mine, back.content == theirs)
    with Image.open(maps[0]) as image:
        want = (label_image(found.content, found.names) * 255).permute(1, 2, 0).numpy()
        assert np.array_equal(np.asarray(image), want.astype(np.uint8))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SegFormer of four classes with random weights."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        num_labels=4,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
    )
    folder = tmp_path_factory.mktemp("segformer")
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    transformers.SegformerImageProcessor(size={"height": 128, "width": 128}).save_pretrained(folder)
    return folder


def test_a_segmentation_network_gives_the_regions(
    network: Path, cities: tuple[torch.Tensor, torch.Tensor]
) -> None:
    from pydpst.regions.semantic import classes

    maps = classes(list(cities), str(network))
    assert [part.shape for part in maps] == [photo.shape[1:] for photo in cities]
    assert all(part.min() >= 0 and part.max() < 4 for part in maps)
    regions = joint_regions(*cities, str(network))
    assert 1 <= regions.shared <= 4
    assert regions.content.shape == cities[0].shape[1:]


def test_a_wrong_network_is_one_sentence(tmp_path: Path, run: Run, small_photo: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text("{}")
    out = tmp_path / "maps"
    options = ("-o", out, "--segmentation-model", tmp_path)
    code, message = run("segment", small_photo, small_photo, *options)
    assert code == 2
    assert "--segmentation-model" in message
    assert len(message.strip().splitlines()) == 1
    assert not out.exists()
