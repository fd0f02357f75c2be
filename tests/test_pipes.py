"""`-` and `--json` on the command line, by real processes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from forks import run_forked as run
from PIL import Image

COMMAND = [sys.executable, "-m", "pydpst"]
QUICK = ["--steps", "1", "--size", "32"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.jpg, b.png and, of 16 bits a channel, c.tif."""
    import imagecodecs

    folder = tmp_path_factory.mktemp("photos")
    levels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(levels).save(folder / "a.jpg", quality=95)
    Image.fromarray(255 - levels // 2).save(folder / "b.png")
    imagecodecs.imwrite(folder / "c.tif", levels.astype(np.uint16) * 257)
    return folder


@pytest.mark.parametrize(("name", "kind"), [("a.jpg", "JPEG"), ("b.png", "PNG"), ("c.tif", "TIFF")])
def test_apply_in_a_pipe_is_apply_with_files(
    photos: Path, tmp_path: Path, name: str, kind: str
) -> None:
    photo, result = photos / name, tmp_path / name
    done = run("apply", "dusk", "-", "-o", "-", given=photo.read_bytes())
    assert done.returncode == 0, done.stderr
    assert run("apply", "dusk", photo, "-o", result).returncode == 0
    assert done.stdout == result.read_bytes()
    if kind != "TIFF":  # Pillow reads none of 16 bits a channel
        assert Image.open(io.BytesIO(done.stdout)).format == kind
    assert done.stdout != photo.read_bytes()


def test_stylize_in_a_pipe(photos: Path) -> None:
    command = [*COMMAND, "stylize", "-", photos / "b.png", "-o", "-", *QUICK]
    data = photos.joinpath("a.jpg").read_bytes()
    done = subprocess.run(command, input=data, capture_output=True)
    assert done.returncode == 0, done.stderr
    picture = Image.open(io.BytesIO(done.stdout))
    assert (picture.format, picture.size) == ("JPEG", (60, 40))
    said = done.stderr.decode()
    assert said.startswith("from standard input: 60×40 pixels")
    assert "standard output: 60×40 pixels" in said


def test_a_file_into_a_pipe_and_a_pipe_into_a_file(photos: Path, tmp_path: Path) -> None:
    photo, result = photos / "a.jpg", tmp_path / "result.png"
    done = run("apply", "dusk", photo, "-o", "-")
    assert Image.open(io.BytesIO(done.stdout)).format == "JPEG"
    done = run("apply", "dusk", "-", "-o", result, "--json", given=photo.read_bytes())
    assert json.loads(done.stdout)["results"] == [
        {"photo": "-", "output": str(result), "state": "written"}
    ]
    with Image.open(result) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("command", "given"),
    [
        (["apply", "dusk", "-"], b""),
        (["apply", "dusk", "-"], b"\xff\xd8\xff\xe0 a JPEG no more"),
        (["stylize", "-", "b.png"], b"no picture"),
    ],
)
def test_what_is_no_photo_is_refused_in_a_sentence(
    photos: Path, command: list[str], given: bytes
) -> None:
    done = run(*command, "-o", "-", given=given)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"error: the photo from standard input")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["apply", "dusk", "-", "-o", "-", "--json"], "--json prints to standard output"),
        (["apply", "dusk", "-", "-", "-o", "-"], "- stands for one photo"),
        (["apply", "dusk", ".", "-o", "-"], "- stands for one photo"),
        (["stylize", ".", "b.png", "-o", "-"], "- stands for one photo"),
        (["apply", "dusk", "-", "-o", "results"], "must be a file or -"),
        (["stylize", "-", "-", "-o", "r.png"], "the style image - does not exist"),
    ],
)
def test_bad_use_is_refused_in_a_sentence(photos: Path, arguments: list[str], reason: str) -> None:
    data = photos.joinpath("a.jpg").read_bytes()
    done = run(*arguments, given=data, cwd=photos)
    assert (done.returncode, done.stdout) == (2, b"")
    assert reason in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_closed_ends_are_told_in_a_sentence(photos: Path) -> None:
    command = [*COMMAND, "apply", "dusk", "-", "-o", "-"]
    closed = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *command], capture_output=True)
    assert (closed.returncode, closed.stdout) == (2, b"")
    assert closed.stderr.startswith(b"error: standard input is no file or pipe")
    with photos.joinpath("a.jpg").open("rb") as photo:
        process = subprocess.Popen(command, stdin=photo, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate()
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith(b"error: the result could not be written to standard")


def test_json_says_what_became_of_each_photo(photos: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "photos" / "good.jpg", tmp_path / "photos" / "bad.jpg"
    good.parent.mkdir()
    good.write_bytes(photos.joinpath("a.jpg").read_bytes())
    bad.write_bytes(b"no picture")
    output = tmp_path / "results"
    states = []
    for _ in range(2):
        done = run("apply", "dusk", good.parent, "-o", output, "--json")
        assert done.returncode == 1  # of one photo
        report = json.loads(done.stdout)
        states.append([line["state"] for line in report["results"]])
        assert report["results"][1]["output"] == str(output / "good.jpg")
        assert "is not an image" in report["results"][0]["reason"]
    assert states == [["failed", "written"], ["failed", "there"]]


def test_json_of_a_photo(photos: Path, tmp_path: Path) -> None:
    result, recipe = tmp_path / "r.png", tmp_path / "look.json"
    command = ["stylize", photos / "a.jpg", photos / "b.png", "-o", result]
    done = run(*command, *QUICK, "--save-recipe", recipe, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (line,) = report["results"]
    assert line == {
        "photo": str(photos / "a.jpg"),
        "output": str(result),
        "state": "written",
        "width": 60,
        "height": 40,
        "size": 32,
    }
    assert report["also"] == {"--save-recipe": str(recipe)}
    assert report["seconds"] > 0
