"""Folder runs and trainings killed at random moments: begun again, they give the same bytes.

PYDPST_KILLS=100 pytest tests/test_kills.py    # so many kills of each, in place of one
"""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest
from conftest import PHOTOS
from forks import Forked
from PIL import Image

from pydpst.feedforward.bundled import styles

KILLS = int(os.environ.get("PYDPST_KILLS", "1"))
STYLIZE = ["stylize", "in", "in/a.png", "-o", "out", "--size", "32", "--steps", "2",
           "--regions", "none"]  # fmt: skip
TRAIN = ["train", "in/a.png", "in", "-o", "out/model.safetensors", "--size", "64", "--batch", "1",
         "--steps", "6", "--held-out", "0", "--checkpoint-steps", "1"]  # fmt: skip
UNIVERSAL = ["train", "--universal", "in", "-o", "out/model.safetensors", "--steps", "6",
             "--batch", "2", "--held-out", "0", "--checkpoint-steps", "1"]  # fmt: skip
COMMANDS = {
    "stylize": STYLIZE,
    "apply": ["apply", min(styles()), "in", "-o", "out"],
    "train": TRAIN,
    "universal": UNIVERSAL,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photos."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name, path in zip("abc", sorted(PHOTOS.glob("*.jpg")), strict=False):
        with Image.open(path) as photo:
            photo.resize((96, 64)).save(f"in/{name}.png")
    return tmp_path


def made() -> dict[str, bytes]:
    """The results; what a killed run left beside them is not one."""
    paths = [p for p in Path("out").iterdir() if not p.name.startswith(".")]
    return {p.name: p.read_bytes() for p in paths if p.suffix in (".png", ".safetensors")}


def started(arguments: list[str]) -> Forked:
    resumed = ["--resume"] if Path("out/model.checkpoint").exists() else []
    return Forked(*arguments, *resumed, cwd=Path.cwd())


def finished(arguments: list[str]) -> float:
    """Runs it to its end; how long that took."""
    Path("out").mkdir(exist_ok=True)
    start = time.monotonic()
    done = started(arguments).wait(300)
    assert done is not None
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    return time.monotonic() - start


@pytest.mark.parametrize("name", sorted(COMMANDS) if KILLS > 1 else ["stylize", "train"])
def test_killed_at_random_moments(name: str) -> None:
    arguments = COMMANDS[name]
    seconds = finished(arguments)
    whole = made()
    assert len(whole) == (1 if arguments[0] == "train" else 3)
    chance, kills = random.Random(name), 0
    shutil.rmtree("out")
    while kills < KILLS:
        Path("out").mkdir(exist_ok=True)
        run = started(arguments)
        done = run.wait(chance.uniform(0.3, 1) * seconds)
        if done is None:
            run.process.kill()
            run.wait()
            kills += 1
            # A broken result under its own name would be taken for one.
            assert {n: b for n, b in made().items() if whole[n] != b} == {}
            continue
        assert done.returncode == 0, done.stderr
        assert made() == whole
        shutil.rmtree("out")
    finished(arguments)
    assert made() == whole
