"""ONNX models: the same result in onnxruntime."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from conftest import Run

import pydpst
from pydpst.feedforward.model_file import save_model
from pydpst.feedforward.networks import BilateralGridNet, TransformerNet

pytest.importorskip("onnxscript")
runtime = pytest.importorskip("onnxruntime")


def test_onnxruntime_gives_the_same(
    run: Run, city_day: Path, city_night: Path, tmp_path: Path
) -> None:
    network = BilateralGridNet()
    network.set_style(pydpst.load_image(city_night))
    torch.nn.init.normal_(network.grid.weight, std=0.05)
    torch.nn.init.normal_(network.slopes, std=0.1)
    save_model(network, tmp_path / "model.safetensors", {})
    output = tmp_path / "model.onnx"
    assert run("export", tmp_path / "model.safetensors", "-o", output, "--strength", "0.7")[0] == 0
    session = runtime.InferenceSession(output)
    photo = pydpst.load_image(city_day)
    for one in (photo, photo[:, :301, :199], photo[:, :100, :77]):
        (have,) = session.run(None, {"photo": one[None].numpy()})
        want = pydpst.apply_model(network, one, strength=0.7)
        torch.testing.assert_close(torch.from_numpy(have[0]), want, rtol=0, atol=1e-3)


def test_what_cannot_be_exported_is_refused(run: Run, tmp_path: Path) -> None:
    save_model(TransformerNet(2), tmp_path / "model.safetensors", {})
    os.mkfifo(tmp_path / "fifo.onnx")
    for output, sentence in [
        ("a.onnx", "only models of the kind grid"),
        ("a.pb", "must end in"),
        ("fifo.onnx", "is no regular file"),
    ]:
        code, err = run("export", tmp_path / "model.safetensors", "-o", tmp_path / output)
        assert code == 2
        assert sentence in err
