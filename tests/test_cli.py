from __future__ import annotations

import errno
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PHOTOS, Run
from PIL import Image
from typer.testing import CliRunner

import pydpst
from pydpst.commands import cli

COMMAND = [sys.executable, "-m", "pydpst"]
# As cheap as the program gets.
QUICK = ["--steps", "1", "--size", "32"]


def is_one_sentence(text: str) -> bool:
    return text.startswith("error: ") and text.endswith(".\n") and text.count("\n") == 1


def rest_of(terminal: int) -> str:
    """What is written to a terminal until its other end closes."""
    seen = b""
    with suppress(OSError):  # how it says so
        while chunk := os.read(terminal, 4096):
            seen += chunk
    os.close(terminal)
    return seen.decode(errors="replace")


def a_photo(width: int, height: int, mode: str = "RGB") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(noise).convert(mode).save(path)

    return write


def truncated(path: Path) -> None:
    a_photo(64, 64)(path)
    path.write_bytes(path.read_bytes()[:2000])


BAD_PHOTOS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.png": (lambda path: None, "does not exist"),
    "text.png": (lambda path: path.write_text("no picture"), "is not an image"),
    "folder.png": (Path.mkdir, "is a folder"),
    "truncated.jpg": (truncated, "cannot be decoded"),
    "one.png": (a_photo(1, 1), "is 1×1 pixels"),
    "two.png": (a_photo(2, 2), "is 2×2 pixels"),
    "thin.png": (a_photo(200, 3), "is 200×3 pixels"),
}


# A folder is content that can be restyled: see test_folder.py.
@pytest.mark.parametrize(
    ("name", "role"),
    [
        (n, r)
        for n in BAD_PHOTOS
        for r in ("content", "style")
        if (n, r) != ("folder.png", "content")
    ],
)
def test_bad_photo(run: Run, tmp_path: Path, small_photo: Path, name: str, role: str) -> None:
    make, sentence = BAD_PHOTOS[name]
    bad = tmp_path / name
    make(bad)
    before = sorted(os.listdir(tmp_path))
    photos = (bad, small_photo) if role == "content" else (small_photo, bad)
    code, error = run("stylize", *photos, "-o", tmp_path / "out.png", *QUICK)
    assert code == 2
    assert is_one_sentence(error)
    assert f"the {role} image {bad} {sentence}" in error
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-o", "missing/out.png"], "does not exist"),
        (["-o", "/proc/out.png"], "cannot be written to"),
        (["-o", "out.txt"], "must end in one of"),
        (["-o", "."], "must end in one of"),
        (["-o", "photo.png"], "is also an input"),
        (["-o", "out.png", "--compare", "photo.png"], "is also an input"),
        (["-o", "out.png", "--compare", "./out.png"], "must differ"),
        (["-o", "out.png", "--compare", "out.txt"], "must end in one of"),
        (["-o", "out.png", "--size", "0"], "size is 0"),
        (["-o", "out.png", "--size", "-5"], "size is -5"),
        (["-o", "out.png", "--size", "0", "--compare", "cmp.png"], "size is 0"),
        (["-o", "out.png", "--steps", "-1"], "steps"),
        (["-o", "out.png", "--max-memory", "4 GHz"], "--max-memory is '4 GHz'"),
        (["-o", "out.png", "--max-memory", "1MB"], "--max-memory is 1MB, but this photo needs"),
        (["-o", "out.png", "--style-weight", "-1"], "--style-weight is"),
        (["-o", "out.png", "--content-weight", "nan"], "--content-weight is"),
        (["-o", "out.png", "--photorealism-weight", "inf"], "--photorealism-weight is"),
        (["-o", "out.png", "--tv-weight", "-2"], "--tv-weight is"),
        (["-o", "out.png", "--device", "toaster"], "toaster"),
        (["-o", "out.png", "--device", "cuda:99"], "cuda:99"),
        (["-o", "out.png", "--regions", "sky"], "--regions is 'sky'"),
        (["-o", "out.png", "--strength", "2"], "a strength is 2.0"),
        (["-o", "out.png", "--strength", "much"], "--strength is much"),
        (["-o", "out.png", "--strength", "0.5", "--strength", "1"], "--strength is 0.5 1"),
        (["-o", "out.png", "--strength", "0.5", "--strength", "blue=1"], "one number, or"),
        (["-o", "out.png", "--strength", "plaid=0.5"], "no region 'plaid'"),
        (["-o", "out.png", "--lock", "plaid"], "no region 'plaid'"),
        (["-o", "out.png", "--content-mask", "mask.png"], "mask"),
        (["-o", "out.png", "--style-mask", "mask.png"], "mask"),
        (["-o", "out.png", "--content-mask", "none.png", "--style-mask", "mask.png"], "none.png"),
    ],
)
def test_bad_option(
    run: Run,
    tmp_path: Path,
    small_photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    sentence: str,
) -> None:
    Image.new("RGB", (64, 32), "blue").save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir(tmp_path))
    code, error = run("stylize", small_photo, small_photo, *options)
    assert code == 2
    # Regions are found when the plan is out.
    assert is_one_sentence(error.split("\n", 1)[1] if "plaid" in sentence else error)
    assert sentence in error
    assert sorted(os.listdir(tmp_path)) == before


def stylize_with_masks(
    run: Run, photo: Path, content: Image.Image, style: Image.Image
) -> tuple[int, str]:
    folder = photo.parent
    content.save(folder / "content_mask.png")
    style.save(folder / "style_mask.png")
    masks = ["--content-mask", folder / "content_mask.png"]
    masks += ["--style-mask", folder / "style_mask.png"]
    return run("stylize", photo, photo, "-o", folder / "out.png", *masks, *QUICK)


def test_a_mask_of_another_aspect_is_refused(run: Run, small_photo: Path) -> None:
    square, fitting = Image.new("RGB", (64, 64), "blue"), Image.new("RGB", (64, 32), "blue")
    code, error = stylize_with_masks(run, small_photo, square, fitting)
    assert code == 2
    assert is_one_sentence(error)
    assert "64×64" in error
    assert "64×32" in error
    assert not (small_photo.parent / "out.png").exists()


def test_a_larger_mask_of_the_same_aspect_is_resized(run: Run, small_photo: Path) -> None:
    larger, fitting = Image.new("RGB", (128, 64), "blue"), Image.new("RGB", (64, 32), "blue")
    assert stylize_with_masks(run, small_photo, larger, fitting)[0] == 0
    assert (small_photo.parent / "out.png").exists()


def test_masks_with_no_region_in_common_are_refused(run: Run, small_photo: Path) -> None:
    blue, red = Image.new("RGB", (64, 32), "blue"), Image.new("RGB", (64, 32), "red")
    code, error = stylize_with_masks(run, small_photo, blue, red)
    assert code == 2
    assert is_one_sentence(error)
    assert "region" in error
    assert not (small_photo.parent / "out.png").exists()


def test_controls_by_region(run: Run, small_photo: Path) -> None:
    """The right half is locked, the left keeps its brightness at half strength."""
    halves = Image.new("RGB", (64, 32), "blue")
    halves.paste((255, 0, 0), (32, 0, 64, 32))
    halves.save(small_photo.parent / "halves.png")
    night = small_photo.parent / "night.png"
    with Image.open(small_photo) as photo:
        photo.point(lambda value: value // 4).save(night)
    masks = ["--content-mask", small_photo.parent / "halves.png"]
    masks += ["--style-mask", small_photo.parent / "halves.png"]
    out = small_photo.parent / "out.png"
    controls = ["--lock", "red", "--strength", "blue=0.5", "--no-smooth", "--refine-masks"]
    command = ("stylize", small_photo, night, "-o", out, *masks, "--steps", "1")
    assert run(*command, *controls)[0] == 0
    before, after = (np.asarray(Image.open(path)).astype(float) for path in (small_photo, out))
    assert np.array_equal(before[:, 40:], after[:, 40:])
    ratio = after[:, :24].mean() / before[:, :24].mean()
    assert 0.5 < ratio < 0.75  # a quarter at full strength
    assert run(*command, "--preserve-luminance")[0] == 0
    kept = np.asarray(Image.open(out)).astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(kept - before @ [0.299, 0.587, 0.114]).max() < 1.5


def test_a_folder_of_regions_cannot_be_a_file(run: Run, small_photo: Path) -> None:
    code, error = run("segment", small_photo, small_photo, "-o", small_photo)
    assert code == 2
    assert is_one_sentence(error)
    assert "must be a folder" in error


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_photos_of_other_modes_work(run: Run, tmp_path: Path, small_photo: Path, mode: str) -> None:
    content = tmp_path / f"content.{'jpg' if mode == 'CMYK' else 'png'}"
    with Image.open(small_photo) as photo:
        photo.convert(mode).save(content)
    code, error = run("stylize", content, small_photo, "-o", tmp_path / "out.jpg", *QUICK)
    assert code == 0
    assert f"\n{tmp_path / 'out.jpg'}: 64×32 pixels, " in error
    with Image.open(tmp_path / "out.jpg") as out:
        assert (out.format, out.mode, out.size) == ("JPEG", "RGB", (64, 32))


def test_compare(run: Run, tmp_path: Path, small_photo: Path) -> None:
    outputs = ["-o", tmp_path / "out.png", "--compare", tmp_path / "compare.png"]
    assert run("stylize", small_photo, small_photo, *outputs, *QUICK)[0] == 0
    with Image.open(tmp_path / "compare.png") as compare:
        assert compare.size == (3 * 32 + 2 * 2, 16)


@pytest.mark.parametrize("role", ["content", "style"])
def test_nan_in_a_tensor(role: str) -> None:
    photos = {"content": torch.zeros(3, 32, 32), "style": torch.zeros(3, 32, 32)}
    photos[role][1, 2, 3] = torch.nan
    with pytest.raises(ValueError, match=f"the {role} image holds NaN"):
        pydpst.stylize(photos["content"], photos["style"], steps=1)


def test_cuda_without_a_gpu(tmp_path: Path, small_photo: Path) -> None:
    arguments = ["stylize", small_photo, small_photo, "-o", tmp_path / "out.png"]
    done = subprocess.run(
        [*COMMAND, *arguments, "--device", "cuda"],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert is_one_sentence(done.stderr)
    assert "cuda" in done.stderr
    assert not done.stdout
    assert not (tmp_path / "out.png").exists()


def test_a_full_disk(
    run: Run, tmp_path: Path, small_photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pydpst.photos.image.os.replace", fail)
    code, error = run("stylize", small_photo, small_photo, "-o", tmp_path / "out.png", *QUICK)
    assert code == 1
    assert is_one_sentence(error.split("\n", 1)[1])  # after the plan
    assert "out.png could not be written (No space left on device)" in error
    assert os.listdir(tmp_path) == [small_photo.name]


def test_ctrl_c_writes_the_best_so_far(tmp_path: Path, city_day: Path, city_night: Path) -> None:
    arguments = ["stylize", city_day, city_night, "-o", tmp_path / "out.png"]
    options = ["--size", "64", "--steps", "100000"]
    terminal, stderr = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments, *options],
        stderr=stderr,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "200"},
        # A shell's background jobs, which CI may run as, ignore it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    os.close(stderr)
    seen = ""
    while " left" not in seen:  # in the bar, of the losses of a step
        seen += os.read(terminal, 4096).decode()
    process.send_signal(signal.SIGINT)
    seen += rest_of(terminal)
    assert process.wait(60) == 130
    assert "interrupted: wrote the best image so far, " in seen
    assert "/100000" in seen
    assert "/?" not in seen
    assert re.search(r"about \d+ (min|h) left", seen)
    assert "Traceback" not in seen
    assert os.listdir(tmp_path) == ["out.png"]
    with Image.open(tmp_path / "out.png") as out:
        out.load()
        assert out.size == (720, 360)


def test_a_result_in_a_pipe_is_plan_time_and_one_line(
    tmp_path: Path, small_photo: Path, city_night: Path
) -> None:
    options = ["--steps", "3", "--size", "32"]
    arguments = ["stylize", small_photo, city_night, "-o", tmp_path / "out.png", *options]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
    assert done.returncode == 0
    assert not done.stdout
    plan, left, line = done.stderr.splitlines()
    assert plan.startswith(f"{small_photo}: 64×32 pixels at 32×16, carried over in 1 strip: about ")
    assert plan.endswith(" GB"), "how long it takes is not known yet"
    assert re.fullmatch(r"about \d+ s left", left)
    assert line.startswith(f"{tmp_path / 'out.png'}: 64×32 pixels, ")


@pytest.mark.parametrize(
    ("command", "words"),
    {
        "stylize": ("Look", "Regions", "Limits", "Output", "--tv-weight", "[default: (0)]"),
        "apply": ("Look", "Limits", "Output", "[default: 1.0]"),
        "segment": ("Regions", "Limits", "Output", "[default: auto]"),
        "evaluate": ("Regions", "Output"),
        "train": ("Training", "Losses", "Limits", "Output", "[default: (1500)]"),
        "export": ("Look", "Limits", "Output", "[default: 33]"),
        "fit": ("Limits", "Output", "[default: 33]"),
        "matte": ("Matte", "Limits", "Output", "[default: closed-form]"),
        "ui": ("Server", "[default: 127.0.0.1]"),
        "styles": (),
        "info": (),
    }.items(),
)
def test_help_shows_groups_defaults_and_examples(command: str, words: tuple[str, ...]) -> None:
    told = CliRunner().invoke(cli.app, [command, "--help"], env={"COLUMNS": "200"}).stdout
    for word in words:
        sign = word if word.startswith(("-", "[")) else f"─ {word} ─"
        assert sign in told.replace("(0.0)", "(0)")
    ungrouped = told.split("─ Options ─")[1].split("╯")[0]
    assert re.findall(r"--[a-z-]+", ungrouped) == ["--help"]
    assert len(re.findall(r"(?m)^.*pydpst \w+", told.split("Examples:")[1])) == 2


def test_version() -> None:
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"pydpst {version('pydpst')}\n"


def test_sentences_name_options_as_typed(run: Run, small_photo: Path) -> None:
    mask = small_photo.parent / "style_mask.png"
    command = ("stylize", small_photo, small_photo, "-o", small_photo.parent / "out.png")
    for options, said in (
        (("--content-mask", small_photo), "there is --content-mask but no --style-mask"),
        (("--content-weight", -1), "--content-weight is -1.0; it must be"),
        (("--steps=0",), "--steps is 0; it must be"),
        (("--init", "x"), "--init is 'x'; for grade it must be"),
        (("--max-memory", "much"), "--max-memory is 'much'; it must be"),
        (("--style-mask", mask, "--content-mask", small_photo), f"{mask} "),
    ):
        code, words = run(*command, *options)
        assert code == 2
        assert said in words
        assert not re.search(r"(content_|style_|max_)(mask|weight|memory)\b(?!\.png)", words)


def test_info() -> None:
    done = subprocess.run([*COMMAND, "info"], capture_output=True, text=True, check=True)
    for row in ("pydpst", "python", "torch", "compiler", "kernels", "devices", "weights"):
        assert f"{row} " in done.stdout
    assert torch.__version__ in done.stdout
    assert "vgg16.safetensors" in done.stdout


def test_a_torch_too_old_is_named_in_one_sentence() -> None:
    program = (
        "import torch; torch.__version__ = '2.3.1'; from pydpst.commands.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program, "info"], capture_output=True, text=True)
    assert done.returncode == 1
    assert is_one_sentence(done.stderr)
    assert "torch 2.3.1" in done.stderr


def test_help_and_import_do_not_load_torch() -> None:
    program = "import sys, pydpst.commands.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    assert "stylize" in done.stdout
    assert "info" in done.stdout


def test_the_list_of_styles_needs_no_torch() -> None:
    program = """if True:
        import sys
        from pydpst.commands.cli import app
        app(standalone_mode=False)
        assert not {"torch", "gradio", "av"} & sys.modules.keys()
    """
    command = [sys.executable, "-c", program, "styles"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "dusk" in done.stdout


def test_public_names() -> None:
    for name in pydpst.__all__:
        wanted = {"load": "load_model"}.get(name, name)
        assert getattr(pydpst, name).__name__ == wanted
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = pydpst.nothing


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["evaluate", "city_day.jpg", "city_night.jpg", "lake.jpg"], ["style distance", "rating"]),
        (["segment", "city_day.jpg", "lake.jpg", "-o", "OUT"], ["finding the regions"]),
        (["export", "dusk", "--cube", "OUT.cube", "--photos", "."], ["to 10 photos", "0:00:0"]),
        (["apply", "dusk", "lake.jpg", "-o", "OUT.png"], ["restyling"]),
    ],
)
def test_what_takes_seconds_shows_how_far_it_is(
    tmp_path: Path, arguments: list[str], parts: list[str]
) -> None:
    terminal, stderr = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *(word.replace("OUT", str(tmp_path / "out")) for word in arguments)],
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        cwd=PHOTOS,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(stderr)
    seen = rest_of(terminal)
    assert process.wait(60) == 0, seen
    for part in parts:
        assert part in seen
    assert "/?" not in seen
