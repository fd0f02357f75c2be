"""What is not finite is not trained on, kept, read or written; a step is taken whole or not."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from conftest import PHOTOS, Run, assert_same_weights, stop_after_two_steps
from PIL import Image
from safetensors.torch import load_file, save_file

import pydpst
from pydpst.feedforward.bundled import read_about
from pydpst.feedforward.export import export_cube
from pydpst.feedforward.model_file import read_model, save_model, write_tensors
from pydpst.feedforward.networks import BilateralGridNet
from pydpst.transfer.cube import write_cube

SMALL = {"size": 64, "batch": 1, "steps": 4, "precision": "float32", "held_out": 0}
WORDS = ("--size", 64, "--batch", 1, "--steps", 4, "--precision", "float32", "--held-out", 0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("lake", "city_day"):
        with Image.open(PHOTOS / f"{name}.jpg") as photo:
            photo.resize((128, 72)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def nan_model(tmp_path: Path) -> Path:
    """What an earlier version wrote after it had diverged."""
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    save_model(BilateralGridNet(), good, {})
    tensors = load_file(good)
    next(iter(tensors.values())).view(-1)[0] = torch.nan
    about = read_about(good, "model")
    save_file(tensors, bad, {"pydpst": json.dumps(about)})
    return bad


def test_a_training_that_diverges_at_once_writes_nothing(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model.safetensors"
    weights = ("--content-weight", "1e308")
    code, said = run("train", photos / "lake.png", photos, "-o", output, *WORDS, *weights)
    assert code == 1
    assert "error: the training diverged at step 1" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_a_training_that_diverges_leaves_the_last_good_state(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, style = tmp_path / "model.safetensors", photos / "lake.png"
    whole = pydpst.train(style, photos, output=output, **SMALL)
    output.unlink()
    calls: list[int] = []

    def clip(parameters: object, limit: float) -> torch.Tensor:
        calls.append(1)
        norm = torch.nn.utils.clip_grad.clip_grad_norm_(parameters, limit)  # type: ignore[arg-type]
        return norm * torch.nan if len(calls) == 3 else norm

    with monkeypatch.context() as patched:
        patched.setattr("pydpst.feedforward.training_run.nn.utils.clip_grad_norm_", clip)
        with pytest.raises(FloatingPointError, match="diverged at step 3"):
            pydpst.train(style, photos, output=output, **SMALL)
    assert not output.exists()
    assert read_about(tmp_path / "model.checkpoint", "checkpoint")["step"] == 2
    again = pydpst.train(style, photos, output=output, resume=True, **SMALL)
    assert_same_weights(whole, again)


@pytest.mark.parametrize("moment", ["within the optimiser", "before the count"])
def test_ctrl_c_at_any_moment_of_a_step_resumes_to_the_same(
    moment: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, style = tmp_path / "model.safetensors", photos / "lake.png"
    whole = pydpst.train(style, photos, **SMALL)
    take, calls = torch.optim.Adam.step, []

    def step(self: torch.optim.Adam, *arguments: object) -> None:
        calls.append(1)
        if len(calls) == 2 and moment == "within the optimiser":
            os.kill(os.getpid(), signal.SIGINT)
        take(self, *arguments)  # type: ignore[arg-type]
        if len(calls) == 2 and moment == "before the count":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.Adam, "step", step)
        with pytest.raises(KeyboardInterrupt):
            pydpst.train(style, photos, output=output, **SMALL)
    assert read_about(tmp_path / "model.checkpoint", "checkpoint")["step"] == 2
    again = pydpst.train(style, photos, output=output, resume=True, **SMALL)
    assert_same_weights(whole, again)


@pytest.mark.parametrize("stage", ["read", "first step"])
def test_ctrl_c_before_the_first_step_claims_no_checkpoint(
    stage: str, run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    where = "training.read_photos" if stage == "read" else "training_run.sample"
    monkeypatch.setattr(f"pydpst.feedforward.{where}", stop)
    output = tmp_path / "model.safetensors"
    code, said = run("train", photos / "lake.png", photos, "-o", output, *WORDS)
    assert code == 130
    assert said.endswith("interrupted before the first step; nothing was written\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def damaged(tensors: dict[str, torch.Tensor], about: dict[str, object], how: str) -> None:
    name = next(name for name in tensors if name.startswith("mean."))
    if how == "NaN":
        tensors[name].view(-1)[0] = torch.nan
    elif how == "a tensor is missing":
        del tensors[name]
    elif how == "a tensor has another shape":
        tensors[name] = torch.zeros(3)
    elif how == "a tensor is complex":
        tensors[name] = tensors[name].to(torch.complex64)
    elif how == "there is another tensor":
        tensors["more"] = torch.zeros(3)
    elif how == "no settings":
        about["training"] = None
    else:
        about["step"] = {"too many": 10**9, "text": "2", "none": None, "a fraction": 2.5}[how]


@pytest.mark.parametrize(
    "how",
    [
        "NaN",
        "a tensor is missing",
        "a tensor has another shape",
        "a tensor is complex",
        "there is another tensor",
        "no settings",
        "too many",
        "text",
        "none",
        "a fraction",
    ],
)
def test_damaged_checkpoints_are_one_sentence(
    how: str, run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, style = tmp_path / "model.safetensors", photos / "lake.png"
    checkpoint = tmp_path / "model.checkpoint"

    with pytest.raises(KeyboardInterrupt):
        pydpst.train(style, photos, output=output, callback=stop_after_two_steps, **SMALL)
    tensors, about = load_file(checkpoint), read_about(checkpoint, "checkpoint")
    damaged(tensors, about, how)
    save_file(tensors, checkpoint, {"pydpst": json.dumps(about)})
    code, said = run("train", style, photos, "-o", output, *WORDS, "--resume")
    assert code == 2
    assert said == f"error: the checkpoint {checkpoint} is damaged; start without --resume.\n"
    assert not output.exists()


def test_a_model_of_nan_is_refused(
    run: Run, nan_model: Path, small_photo: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="holds NaN or infinity; train it again"):
        read_model(nan_model)
    with pytest.raises(ValueError, match="holds NaN"):
        export_cube(nan_model, tmp_path / "look.cube")
    with pytest.raises(ValueError, match="holds NaN"):
        write_cube(torch.full((2, 2, 2, 3), torch.nan), tmp_path / "look.cube", "look")
    with pytest.raises(ValueError, match="holds NaN"):
        write_tensors(tmp_path / "x", {"x": torch.tensor(torch.inf)}, "model", {})
    code, said = run("apply", nan_model, small_photo, "-o", tmp_path / "out.png")
    assert code == 2
    assert said.count("\n") == 1
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".png"}
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    "about",
    [
        {"network": ["grid"], "settings": {}},
        {"network": "grid", "settings": []},
        {"network": "grid", "settings": {"depth": 10**12}},
        {"network": "grid", "settings": {"depth": 1e308}},
        {"network": "grid", "settings": {"depth": "8"}},
        {"network": "transformer", "settings": {"blocks": -1}},
        {"version": True},
        {"version": "1"},
    ],
    ids=str,
)
def test_models_with_wrong_settings_are_one_sentence(
    about: dict[str, object], run: Run, small_photo: Path, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    save_model(BilateralGridNet(), good, {})
    header = json.dumps(read_about(good, "model") | about)
    save_file(load_file(good), bad, {"pydpst": header})
    code, said = run("apply", bad, small_photo, "-o", tmp_path / "out.png")
    assert code == 2
    assert said.startswith("error: the model ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int32])
def test_models_of_other_numbers_are_one_sentence(
    dtype: torch.dtype, run: Run, small_photo: Path, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    save_model(BilateralGridNet(), good, {})
    weights = {name: value.to(dtype) for name, value in load_file(good).items()}
    save_file(weights, bad, {"pydpst": json.dumps(read_about(good, "model"))})
    code, said = run("apply", bad, small_photo, "-o", tmp_path / "out.png")
    assert code == 2
    assert said.startswith(f"error: the model {bad} does not fit its own settings")
    assert said.count("\n") == 1


def test_a_model_whose_header_is_nested_deep_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "deep.safetensors"
    save_file({"x": torch.zeros(1)}, path, {"pydpst": "[" * 100_000})
    with pytest.raises(ValueError, match=r"is no model of pydpst"):
        read_model(path)
