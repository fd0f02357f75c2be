"""Applying a model: in Python, and on the command line to files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import Run
from PIL import Image

import pydpst
from pydpst.feedforward.bundled import model_path, styles
from pydpst.feedforward.model_file import save_model
from pydpst.feedforward.networks import BilateralGridNet
from pydpst.metrics import edge_ssim
from pydpst.photos.resizing import resize


@pytest.fixture
def model(tmp_path: Path, city_night: Path) -> Path:
    network = BilateralGridNet()
    network.set_style(pydpst.load_image(city_night))
    save_model(network, tmp_path / "model.safetensors", {"license": "none"})
    return tmp_path / "model.safetensors"


def test_strength_mixes(model: Path, small_photo: Path) -> None:
    photo = pydpst.load_image(small_photo)
    network = pydpst.load_model(model)
    full = pydpst.apply_model(network, small_photo)
    assert full.shape == photo.shape
    assert (full - photo).abs().mean() > 0.02
    torch.testing.assert_close(pydpst.apply_model(network, photo, strength=0), photo)
    half = pydpst.apply_model(model, photo, strength=0.5)
    inside = (full > 0) & (full < 1)
    torch.testing.assert_close(half[inside], ((photo + full) / 2)[inside])
    with pytest.raises(ValueError, match="strength is 3; it must be a number from 0 to 2"):
        pydpst.apply_model(network, photo, strength=3)


def test_the_photo_given_is_not_changed(model: Path) -> None:
    photo = torch.rand(3, 40, 50)
    before = photo.clone()
    pydpst.apply_model(model, photo, strength=0.5)
    assert torch.equal(photo, before)


def test_every_size_works(model: Path) -> None:
    network = pydpst.load_model(model)
    for height, width in [(16, 16), (17, 301), (700, 16)]:
        assert pydpst.apply_model(network, torch.rand(3, height, width)).shape == (3, height, width)


def test_a_file_and_a_folder(run: Run, model: Path, small_photo: Path, tmp_path: Path) -> None:
    assert run("apply", model, small_photo, "-o", tmp_path / "one.jpg")[0] == 0
    with Image.open(tmp_path / "one.jpg") as picture:
        assert picture.size == (64, 32)
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    with Image.open(small_photo) as photo:
        for name in ("a.jpg", "b.bmp", "deeper/a.png"):
            photo.save(folder / name)
    code, err = run("apply", model, folder, "-o", tmp_path / "out")
    assert code == 0
    assert "3 of 3 photos" in err
    written = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")}
    assert written == {"a.jpg", "b.png", "deeper/a.png", "recipe.json"}


def test_a_broken_photo_does_not_stop_the_others(
    run: Run, model: Path, small_photo: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    gone = tmp_path / "gone.jpg"
    code, err = run("apply", model, broken, small_photo, gone, "-o", tmp_path / "out")
    assert code == 1
    assert "1 of 3 photos" in err
    assert "broken.jpg" in err
    assert "gone.jpg" in err
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == [small_photo.name, "recipe.json"]


def test_outputs_are_checked_first(
    run: Run, model: Path, small_photo: Path, tmp_path: Path
) -> None:
    for arguments, sentence in [
        ((small_photo, "-o", tmp_path), "is also an input"),
        ((small_photo, small_photo, "-o", tmp_path / "out"), "would both become"),
        ((small_photo, "-o", tmp_path / "out.gif"), "must end in one of"),
        ((small_photo, small_photo, "-o", model), "must be a folder"),
        ((small_photo, "-o", tmp_path / "out.png", "--strength", "9"), "strength is 9.0"),
    ]:
        code, err = run("apply", model, *arguments)
        assert code == 2
        assert sentence in err
        assert err.count("\n") == 1
    assert run("apply", "nightfall", small_photo, "-o", tmp_path / "x.png")[0] == 2


@pytest.mark.parametrize("style", sorted(styles()))
def test_bundled_styles_are_small_attributed_and_gentle(style: str, city_day: Path) -> None:
    assert model_path(style).stat().st_size <= 2e6
    assert "Style photo: " in styles()[style]
    photo = resize(pydpst.load_image(city_day), 256)
    result = pydpst.apply_model(style, photo)
    assert (result - photo).abs().mean() > 0.02
    assert edge_ssim(result, photo) > 0.8


def test_styles_are_listed(run: Run) -> None:
    assert run("styles")[0] == 0
