"""A grade as tables and masks for other programs, and a look fitted to two pictures."""

from __future__ import annotations

from pathlib import Path

import colour
import imagecodecs
import numpy as np
import pytest
import torch
from conftest import Run
from PIL import Image

import pydpst

QUICK = ["--size", "128", "--steps", "4"]
MASKS = Path(__file__).parent.parent / "examples" / "masks"


def rendered(folder: Path, photo: Path) -> torch.Tensor:
    """The look as such a program shows it: the photo, and masked changes by tables."""
    image = np.moveaxis(np.asarray(pydpst.load_image(photo)), 0, -1)
    result = image.copy()
    for path in sorted(folder.glob("*.cube")):
        mask = imagecodecs.png_decode(path.with_suffix(".png").read_bytes()) / 65535
        result += mask[..., None] * (colour.read_LUT(str(path)).apply(image) - image)
    return torch.from_numpy(result.clip(0, 1)).permute(2, 0, 1)


def test_regions_are_tables_and_masks(
    run: Run, tmp_path: Path, city_day: Path, city_night: Path
) -> None:
    out, look = tmp_path / "out.png", tmp_path / "look"
    masks = ["--content-mask", MASKS / "city_day.png", "--style-mask", MASKS / "city_night.png"]
    code, told = run(
        "stylize", city_day, city_night, *masks, "-o", out, "--export-look", look, *QUICK
    )
    assert code == 0, told
    names = {path.name for path in look.iterdir()}
    assert names == {"blue.cube", "blue.png", "green.cube", "green.png", "look.txt"}
    assert (rendered(look, city_day) - pydpst.load_image(out)).abs().mean() < 1 / 255
    assert "darktable" in (look / "look.txt").read_text()


def test_one_region_is_also_a_hald_clut(
    run: Run, tmp_path: Path, city_day: Path, city_night: Path
) -> None:
    out, look = tmp_path / "out.png", tmp_path / "look"
    whole = ["--regions", "none", "--strength", "0.5"]
    code, told = run(
        "stylize", city_day, city_night, *whole, "-o", out, "--export-look", look, *QUICK
    )
    assert code == 0, told
    assert (rendered(look, city_day) - pydpst.load_image(out)).abs().mean() < 1 / 255
    table = colour.read_LUT(str(look / "blue.cube"))
    hald = imagecodecs.png_decode((look / "blue.hald.png").read_bytes()).reshape(-1, 3) / 65535
    colours = np.random.default_rng(0).random((500, 3))
    red, green, blue = (colours * 63).round().astype(int).T
    wanted = table.apply(np.stack([red, green, blue], 1) / 63)
    assert np.abs(hald[red + 64 * green + 4096 * blue] - wanted).mean() < 1 / 255


def test_folders_of_others_are_refused(run: Run, tmp_path: Path, small_photo: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    arguments = ["stylize", small_photo, small_photo, "-o", tmp_path / "out.png", "--export-look"]
    code, told = run(*arguments, tmp_path / "mine")
    assert (code, told.count("\n")) == (2, 1)
    assert "holds other files" in told
    code, told = run(*arguments, tmp_path / "look", "--method", "pixels")
    assert (code, told.count("\n")) == (2, 1)
    assert "--export-look writes a grade" in told
    assert not (tmp_path / "out.png").exists()


def test_fit_finds_the_look_between_two_pictures(
    run: Run, tmp_path: Path, city_day: Path, city_night: Path
) -> None:
    before = pydpst.load_image(city_day)
    after = (before**1.4 * torch.tensor([1.0, 0.9, 0.7])[:, None, None]).clamp(0, 1)
    graded = after.clone()
    graded[:, 50:150, 50:150] = torch.tensor([1.0, 0.0, 1.0])[:, None, None]  # retouched
    pydpst.save_image(graded, tmp_path / "after.png")
    out = tmp_path / "look.cube"
    code, told = run("fit", city_day, tmp_path / "after.png", "-o", out)
    assert code == 0
    assert told.startswith(f"{out}: off AFTER by ")
    shown = colour.read_LUT(str(out)).apply(np.moveaxis(np.asarray(before), 0, -1))
    error = np.abs(np.moveaxis(shown, -1, 0) - np.asarray(after))
    assert np.median(error) < 1.5 / 255
    assert error.mean() < 3 / 255


@pytest.mark.parametrize("what", ["size", "over an input", "other aspect"])
def test_fit_refuses(run: Run, tmp_path: Path, small_photo: Path, what: str) -> None:
    tall = tmp_path / "tall.png"
    Image.open(small_photo).resize((32, 64)).save(tall)
    arguments = {
        "size": [small_photo, small_photo, "-o", tmp_path / "a.cube", "--size", "1"],
        "over an input": [small_photo, small_photo, "-o", small_photo],
        "other aspect": [small_photo, tall, "-o", tmp_path / "a.cube"],
    }[what]
    code, told = run("fit", *arguments)
    assert (code, told.count("\n")) == (2, 1)
    assert not (tmp_path / "a.cube").exists()
