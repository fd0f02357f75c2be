"""`pydpst train --universal`, and what `pydpst apply --style` does with its network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import PHOTOS, Run, stop_after_two_steps
from PIL import Image

import pydpst
from pydpst.feedforward.model_file import read_model, save_model
from pydpst.feedforward.networks import BilateralGridNet
from pydpst.reading.network import LookReader

STEPS, BATCH = 3, 3


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve parts of real photos, 96×72 pixels."""
    folder = tmp_path_factory.mktemp("photos")
    for number, name in enumerate(("beach_sunset", "city_day", "city_night", "lake")):
        with Image.open(PHOTOS / f"{name}.jpg") as photo:
            part = photo.width // 3
            for k in range(3):
                cut = photo.crop((k * part, 0, (k + 1) * part, part * 3 // 4))
                cut.convert("RGB").resize((96, 72)).save(folder / f"{number}{k}.png")
    return folder


@pytest.fixture(scope="module")
def network(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "looks.safetensors"
    pydpst.train_universal(photos, output=path, steps=STEPS, batch=BATCH, held_out=0)
    return path


def test_its_network_serves_apply(
    run: Run, network: Path, city_day: Path, city_night: Path, tmp_path: Path
) -> None:
    result, cube = tmp_path / "result.png", tmp_path / "look.cube"
    for more in ([], ["--export-cube", cube]):
        status, said = run("apply", network, city_day, "--style", city_night, "-o", result, *more)
        assert (status, cube.exists()) == (0, bool(more)), said
    reader, _ = read_model(network)
    own = pydpst.match(city_day, city_night, network=reader)
    torch.testing.assert_close(pydpst.load_image(result), own.image, rtol=0, atol=1 / 255 + 1e-6)
    bundled = pydpst.match(city_day, city_night).image
    assert (own.image - bundled).abs().mean() > 1 / 255
    both = pydpst.apply(network, city_day, style=city_night)
    assert torch.equal(both, own.image)


def test_interrupted_it_goes_on_to_the_same_weights(
    run: Run, photos: Path, network: Path, tmp_path: Path
) -> None:
    path, log = tmp_path / "looks.safetensors", tmp_path / "log"
    with pytest.raises(KeyboardInterrupt):
        pydpst.train_universal(
            photos,
            output=path,
            steps=STEPS,
            batch=BATCH,
            held_out=0,
            callback=stop_after_two_steps,
        )
    options = ["--steps", STEPS, "--held-out", 0, "--log", log, "--resume", "--device", "cpu"]
    command = ["train", "--universal", photos, "-o", path, *options]
    status, said = run(*command)
    assert status == 2
    assert "with other steps, seed, batch, photos or start" in said
    status, said = run(*command, "--batch", BATCH)
    assert status == 0, said
    assert path.read_bytes() == network.read_bytes()
    lines = (log / "losses.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [3]


def test_another_batch_gives_another_network(photos: Path, network: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    pydpst.train_universal(photos, output=other, steps=STEPS, batch=BATCH - 1, held_out=0)
    assert other.read_bytes() != network.read_bytes()


def test_photos_held_out_are_measured_and_shown(photos: Path, tmp_path: Path) -> None:
    told = []
    found = pydpst.train_universal(
        photos, steps=1, batch=BATCH, held_out=2, log=tmp_path, callback=lambda p: told.append(p)
    )
    assert isinstance(found, LookReader)
    weights = found.state_dict()["knot"]
    assert torch.equal(weights, weights.half().float())
    # The first weights change nothing yet, so the error is that of the untouched photos.
    (error,) = (p.metrics["error"] for p in told if p.stage == "validate")
    assert 0.8 < error < 1.2
    with Image.open(tmp_path / "step_000001" / "000.png") as picture:
        assert picture.width > 3 * picture.height


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--universal", "{photos}", "--style-weight", 2], "--style-weight does not go"),
        (["train", "--universal", "{photos}", "{photos}"], "--universal takes PHOTOS alone"),
        (["train", "{photos}"], "give STYLE and PHOTOS"),
        (["train", "--universal", "{photos}", "--steps", 0], "steps is 0; it must be"),
        (["train", "--universal", "{photos}", "--seed", -1], "seed is -1; it must be"),
        (["train", "--universal", "{photos}", "--batch", 1], "batch is 1; it must be"),
        (["train", "--universal", "{photos}", "--batch", 99], "give at least 99"),
        (["train", "--universal", "{photos}", "--device", "tpu"], "it must be cpu, cuda or cuda:N"),
        (["train", "--universal", "{photo}"], "give at least 8"),
        (["apply", "{network}", "{photo}"], "give that photo by --style"),
        (["apply", "{network}", "--style", "{photo}"], "give PHOTOS, too"),
        (["apply", "{other}", "{photo}", "--style", "{photo}"], "has one style of its own"),
        (["export", "{network}", "--cube", "x.cube"], "has a table for each pair"),
    ],
)
def test_what_does_not_fit_is_refused(
    run: Run,
    photos: Path,
    network: Path,
    small_photo: Path,
    tmp_path: Path,
    arguments: list[object],
    sentence: str,
) -> None:
    other, output = tmp_path / "other.safetensors", tmp_path / "out.safetensors"
    save_model(BilateralGridNet(), other, {})
    places = {"photos": photos, "network": network, "photo": small_photo, "other": other}
    filled = [str(argument).format(**places) for argument in arguments]
    if arguments[0] == "apply":
        output = tmp_path / "out.png"
    options = [] if arguments[0] == "export" else ["-o", output]
    status, said = run(*filled, *options)
    assert status == 2
    assert sentence in said
    assert not output.exists()
