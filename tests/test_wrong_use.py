"""What users and systems get wrong: a sentence, the right exit code, and no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import PHOTOS, Run

import pydpst
from pydpst.feedforward.bundled import styles
from pydpst.matting.laplacian import MattingLaplacian

STYLE = min(styles())
QUICK = ("--size", 32, "--steps", 1)


@pytest.mark.parametrize(
    ("command", "options", "sentence"),
    [
        (
            "stylize",
            ("--size", 10**20),
            "--size is 100000000000000000000; it must be",
        ),
        ("stylize", ("--seed", 2**64), "--seed is 18446744073709551616; it must be a whole number"),
        ("stylize", ("--seed", -1), "--seed is -1; it must be a whole number"),
        ("stylize", ("--max-memory", "9" * 400), "it must be bytes, or such as 4GB"),
        ("stylize", ("--style-weight", "1e308"), "--style-weight is 1e+308; it must be a number"),
        ("stylize", ("--compare", ""), "an argument is empty; give a path or a value"),
        ("train", ("--accumulate", 0), "--accumulate is 0; it must be at least 1"),
        ("train", ("--checkpoint-steps", 0), "--checkpoint-steps is 0; it must be a whole number"),
        ("train", ("--validate-steps", -2), "--validate-steps is -2; it must be a whole number"),
        ("train", ("--size", 10**9), "--size is 1000000000; it must be a whole number"),
        ("train", ("--seed", 2**63), "--seed is 9223372036854775808; it must be a whole number"),
    ],
)
def test_numbers_out_of_range(
    command: str, options: tuple[object, ...], sentence: str, run: Run, small_photo: Path
) -> None:
    folder = small_photo.parent
    inputs = (small_photo, folder if command == "train" else small_photo)
    output = folder / ("out.safetensors" if command == "train" else "out.png")
    code, said = run(command, *inputs, "-o", output, *options)
    assert code == 2
    assert sentence in said
    assert said.count("\n") == 1
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"eps": float("inf")}, "eps is inf; it must be positive and finite"),
        ({"eps": float("nan")}, "eps is nan"),
        ({"radius": 1.5}, "radius is 1.5; it must be a whole number"),
        ({"image": torch.rand(3, 8, 8, device="meta")}, "is a meta tensor; it must have values"),
    ],
    ids=str,
)
def test_arguments_of_the_operator(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        MattingLaplacian(**({"image": torch.rand(3, 8, 8)} | options))  # type: ignore[arg-type]


def output_of(kind: str, folder: Path) -> tuple[Path, str]:
    path = folder / f"{kind}.png"
    if kind == "fifo":
        os.mkfifo(path)
        return path, "is no regular file"
    if kind == "circle":
        path.symlink_to(path)
        return path, "Too many levels of symbolic links"
    if kind == "device":
        path.symlink_to("/dev/null")
        return path, "is no regular file"
    if kind == "long":
        return folder / ("x" * 300 + ".png"), "File name too long"
    return folder / "photo.png" / "out.png", "does not exist"


@pytest.mark.parametrize("kind", ["fifo", "circle", "device", "long", "beneath a file"])
def test_outputs_that_are_no_files(kind: str, run: Run, small_photo: Path) -> None:
    path, sentence = output_of(kind, small_photo.parent)
    before = sorted(os.listdir(small_photo.parent))
    for command in (("apply", STYLE, small_photo), ("stylize", small_photo, small_photo, *QUICK)):
        code, said = run(*command, "-o", path)
        assert code == 2
        assert sentence in said
        assert "[Errno" not in said
        assert said.count("\n") == 1
    assert sorted(os.listdir(small_photo.parent)) == before


@pytest.mark.parametrize("kind", ["fifo", "circle", "nowhere"])
def test_output_folders_that_are_none(kind: str, run: Run, small_photo: Path) -> None:
    folder, place = small_photo.parent / "photos", small_photo.parent / "out"
    folder.mkdir()
    shutil.copy(small_photo, folder)
    if kind == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to(place if kind == "circle" else small_photo.parent / "gone")
    for command in (
        ("apply", STYLE, folder),
        ("stylize", folder, small_photo, *QUICK),
        ("segment", small_photo, small_photo),
    ):
        code, said = run(*command, "-o", place)
        assert code == 2
        assert "must be a folder" in said
        assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["content.png", "style.png", "regions.json"])
def test_label_maps_do_not_replace_what_is_no_file(
    name: str, run: Run, small_photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_photo.parent / "maps"
    folder.mkdir()
    os.mkfifo(folder / name)
    monkeypatch.setattr("pydpst.transfer.pair.find_regions", lambda *_: pytest.fail("it began"))
    code, said = run("segment", small_photo, small_photo, "-o", folder)
    assert code == 2
    assert f"{name} is no regular file" in said
    assert os.listdir(folder) == [name]


def test_a_training_does_not_replace_what_is_no_file(run: Run, small_photo: Path) -> None:
    for name in ("a.safetensors", "b.checkpoint"):
        path = small_photo.parent / name
        os.mkfifo(path)
        output = path.with_suffix(".safetensors")
        code, said = run("train", small_photo, small_photo.parent, "-o", output)
        assert code == 2
        assert f"{name} is no regular file" in said
        code, said = run("apply", path, small_photo, "-o", small_photo.parent / "x.png")
        assert code == 2
        assert f"{name} is no file" in said


def test_a_strength_of_no_region(run: Run, small_photo: Path) -> None:
    code, said = run("stylize", small_photo, small_photo, "-o", "x.png", "--strength", "=0.5")
    assert code == 2
    assert said == "error: --strength is =0.5; it must be a number, or REGION=NUMBER.\n"


def test_an_output_that_is_a_link_stays_one(run: Run, small_photo: Path) -> None:
    folder = small_photo.parent
    (folder / "real").mkdir()
    (folder / "link.png").symlink_to(folder / "real" / "out.png")
    for _ in range(2):
        assert run("apply", STYLE, small_photo, "-o", folder / "link.png")[0] == 0
    assert (folder / "link.png").is_symlink()
    assert pydpst.load_image(folder / "real" / "out.png").shape == (3, 32, 64)
    assert os.listdir(folder / "real") == ["out.png"]


def test_links_in_a_circle_among_the_photos(run: Run, small_photo: Path) -> None:
    folder = small_photo.parent / "in"
    folder.mkdir()
    small_photo.rename(folder / "photo.png")
    (folder / "circle.png").symlink_to("circle.png")
    (folder / "up").symlink_to(folder)
    code, said = run("apply", STYLE, folder, "-o", folder.parent / "out")
    assert code == 1
    assert "1 of 2 photos" in said
    assert "cannot be read (Too many levels of symbolic links)" in said
    assert "[Errno" not in said


def test_a_broken_photo_has_one_exit_code(run: Run, tmp_path: Path, small_photo: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    for command in (("apply", STYLE, broken), ("stylize", broken, small_photo, *QUICK)):
        code, said = run(*command, "-o", tmp_path / "out.png")
        assert code == 2
        assert "broken.jpg is not an image" in said
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
         "there is too little memory; give a smaller --size"),
        (MemoryError(), "there is too little memory; give a smaller --size"),
        (RuntimeError("can't start new thread"), "the system allows no more threads"),
        (AssertionError(), "this should not happen: AssertionError (--debug shows where)"),
        (KeyError("x\ny"), "this should not happen: 'x\\\\ny' (--debug shows where)"),
    ],
    ids=repr,
)  # fmt: skip
def test_unexpected_errors_are_one_line(
    error: Exception, sentence: str, run: Run, small_photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(pydpst, "stylize", fail, raising=False)
    command = ("stylize", small_photo, small_photo, "-o", small_photo.parent / "out.png", *QUICK)
    code, said = run(*command)
    assert code == 1
    assert sentence.replace("\\\\", "\\") in said
    assert said.count("\n") == 1
    code, said = run("--debug", *command)
    assert code == 1
    assert "Traceback" in said


def test_any_encoding_of_the_terminal_and_of_paths(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"  # no UTF-8
    with open(name, "wb") as file:
        file.write((PHOTOS / "lake.jpg").read_bytes())
    command = [sys.executable, "-m", "pydpst", "apply", STYLE, name, "-o", name + b".out.jpg"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert os.path.isfile(name + b".out.jpg")
    for words in (["--help"], ["styles"], ["stylize", "--help"]):
        command = [sys.executable, "-m", "pydpst", *words]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("host", ["nope.invalid", "192.0.2.1", "a" * 300, "..", "ü" * 70])
def test_a_host_that_is_not_here(host: str, run: Run) -> None:
    pytest.importorskip("gradio")
    code, said = run("ui", "--host", host)
    assert code == 1
    assert said.endswith("cannot be listened at; give for --host an address of this machine.\n")
