"""Regions by what photos show: the head, the pairing, and names from end to end."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PHOTOS, Run
from PIL import Image
from safetensors import safe_open

import pydpst
from pydpst.losses.bundled import weights_file
from pydpst.photos.image import save_image
from pydpst.photos.resizing import resize
from pydpst.regions.labels import MaskPair, label_maps
from pydpst.regions.mask_colors import NAMED_COLORS, SCENE_NAMES, label_image
from pydpst.regions.masks import WHOLE_STYLE, Regions
from pydpst.regions.names_file import names_json, read_names
from pydpst.regions.pairing import NEAREST, Match, Seen, pair_groups, present
from pydpst.regions.saliency import salient
from pydpst.regions.scene import GROUPS, groups_along_edges, parse_scene, seen_size
from pydpst.regions.scene_regions import regions_again
from pydpst.regions.subject import plain_background
from pydpst.regions.undecided import undecided
from pydpst.transfer.linear import monge_kantorovich
from pydpst.transfer.look import Look
from pydpst.transfer.pair import find_regions, pair_up, read_photos


def photo(name: str, size: int = 320) -> torch.Tensor:
    return resize(pydpst.load_image(PHOTOS / f"{name}.jpg"), size)


def bands(*groups: str, certainty: float = 0.9, step: float = 0.3) -> Seen:
    """Horizontal bands of groups, each of its own brightness."""
    probabilities = torch.full((len(GROUPS), 24, 32), (1 - certainty) / (len(GROUPS) - 1))
    colors = torch.zeros(3, 24, 32)
    for index, name in enumerate(groups):
        rows = slice(24 * index // len(groups), 24 * (index + 1) // len(groups))
        probabilities[GROUPS.index(name), rows] = certainty
        colors[:, rows] = 0.1 + step * index
    return Seen(probabilities, colors)


def pairs(content: Seen, style: Seen) -> dict[str, set[str]]:
    return {match.name: set(match.style) for match in pair_groups(content, style)}


@pytest.fixture(scope="module")
def cities() -> tuple[torch.Tensor, torch.Tensor]:
    return photo("city_day"), photo("city_night")


def test_the_weights_say_what_they_are() -> None:
    assert weights_file("scene").stat().st_size + weights_file("sky").stat().st_size < 3 * 2**20
    with safe_open(weights_file("scene"), "pt") as file:
        assert file.metadata()["groups"].split() == list(GROUPS)


@pytest.mark.parametrize("shape", [(16, 16), (40, 900), (900, 40), (333, 500)])
def test_probabilities_of_any_photo(shape: tuple[int, int]) -> None:
    image = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    tall, wide = seen_size(*shape)
    assert tall % 16 == wide % 16 == 0
    found = parse_scene(image)
    assert found.groups.shape == (len(GROUPS), tall // 8, wide // 8)
    torch.testing.assert_close(found.groups.sum(0), torch.ones(found.groups.shape[1:]))
    assert found.sky.shape == (tall // 2, wide // 2)
    assert found.sky.min() >= 0
    assert found.sky.max() <= 1


def test_what_is_unsure_beside_an_edge_goes_with_its_colour() -> None:
    image = torch.full((3, 64, 128), 0.2)
    image[..., 64:] = 0.8
    logits = torch.zeros(len(GROUPS), 8, 16)
    logits[0, :, :8], logits[1, :, 8:] = 6.0, 6.0
    # One column beyond the edge is told like the other side, though not surely.
    logits[0, :, 8], logits[1, :, 8] = 1.5, 0.5
    found = groups_along_edges(logits, image)
    torch.testing.assert_close(found.sum(0), torch.ones(8, 16))
    assert (found[0, :, :8] > 0.9).all()
    assert (found[1, :, 8:] > 0.5).all()


def test_sky_is_seen_by_day_and_night_and_in_grey(
    cities: tuple[torch.Tensor, torch.Tensor],
) -> None:
    grey = cities[0].mean(0, keepdim=True).expand(3, -1, -1)
    for found in map(parse_scene, [*cities, grey]):
        labels = found.groups.argmax(0)
        height = len(labels)
        assert (labels[: height // 8] == 0).float().mean() > 0.8
        assert (labels[-height // 4 :] == 0).float().mean() < 0.1


def test_sky_goes_with_sky(cities: tuple[torch.Tensor, torch.Tensor]) -> None:
    regions = find_regions(*cities)
    assert "sky" in regions.names
    assert regions.shared == len(regions.names) >= 2
    sky = regions.names.index("sky")
    for labels in (regions.content, regions.style):
        height = len(labels)
        assert (labels[: height // 12] == sky).float().mean() > 0.8
        assert (labels[-height // 4 :] == sky).float().mean() < 0.1


def test_the_whole_counts_less_beside_a_scene_than_beside_clusters() -> None:
    shares = []
    for how in ("auto", "clusters"):
        photos = read_photos(photo("city_day"), photo("city_night"), None, 128, torch.device("cpu"))
        shares.append(pair_up(photos, Look(regions=how)).whole_share)
    assert 0 < shares[0] < shares[1]
    given = torch.zeros(3, 40, 60)
    given[:, 20:] = 1
    masks = MaskPair.of(given, given)
    photos = read_photos(given * 0.5, given * 0.8, masks, 60, torch.device("cpu"))
    assert pair_up(photos, Look()).whole_share == 0


def test_a_photo_and_itself_have_the_same_regions(
    cities: tuple[torch.Tensor, torch.Tensor],
) -> None:
    regions = find_regions(cities[0], cities[0])
    assert torch.equal(regions.content, regions.style)
    assert torch.equal(regions.content, find_regions(cities[0], cities[0]).content)


def test_flat_black_and_white_photos_are_one_region() -> None:
    for value in (0.0, 0.5, 1.0):
        flat = torch.full((3, 40, 60), value)
        regions = find_regions(flat, flat)
        assert regions.names == ["whole"]
        assert not regions.content.any()


def test_the_table_is_whole() -> None:
    assert set(NEAREST) == set(GROUPS)
    for name, near in NEAREST.items():
        assert set(near) <= set(GROUPS) - {name}
        assert len(set(near)) == len(near)
    assert [name for name in GROUPS if "sky" in NEAREST[name]] == ["water"]
    assert set(SCENE_NAMES) == {*GROUPS, "object", "background", "whole"}


def test_what_both_have_goes_together() -> None:
    both = bands("sky", "vegetation", "water")
    want = {name: {name} for name in ("sky", "vegetation", "water")}
    assert pairs(both, both) == want


def test_what_the_style_lacks_goes_to_the_nearest() -> None:
    found = pairs(bands("sky", "mountain"), bands("sky", "building"))
    assert found == {"sky": {"sky"}, "mountain": {"building"}}


def test_a_sky_without_a_sky_takes_the_whole() -> None:
    match = Match("whole", frozenset({"sky", "building"}), frozenset({"building"}), 1.0)
    assert pair_groups(bands("sky", "building"), bands("building")) == [match]


def test_the_styles_sky_is_for_skies_only() -> None:
    found = pairs(bands("building", "vegetation"), bands("sky", "building", "vegetation"))
    assert found == {"building": {"building"}, "vegetation": {"vegetation"}}


def test_uncertain_regions_are_merged() -> None:
    unsure = bands("sky", "vegetation", certainty=0.4)
    assert list(pairs(unsure, bands("sky", "vegetation"))) == ["whole"]


def test_a_region_of_which_a_part_is_uncertain_is_merged() -> None:
    sure = bands("sky", "ground", "building")
    doubtful = bands("sky", "ground", "building", certainty=0.95)
    assert set(pairs(sure, doubtful)) == {"sky", "ground", "building"}
    doubtful.probabilities[:, 19:] = 0.04 / (len(GROUPS) - 2)
    doubtful.probabilities[GROUPS.index("building"), 19:] = 0.56
    doubtful.probabilities[GROUPS.index("ground"), 19:] = 0.4
    assert sorted(map(sorted, pairs(sure, doubtful).values())) == [["building", "ground"], ["sky"]]


def test_there_is_no_border_without_an_edge() -> None:
    smooth = bands("sky", "vegetation", step=0.01)
    assert list(pairs(smooth, bands("sky", "vegetation"))) == ["whole"]


def test_what_cannot_be_mapped_is_merged() -> None:
    both = bands("sky", "vegetation")
    weak, strong = torch.eye(3, dtype=torch.float64), 9 * torch.eye(3, dtype=torch.float64)
    for part, names in ((weak, {"sky", "vegetation"}), (strong, {"whole"})):

        def linear(*given: torch.Tensor, part: torch.Tensor = part) -> tuple[torch.Tensor, ...]:
            whole = bool((given[2] == 1).all())
            return (weak if whole else part), torch.zeros(3, dtype=torch.float64)

        assert {match.name for match in pair_groups(both, both, linear)} == names


def test_what_would_swap_its_brightness_is_merged() -> None:
    content = bands("sky", "vegetation", step=0.5)
    style = bands("vegetation", "sky", step=0.5)
    assert len(pair_groups(content, style)) == 2
    assert len(pair_groups(content, content, monge_kantorovich)) == 2
    assert len(pair_groups(content, style, monge_kantorovich)) == 1


def test_specks_join_what_their_cells_find_next() -> None:
    speck = bands("sky", "vegetation")
    speck.probabilities[:, 20, 20] = 0
    speck.probabilities[GROUPS.index("person"), 20, 20] = 1
    assert set(present(speck)) == {"sky", "vegetation"}


def test_an_object_is_apart_from_a_plain_background() -> None:
    photos = []
    for background, thing in (
        ((0.9, 0.9, 0.9), (0.7, 0.1, 0.1)),
        ((0.0, 0.0, 0.0), (0.2, 0.6, 0.3)),
    ):
        image = torch.tensor(background)[:, None, None].repeat(1, 120, 160)
        image[:, 40:80, 60:100] = torch.tensor(thing)[:, None, None]
        photos.append(image)
    regions = find_regions(*photos)
    assert regions.names == ["background", "object"]
    for labels in (regions.content, regions.style):
        assert (labels[44:76, 64:96] == 1).all()
        assert (labels[:30] == 0).all()
    assert plain_background(torch.rand(3, 24, 32)) is None
    assert plain_background(torch.zeros(3, 24, 32)) is None


def test_a_subject_is_apart_from_what_is_behind_it() -> None:
    flower = photo("dandelion")
    regions = find_regions(flower, flower.flip(2))
    assert regions.names == ["background", "object"]
    height = flower.shape[1]
    middle = regions.content[height // 2 - 20 : height // 2 + 20]
    assert 0.05 < float((regions.content == 1).float().mean()) < 0.3
    assert (middle == 1).any()
    for corner in (regions.content[:20, :20], regions.content[-20:, -20:]):
        assert (corner == 0).all()
    differing = regions.content != regions.style.flip(1)
    assert float(differing.float().mean()) < 0.02
    again = regions_again(flower, [match.content for match in regions.matches])
    # Soft masks follow the photo's edges, where labels are cut.
    assert float((again.argmax(0) == regions.content).float().mean()) > 0.98


def test_what_stands_out_in_a_scene_is_no_subject(
    cities: tuple[torch.Tensor, torch.Tensor],
) -> None:
    lake = photo("lake")
    assert (salient(lake) > 0.8).float().mean() > 0.1
    assert "object" not in find_regions(lake, cities[0]).names
    # Of two photos both must show no more than a subject.
    assert "object" not in find_regions(photo("dandelion"), lake).names


def test_nothing_stands_out_in_one_colour() -> None:
    for level in (0.0, 0.5, 1.0):
        flat = torch.full((3, 40, 60), level)
        assert salient(flat).isfinite().all()
        assert find_regions(flat, flat).names == ["whole"]


def test_label_maps_keep_their_names(
    cities: tuple[torch.Tensor, torch.Tensor], tmp_path: Path, run: Run
) -> None:
    day, night = PHOTOS / "city_day.jpg", PHOTOS / "city_night.jpg"
    assert run("segment", day, night, "-o", tmp_path / "maps", "--size", 320)[0] == 0
    maps = tmp_path / "maps" / "content.png", tmp_path / "maps" / "style.png"
    back = label_maps(*cities, MaskPair(*maps))
    assert "sky" in back.names
    assert set(back.names) <= set(SCENE_NAMES)
    names = tmp_path / "maps" / "regions.json"
    rows = {row["name"]: row for row in json.loads(names.read_text())["regions"]}
    assert set(rows) == set(back.names)
    assert rows["sky"]["style_shows"] == ["sky"]
    assert 0.6 < rows["sky"]["confidence"] <= 1
    names.write_text(names.read_text().replace('"name": "sky"', '"name": "heavens"'))
    assert "heavens" in label_maps(*cities, MaskPair(*maps)).names
    options = ("--content-mask", maps[0], "--style-mask", maps[1], "--size", 128, "--steps", 1)
    out = tmp_path / "out.png"
    assert run("stylize", day, night, *options, "--lock", "heavens", "-o", out)[0] == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"regions": [{"name": "sky"}]}',
        '{"regions": [{"name": "a", "color": "red"}]}',
        '{"regions": [{"name": "a", "color": "#000000"}, {"name": "a", "color": "#ffffff"}]}',
        '{"regions": [{"name": "a", "color": "#000000", "styled_after": "b"}]}',
    ],
)
def test_wrong_names_of_regions_are_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "regions.json").write_text(text)
    with pytest.raises(ValueError, match="the names of regions"):
        read_names(tmp_path)


def test_what_is_painted_gets_the_name_of_its_colour(
    cities: tuple[torch.Tensor, torch.Tensor],
) -> None:
    pytest.importorskip("gradio")
    from pydpst.page.painting import painted

    regions = find_regions(*cities)
    assert painted(regions, [None, None]) == (regions, [])
    layers = []
    for labels in (regions.content, regions.style):
        layer = np.zeros((*labels.shape, 4), np.uint8)
        layer[-20:] = (*NAMED_COLORS["ground"], 255)
        layers.append(layer)
    found, alone = painted(regions, layers)
    assert alone == []
    assert set(found.names) == {*regions.names, "ground"}
    assert (found.content[-20:] == found.names.index("ground")).all()
    with pytest.warns(UserWarning, match="in the content mask only"):
        _, alone = painted(regions, [layers[0], None])
    assert alone == ["ground"]
    first, second = regions.names[:2]
    matched = regions.rematched({first: None, second: first})
    assert painted(matched, layers)[0].partner_names() == {
        **matched.partner_names(),
        "ground": "ground",
    }
    layers[1][:] = (*NAMED_COLORS[second], 255)
    with pytest.warns(UserWarning, match="in the content mask only"):
        found, alone = painted(matched, [layers[0], layers[1]])
    assert first in alone
    assert found.partner_names() == {second: second}, "there is nothing else left"


def test_every_colour_is_read_as_its_name() -> None:
    names = list(NAMED_COLORS)
    labels = torch.arange(len(names)).repeat_interleave(8).expand(40, -1)
    picture = label_image(labels, names)
    read = label_maps(picture, picture, MaskPair(picture, picture))
    assert sorted(read.names) == sorted(names)


def test_a_region_can_be_locked_by_name(tmp_path: Path, run: Run) -> None:
    day, night, out = PHOTOS / "city_day.jpg", PHOTOS / "city_night.jpg", tmp_path / "out.png"
    options = ("--size", 256, "--steps", 4, "--lock", "sky", "-o", out)
    assert run("stylize", day, night, *options)[0] == 0
    with Image.open(out) as result, Image.open(day) as before:
        change = np.abs(np.asarray(result, int) - np.asarray(before.convert("RGB"), int))
    assert change[: len(change) // 12].mean() < 3
    assert change[len(change) // 2 :].mean() > 10


def test_pixels_without_an_edge_between_two_regions_belong_to_both() -> None:
    left = torch.linspace(0, 1, 24).gt(0.5).float().expand(16, -1) * 0.8 + 0.1
    shares = torch.stack([left, 1 - left])
    flat = torch.full((3, 128, 192), 0.5)
    edge = flat.clone()
    edge[..., 96:] = 0.9
    doubt = undecided(shares, flat)
    # About the border pixels are mixed, more so the nearer they are, and far from it they are not.
    row = doubt.sum(0)[53]
    assert row[80] > 0.9
    assert row[70] > 0.3
    assert row[:20].max() < 0.05
    assert undecided(shares, edge).sum(0).max() < 0.05


def test_masks_hold_what_is_undecided(cities: tuple[torch.Tensor, torch.Tensor]) -> None:
    regions = find_regions(*cities)
    assert regions.undecided is not None
    for photo, masks in zip(cities, regions.masks(*cities), strict=True):
        torch.testing.assert_close(masks.sum(0), torch.ones(photo.shape[-2:]))


def test_regions_can_be_merged(cities: tuple[torch.Tensor, torch.Tensor]) -> None:
    regions = find_regions(*cities)
    first, second, *rest = regions.names
    one = regions.merged([second, first])
    assert one.names == [second, *rest]
    assert one.shared == regions.shared - 1
    assert one.matches[0].content == regions.matches[0].content | regions.matches[1].content
    for photo, masks in zip(cities, one.masks(*cities), strict=True):
        assert len(masks) == one.shared
        torch.testing.assert_close(masks.sum(0), torch.ones(photo.shape[-2:]))
    with pytest.raises(ValueError, match="the regions to merge are sky"):
        regions.merged(["sky"])


def test_matches_can_be_changed(cities: tuple[torch.Tensor, torch.Tensor]) -> None:
    regions = find_regions(*cities)
    sky, other, *_ = sorted(regions.names, key=lambda name: name != "sky")
    mine, theirs = regions.masks(*cities)
    changed = regions.rematched({sky: other, other: None})
    same, after = changed.masks(*cities)
    assert torch.equal(same, mine)
    assert torch.equal(after[regions.names.index(sky)], theirs[regions.names.index(other)])
    assert (after[regions.names.index(other)] == 1).all()
    assert changed.rematched({sky: sky, other: other}).styled_after == ()
    for name, partner in (("moon", sky), (sky, "moon")):
        with pytest.raises(ValueError, match="cannot be styled after"):
            regions.rematched({name: partner})


def test_merging_keeps_changed_matches() -> None:
    labels = torch.tensor([[0, 1, 2, 3]])
    regions = Regions(labels, labels, ["a", "b", "c", "d"], 4)
    changed = regions.rematched({"a": "c", "b": None, "d": "b"})
    merged = changed.merged(["d", "b"])
    assert merged.names == ["a", "c", "d"]
    assert merged.partners == (1, 1, 2)
    assert changed.merged(["b", "c"]).partners == (1, WHOLE_STYLE, 1)


def test_changed_matches_are_kept_beside_label_maps(tmp_path: Path) -> None:
    labels = torch.arange(4).repeat_interleave(16)[None].repeat(32, 1)
    names = ["sky", "water", "ground", "person"]
    regions = Regions(labels, labels, names, 4)
    changed = regions.rematched({"sky": "water", "ground": None})
    for role in ("content", "style"):
        save_image(label_image(labels, names), tmp_path / f"{role}.png")
    written = tmp_path / "regions.json"
    written.write_text(names_json(changed))
    photo, maps = torch.zeros(3, 32, 64), MaskPair(tmp_path / "content.png", tmp_path / "style.png")
    back = label_maps(photo, photo, maps)
    assert back.partner_names() == {
        "sky": "water",
        "water": "water",
        "ground": None,
        "person": "person",
    }
    assert "styled_after" not in names_json(regions)
    dry = torch.where(labels == names.index("water"), 0, labels)
    save_image(label_image(dry, names), tmp_path / "style.png")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        back = label_maps(photo, photo, maps)
    assert any("sky cannot be styled after water" in str(told.message) for told in caught)
    assert back.partner_names() == {"sky": "sky", "ground": None, "person": "person"}


def test_merging_keeps_what_belongs_to_none_and_to_the_content_alone() -> None:
    content = torch.tensor([[0, 1, 2, 3]])
    style = torch.tensor([[0, 1, 2, -1]])
    merged = Regions(content, style, ["a", "b", "c", "d"], 3).merged(["c", "a"])
    assert merged.names == ["b", "c", "d"]
    assert merged.shared == 2
    assert merged.content.tolist() == [[1, 0, 1, 2]]
    assert merged.style.tolist() == [[1, 0, 1, -1]]
