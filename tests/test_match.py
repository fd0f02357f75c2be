"""Matching a photo to another in one pass: what it promises, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Run, evening, halves
from PIL import Image

import pydpst
from pydpst.commands.one_pass import of_photo
from pydpst.ops import reference
from pydpst.photos.resizing import resize
from pydpst.transfer.cube import apply_cube


@pytest.fixture(scope="module")
def pair(city_day: Path, city_night: Path) -> tuple[torch.Tensor, torch.Tensor]:
    return pydpst.load_image(city_day), pydpst.load_image(city_night)


def test_the_same_photo_stays_as_it_is(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    result = pydpst.match(pair[0], pair[0]).image
    assert (result - pair[0]).abs().mean() < 1.5 / 255


def test_a_known_look_is_read(city_day: Path) -> None:
    """The left of photos like their right in the light of an evening."""

    errors, untouched = 0.0, 0.0
    for name in ("city_day", "lake", "autumn_meadow"):
        photo = resize(pydpst.load_image(city_day.with_name(f"{name}.jpg")), 512)
        left, right = halves(photo)
        errors += float((pydpst.match(left, evening(right)).image - evening(left)).abs().mean())
        untouched += float((left - evening(left)).abs().mean())
    assert errors < 0.75 * untouched


def test_is_one_grade_of_the_photo(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    found = pydpst.match(*pair)
    ones = torch.ones(1, 1, *pair[0].shape[1:])
    want = reference.grade_apply(found.grade.maps[None], ones, pair[0][None])[0].clamp(0, 1)
    torch.testing.assert_close(found.image, want, rtol=0, atol=1e-5)


def test_regions_are_graded_apart(
    pair: tuple[torch.Tensor, torch.Tensor], city_day: Path, tmp_path: Path
) -> None:
    """A sky comes nearer to that of a night than by one look for the whole photo."""
    lake = pydpst.load_image(city_day.with_name("lake.jpg"))
    whole, found = pydpst.match(lake, pair[1]), pydpst.match(lake, pair[1], regions="auto")
    assert len(whole.grade.maps) == 1 < len(found.grade.maps)
    night, *skies = (
        image[:, : image.shape[1] // 12].mean((1, 2))
        for image in (pair[1], whole.image, found.image)
    )
    one, apart = ((sky - night).norm() for sky in skies)
    assert apart < 0.7 * one
    with pytest.raises(ValueError, match="match without regions"):
        found.save_cube(tmp_path / "look.cube")


def test_a_frame_of_a_clip_is_graded_apart_likewise(city_day: Path, city_night: Path) -> None:
    lake = pydpst.load_image(city_day.with_name("lake.jpg"))
    frames = of_photo([city_night], 1.0, torch.device("cpu"), "auto").frames()
    photo = pydpst.match(lake, city_night, regions="auto").image
    assert (frames(lake, 0.0) - photo).abs().mean() < 2 / 255


def test_regions_of_the_same_photo_and_of_black_change_nothing(
    pair: tuple[torch.Tensor, torch.Tensor],
) -> None:
    same = pydpst.match(pair[0], pair[0], regions="auto").image
    assert (same - pair[0]).abs().mean() < 1.5 / 255
    black = torch.zeros(3, 40, 60)
    assert pydpst.match(black, black, regions="auto").image.max() < 0.01


def test_strength_mixes(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    whole, half = (pydpst.match(*pair, strength=strength).image for strength in (1.0, 0.5))
    torch.testing.assert_close(half, (pair[0] + whole) / 2, rtol=0, atol=1e-5)
    assert torch.equal(pydpst.match(*pair, strength=0).image, pair[0])


@pytest.mark.parametrize(
    "style",
    [
        torch.zeros(3, 40, 60),
        torch.ones(3, 40, 60),
        torch.tensor([0.9, 0.1, 0.2]).view(3, 1, 1).expand(3, 40, 60),
        torch.rand(1, 40, 60, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1),
        torch.rand(3, 16, 900, generator=torch.Generator().manual_seed(0)),
    ],
    ids=["black", "white", "red", "grey", "panorama"],
)
def test_odd_styles_give_a_picture(
    pair: tuple[torch.Tensor, torch.Tensor], style: torch.Tensor
) -> None:
    for photo, like in ((pair[0], style), (style, pair[0])):
        result = pydpst.match(photo, like).image
        assert result.shape == photo.shape
        assert result.isfinite().all()
        assert result.min() >= 0
        assert result.max() <= 1


def test_a_tiny_style_gets_a_sentence(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="4×4 pixels; each side must have at least 16"):
        pydpst.match(pair[0], torch.rand(3, 4, 4))


def test_the_command_line_writes_picture_and_table(
    run: Run, city_day: Path, city_night: Path, tmp_path: Path
) -> None:
    result, cube = tmp_path / "r.png", tmp_path / "look.cube"
    code, err = run("apply", city_day, "--style", city_night, "-o", result, "--export-cube", cube)
    assert code == 0, err
    lines = [line.split() for line in cube.read_text().splitlines()[2:]]
    table = torch.tensor(np.array(lines, dtype=np.float32)).view(33, 33, 33, 3)
    photo, written = pydpst.load_image(city_day), pydpst.load_image(result)
    assert (apply_cube(table, photo) - written).abs().mean() < 1 / 255


def test_a_folder_is_matched_each_by_its_own_grade(
    run: Run, city_day: Path, city_night: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, path in (("a.png", city_day), ("b.png", city_night)):
        with Image.open(path) as image:
            image.resize((60, 40)).save(photos / name)
    assert run("apply", photos, "--style", city_night, "-o", tmp_path / "out")[0] == 0
    for name in ("a.png", "b.png"):
        alone = tmp_path / f"alone_{name}"
        assert run("apply", photos / name, "--style", city_night, "-o", alone)[0] == 0
        assert alone.read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_the_old_names_and_the_new() -> None:
    photo = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        pydpst.apply(photo, style=photo.flip(0)), pydpst.match(photo, photo.flip(0)).image
    )
    with pytest.raises(ValueError, match="a model and a photo, or a photo and style"):
        pydpst.apply(photo)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.png", "-o", "r.png"], "give MODEL and PHOTOS, or --style"),
        (["a.png", "--style", "gone.jpg", "-o", "r.png"], "gone.jpg"),
        (["a.png", "--style", "a.png", "-o", "r.png", "--strength", "1.5"], "from 0 to 1"),
        (["a.png", "--style", "b.png", "-o", "b.png"], "is also an input"),
        (["a.png", "--style", "b.png", "-o", "r.png", "--export-cube", "x.txt"], ".cube"),
        (["m", "a.png", "-o", "r.png", "--export-cube", "x.cube"], "goes with --style"),
        (["m", "a.png", "-o", "r.png", "--regions", "auto"], "goes with --style"),
        (["a.png", "--style", "b.png", "-o", "r.png", "--regions", "sky"], "auto or none"),
        (
            [
                "a.png",
                "--style",
                "b.png",
                "-o",
                "r.png",
                "--regions",
                "auto",
                "--export-cube",
                "x.cube",
            ],
            "leave --regions out",
        ),
    ],
)
def test_bad_input_gets_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 30), "teal").save(name)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    code, err = run("apply", *arguments)
    assert code == 2
    assert sentence in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
