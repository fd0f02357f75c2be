"""The nearest bilateral grid: what it recovers, and applying it to other photos."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from conftest import Run

import pydpst
from pydpst.feedforward.export import export_fitted_cube
from pydpst.feedforward.grid import FittedGrid, fit_grid
from pydpst.feedforward.model_file import save_model
from pydpst.metrics import level_error
from pydpst.metrics.levels import verdict
from pydpst.photos.resizing import resize


def test_nothing_changed_is_the_identity(city_day: Path) -> None:
    photo = resize(pydpst.load_image(city_day), 96)
    fitted = fit_grid(photo, photo)
    torch.testing.assert_close(fitted.grid, FittedGrid().grid, rtol=0, atol=1e-3)


def test_a_grid_is_recovered_where_there_are_pixels(city_day: Path) -> None:
    photo = resize(pydpst.load_image(city_day), 256)
    known = FittedGrid(4, 4, 4)
    known.grid += 0.1 * torch.randn(known.grid.shape, generator=torch.Generator().manual_seed(0))
    after = known(photo[None])[0]
    fitted = fit_grid(photo, after, 4, 4, 4)
    assert level_error(fitted(photo[None])[0], after)[0] < 2
    assert level_error(photo, after)[0] > 10


def test_a_local_look_is_followed_and_carried_to_full_size(
    run: Run, city_day: Path, tmp_path: Path
) -> None:
    photo = pydpst.load_image(city_day)
    small = resize(photo, 256)
    fitted = fit_grid(small, pydpst.apply_model("night", small))
    save_model(fitted, tmp_path / "look.safetensors", {})
    assert run("apply", tmp_path / "look.safetensors", city_day, "-o", tmp_path / "a.png")[0] == 0
    wanted = pydpst.apply_model("night", photo)
    rms, percentile = level_error(pydpst.load_image(tmp_path / "a.png"), wanted)
    assert rms < 3
    assert percentile < 6


def test_it_can_become_a_look_up_table(run: Run, city_day: Path, tmp_path: Path) -> None:
    save_model(FittedGrid(), tmp_path / "look.safetensors", {})
    arguments = ("--cube", tmp_path / "a.cube", "--cube-size", "5")
    code, err = run("export", tmp_path / "look.safetensors", *arguments)
    assert code == 0
    assert "off the model by 0.0 of 255 levels" in err


def test_the_look_of_one_photo_is_refused_for_another(
    run: Run, city_day: Path, city_night: Path, tmp_path: Path
) -> None:
    small = resize(pydpst.load_image(city_day), 128)
    fitted = fit_grid(small, small**1.5)
    save_model(fitted, tmp_path / "look.safetensors", {})
    model = ("apply", tmp_path / "look.safetensors")
    code, said = run(*model, city_night, "-o", tmp_path / "a.png")
    assert code == 2
    assert "was fitted to one photo, and this one shows something else" in said
    assert not (tmp_path / "a.png").exists()
    with pytest.warns(UserWarning, match="another of the scene; look for stains"):
        fitted((small * 0.85)[None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(pydpst.load_image(city_day)[None])


def test_a_table_that_cannot_have_the_look_is_not_written(
    run: Run, city_day: Path, city_night: Path, tmp_path: Path
) -> None:
    # Above brighter, below darker: one table has neither.
    before = torch.full((3, 32, 32), 0.5)
    after = torch.cat([torch.ones(3, 16, 32), torch.zeros(3, 16, 32)], 1)
    with pytest.raises(ValueError, match=r"127\.5 of 255 levels off \(RMS\), which is of no use"):
        export_fitted_cube(before, after, tmp_path / "look.cube")
    assert not (tmp_path / "look.cube").exists()
    assert verdict(16.9) == "; that is another look, and such a table of no use"
    assert verdict(5) == "; that is seen"
    assert verdict(1) == ""


def test_a_refused_table_does_not_lose_the_result(
    run: Run, city_day: Path, city_night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pydpst.metrics.levels._USELESS", 0.0)
    out, cube, grid = (tmp_path / name for name in ("a.png", "a.cube", "a.safetensors"))
    options = ("--size", 64, "--steps", 2, "--export-cube", cube, "--export-grid", grid)
    code, said = run("stylize", city_day, city_night, "-o", out, *options)
    assert code == 1
    assert "a.cube is not written, --export-look writes a table for each region" in said
    assert "for this photo alone, at any size" in said
    assert out.is_file()
    assert grid.is_file()
    assert not cube.exists()


def test_photos_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="both must be"):
        fit_grid(torch.zeros(3, 16, 16), torch.zeros(3, 16, 17))
    with pytest.raises(ValueError, match="each must be at least 1"):
        fit_grid(torch.zeros(3, 16, 16), torch.zeros(3, 16, 16), depth=0)
