"""Folders: every photo once, whatever interrupts it, and the same again from a recipe."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import Run
from PIL import Image

import pydpst

QUICK = ("--size", 32, "--steps", 2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three photos, one in a folder of its own, and a broken one."""
    folder = tmp_path / "photos"
    examples = Path(__file__).parents[1] / "examples" / "photos"
    for name, place in (("lake", "."), ("city_day", "."), ("pier_evening", "more")):
        (folder / place).mkdir(parents=True, exist_ok=True)
        with Image.open(examples / f"{name}.jpg") as photo:
            photo.resize((64, 32)).save(folder / place / f"{name}.png")
    (folder / "notes.jpg").write_text("no photo")
    return folder


@pytest.fixture
def style(tmp_path: Path, city_night: Path) -> Path:
    with Image.open(city_night) as photo:
        photo.resize((64, 32)).save(tmp_path / "style.png")
    return tmp_path / "style.png"


def test_a_folder_is_restyled_and_failures_are_listed(
    run: Run, photos: Path, style: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, said = run("stylize", photos, style, "-o", out, *QUICK)
    assert code == 1
    assert "out: 3 of 4 photos" in said
    assert len(re.findall(r"about \d+ s left for 4 photos", said)) == 1
    assert "notes.jpg is not an image" in said
    made = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert made == ["city_day.png", "lake.png", "more/pier_evening.png", "recipe.json"]
    first = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}

    code, said = run("stylize", photos, style, "-o", out, *QUICK)
    assert code == 1
    assert "0 of 4 photos, 3 were there" in said
    assert first == {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}

    code, said = run("stylize", photos, style, "-o", out, "--size", 32, "--steps", 3)
    assert code == 2
    assert "holds results of another look" in said


def test_a_recipe_repeats_a_run_exactly(
    run: Run, photos: Path, style: Path, tmp_path: Path
) -> None:
    recipe, content = tmp_path / "look.json", photos / "lake.png"
    options = ("--regions", "none", "--strength", 0.7, "--preserve-luminance", "--seed", 3)
    options = (*QUICK, *options, "--method", "pixels", "--init", "noise")
    run("stylize", content, style, "-o", tmp_path / "a.png", *options, "--save-recipe", recipe)
    code, _ = run("stylize", content, "--recipe", recipe, "-o", tmp_path / "b.png")
    assert code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    # What is given beside the recipe takes its place.
    run("stylize", content, "--recipe", recipe, "-o", tmp_path / "c.png", "--strength", 0)
    torch.testing.assert_close(
        pydpst.load_image(tmp_path / "c.png"), pydpst.load_image(content), rtol=0, atol=0
    )
    code, _ = run("stylize", photos, "--recipe", recipe, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "lake.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_a_look_is_exported_for_other_programs(
    run: Run, style: Path, city_day: Path, tmp_path: Path
) -> None:
    cube, grid = tmp_path / "look.cube", tmp_path / "look.safetensors"
    exports = ("--export-cube", cube, "--export-grid", grid)
    arguments = ("-o", tmp_path / "a.png", "--size", 128, "--steps", 4)
    code, said = run("stylize", city_day, style, *arguments, *exports)
    assert code == 0
    off_cube, off_grid = (
        float(line.split("by ")[1].split()[0]) for line in said.splitlines() if "off the" in line
    )
    assert off_grid < off_cube < 20
    assert cube.read_text().count("\n") > 33**3
    code, _ = run("apply", grid, city_day, "-o", tmp_path / "b.png")
    assert code == 0
    photo = pydpst.load_image(city_day)
    a, b = (pydpst.load_image(tmp_path / f"{name}.png") for name in "ab")
    assert (a - b).norm() < 0.2 * (a - photo).norm()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["photos/lake.png", "-o", "a.png"], "there is no style photo; give STYLE, or --recipe"),
        (["photos/lake.png", "style.png", "--recipe", "x.json", "-o", "a.png"], "leave style.png"),
        (["photos/lake.png", "--recipe", "x.json", "-o", "a.png"], "recipe x.json cannot be read"),
        (["photos", "style.png", "-o", "out", "--compare", "c.png"], "--compare goes with one"),
        (["photos", "style.png", "-o", "out", "--export-cube", "c.cube"], "--export-cube goes"),
        (["photos", "style.png", "-o", "out", "--steps", "-1"], "steps is -1"),
        (["photos", "style.png", "-o", "style.png"], "style.png must be a folder"),
        (["photos", "photos", "-o", "out"], "style image photos is a folder"),
        (["empty", "style.png", "-o", "out"], "the folder empty holds no photos"),
        (["photos/lake.png", "style.png", "-o", "a.png", "--export-cube", "a.txt"], ".cube"),
        (["photos/lake.png", "style.png", "-o", "a.png", "--save-recipe", "a.txt"], ".json"),
    ],
)
def test_bad_arguments_are_one_sentence(
    arguments: list[str],
    sentence: str,
    run: Run,
    photos: Path,
    style: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(photos.parent)
    Path("empty").mkdir()
    code, said = run("stylize", *arguments)
    assert code == 2
    assert sentence in said
    assert said.count("\n") == 1
    assert not Path("a.png").exists()


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import torch
import pydpst
from pydpst.commands.restyle import restyle_folder

photos, style, out = map(Path, sys.argv[1:])
torch.set_num_threads(1)
quick = {"steps": 2, "size": 32, "regions": "none"}
pydpst.stylize(style, style, **quick)  # loads the network, for all that are forked

def run():
    pid = os.fork()
    if pid == 0:
        try:
            restyle_folder(photos, style, out, None, quick)
        finally:
            os._exit(0)
    return pid

def made():
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.glob("*.png")}

random.seed(0)
seen, counts = {}, set()
for _ in range(10):
    pid = run()
    while len(list(out.glob("*.png"))) <= len(seen):
        time.sleep(0.001)
    time.sleep(random.random() * 0.05)
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "it ended before it was killed"
    now = made()
    assert seen.items() <= now.items(), "one was done twice"
    seen = now
    counts.add(len(seen))
assert len(counts) == 10
assert os.waitpid(run(), 0)[1] == 0
assert seen.items() <= made().items()
print(len(made()))
"""


def test_killed_ten_times_and_resumed_every_photo_is_whole_and_done_once(
    style: Path, city_day: Path, tmp_path: Path
) -> None:
    photos, out = tmp_path / "many", tmp_path / "out"
    photos.mkdir()
    with Image.open(city_day) as photo:
        for number in range(40):
            photo.crop((4 * number, 0, 4 * number + 64, 32)).save(photos / f"{number:02}.png")
    command = [sys.executable, "-c", KILLED, photos, style, out]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, check=True, env=environment, timeout=300, capture_output=True, text=True
    )
    assert done.stdout == "40\n"
    assert json.loads((out / "recipe.json").read_text())["options"]["steps"] == 2
    assert len(list(out.iterdir())) == 41
    for path in out.glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
            assert picture.size == (64, 32)
