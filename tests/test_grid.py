"""The nearest bilateral grid: what it recovers, and applying it to other photos."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import Run

import pydpst
from pydpst.feedforward.grid import FittedGrid, fit_grid
from pydpst.feedforward.model_file import save_model
from pydpst.metrics import level_error
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


def test_photos_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="both must be"):
        fit_grid(torch.zeros(3, 16, 16), torch.zeros(3, 16, 17))
    with pytest.raises(ValueError, match="each must be at least 1"):
        fit_grid(torch.zeros(3, 16, 16), torch.zeros(3, 16, 16), depth=0)
