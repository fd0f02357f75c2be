"""Whatever option names it and whatever link leads there, no command writes over an input."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import PHOTOS, Run

from pydpst.feedforward.bundled import model_path, styles

EXAMPLES = PHOTOS.parent
# By command: what it reads, and the options that write. The values are the words of a command
# line that reads them all.
READS = {
    "stylize": {
        "a.png": "{}",
        "b.png": "{}",
        "a_mask.png": "--content-mask {}",
        "b_mask.png": "--style-mask {}",
    },
    "segment": {"a.png": "{}", "b.png": "{}"},
    "evaluate": {
        "a.png": "{}",
        "b.png": "{}",
        "result.png": "{}",
        "a_mask.png": "--content-mask {}",
        "b_mask.png": "--style-mask {}",
    },
    "train": {"b.png": "{}", "photos/c.png": "photos"},
    "apply": {"model.safetensors": "{}", "a.png": "{}"},
    "export": {"model.safetensors": "{}", "photos/c.png": "--photos photos"},
    "fit": {"a.png": "{}", "b.png": "{}"},
    "matte": {"a.png": "{}", "trimap.png": "{}", "b.png": "--background {}"},
}
# The others are given names of their own.
WRITES = {
    "stylize": {
        "-o": "out.png",
        "--compare": "compare.png",
        "--save-recipe": "look.json",
        "--export-cube": "look.cube",
        "--export-grid": "look.safetensors",
    },
    "segment": {"-o": "out"},
    "evaluate": {"--report": "report.html"},
    "train": {"-o": "new.safetensors"},
    "apply": {"-o": "out.png"},
    "export": {"-o": "new.onnx", "--cube": "look.cube"},
    "fit": {"-o": "look.cube"},
    "matte": {"-o": "alpha.png", "--cutout": "cutout.png"},
}
CASES = [
    (command, read, option)
    for command, reads in READS.items()
    for read in reads
    for option in WRITES[command]
]


@pytest.fixture
def folder(tmp_path: Path, small_photo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that the commands read."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("a", "b", "result", "a_mask", "b_mask", "trimap", "photos/c"):
        shutil.copy(small_photo, f"{name}.png")
    shutil.copy(model_path(min(styles())), "model.safetensors")
    return tmp_path


@pytest.mark.parametrize("link", ["same", "symbolic", "hard", "folder"])
@pytest.mark.parametrize(("command", "read", "option"), CASES)
def test_no_input_is_written_over(
    run: Run, folder: Path, command: str, read: str, option: str, link: str
) -> None:
    own = Path(WRITES[command][option])
    if command == "segment":  # which writes two names into a folder
        if link == "folder":
            pytest.skip("it is given a folder anyway")
        own.mkdir()
    target = own / "style.png" if command == "segment" else Path("link" + own.suffix)
    before, place = Path(read).read_bytes(), Path(read)
    if link == "symbolic":
        target.symlink_to(folder / read)
    elif link == "hard":
        os.link(read, target)
    elif link == "folder":
        Path("elsewhere").symlink_to(folder)
        target = Path("elsewhere", read)
    elif command == "segment":
        place = Path(read).rename(target)
    else:
        target = Path(read)
    others = {**WRITES[command], option: str(own if command == "segment" else target)}
    words = [word for pair in others.items() for word in pair]
    for name, given in READS[command].items():
        words += given.format(place if name == read else name).split()
    code, said = run(command, *words)
    assert code == 2
    # A name of another kind is refused as such.
    fits = own.suffix in ("", target.suffix)
    assert "is also an input" in said or (not fits and "must end in" in said)
    assert said.count("\n") == 1
    assert place.read_bytes() == before


def test_outputs_differ_from_one_another(run: Run, folder: Path) -> None:
    code, said = run("stylize", "a.png", "b.png", "-o", "x.png", "--compare", "photos/../x.png")
    assert code == 2
    assert "--output and --compare are both photos/../x.png" in said


def test_a_look_is_not_exported_over_the_masks_that_it_is_made_of(run: Run, folder: Path) -> None:
    Path("look").mkdir()
    Path("look", "look.txt").write_text("A look")
    shutil.copy("a_mask.png", "look/sky.png")
    masks = ("--content-mask", "look/sky.png", "--style-mask", "b_mask.png")
    code, said = run("stylize", "a.png", "b.png", *masks, "-o", "x.png", "--export-look", "look")
    assert code == 2
    assert "holds an input, look/sky.png (--content-mask)" in said


def test_the_names_of_regions_are_an_input(run: Run, folder: Path) -> None:
    Path("regions.json").write_text('{"regions": []}')
    masks = ("--content-mask", "a_mask.png", "--style-mask", "b_mask.png")
    code, said = run(
        "stylize", "a.png", "b.png", *masks, "-o", "x.png", "--save-recipe", "regions.json"
    )
    assert code == 2
    assert "regions.json (--save-recipe) is also an input (--style-mask)" in said


def test_a_training_log_is_not_written_over_its_style(run: Run, folder: Path) -> None:
    Path("log/step_000300").mkdir(parents=True)
    shutil.copy("b.png", "log/step_000300/000.png")
    style = "log/step_000300/000.png"
    code, said = run("train", style, "photos", "-o", "new.safetensors", "--log", "log")
    assert code == 2
    assert "is also an input (STYLE)" in said


def test_clips_are_not_written_over_one_another(run: Run, folder: Path) -> None:
    for path in ("one.mp4", "photos/two.mp4"):
        Path(path).write_bytes(b"no clip")
    os.link("photos/two.mp4", "photos/one.mp4")
    words = ("one.mp4", "photos/two.mp4", "-o", "photos")
    code, said = run("apply", "model.safetensors", *words)
    assert code == 2
    assert "is also an input" in said
