"""A grade as a model file: the same photo again, others of the scene, and what cannot be kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import Run

import pydpst
from pydpst.feedforward.grade_net import GradeNet, grade_net
from pydpst.feedforward.model_file import read_model, save_model


@pytest.fixture(scope="module")
def made(
    city_day: Path, city_night: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[torch.Tensor, Path]:
    result = pydpst.stylize(city_day, city_night, steps=4)
    path = tmp_path_factory.mktemp("grade") / "look.safetensors"
    save_model(grade_net(result), path, {})
    return result.image, path


def test_the_photo_itself_gets_its_result_again(
    made: tuple[torch.Tensor, Path], city_day: Path
) -> None:
    again = pydpst.apply_model(made[1], city_day)
    assert (again - made[0]).abs().mean() < 1.5 / 255


def test_a_darker_photo_of_the_scene_stays_darker(
    made: tuple[torch.Tensor, Path], city_day: Path
) -> None:
    day = pydpst.load_image(city_day)
    model = pydpst.load_model(made[1])
    assert pydpst.apply_model(model, 0.8 * day).mean() < pydpst.apply_model(model, day).mean()


def test_a_model_file_keeps_maps_and_regions(tmp_path: Path) -> None:
    network = GradeNet([["sky"], ["ground", "building"]])
    torch.nn.init.normal_(network.maps)
    save_model(network, tmp_path / "m.safetensors", {})
    read, _ = read_model(tmp_path / "m.safetensors")
    assert isinstance(read, GradeNet)
    assert read.parts == network.parts
    assert torch.equal(read.maps, network.maps)


def test_the_command_writes_one(run: Run, city_day: Path, city_night: Path, tmp_path: Path) -> None:
    model = tmp_path / "look.safetensors"
    options = ["--steps", "2", "--regions", "none", "--export-model", model]
    assert run("stylize", city_day, city_night, "-o", tmp_path / "r.png", *options)[0] == 0
    assert run("apply", model, city_day, "-o", tmp_path / "again.png")[0] == 0
    again, result = (pydpst.load_image(tmp_path / name) for name in ("again.png", "r.png"))
    assert (again - result).abs().max() <= 1.01 / 255


@pytest.mark.parametrize(
    "options", [["--regions", "clusters"], ["--method", "pixels"], ["--preserve-luminance"]]
)
def test_looks_that_cannot_be_kept_are_refused(
    run: Run, city_day: Path, city_night: Path, tmp_path: Path, options: list[str]
) -> None:
    outputs = ["-o", tmp_path / "r.png", "--export-model", tmp_path / "m.safetensors"]
    code, told = run("stylize", city_day, city_night, *outputs, *options)
    assert (code, told.count("\n")) == (2, 1)
    assert "leave --" in told
    assert not list(tmp_path.iterdir())
