"""Mutated files and wrong values through the command line: none worse than one sentence.

    PYDPST_FUZZ=10000 pytest tests/test_fuzz.py    # so many inputs, in place of some seconds

An input that fails is named by its number, which makes it again: PYDPST_FUZZ_FIRST=NUMBER.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PHOTOS, Run
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

import pydpst
from pydpst.feedforward.bundled import model_path, styles
from pydpst.feedforward.training import TrainingProgress

STYLE = min(styles())
DTYPES = (torch.float16, torch.float64, torch.int32, torch.uint8, torch.complex64)
QUICK = ("--size", 32, "--steps", 1, "--regions", "none")
SECONDS = 25
VALUES = (
    None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e308, -1e308, float("nan"), float("inf"), 2**63,
    -(2**64), 10**40, "", "x", "\0", "é" * 300, "nan", "../..", "/dev/null", [], [[]], [None],
    {}, {"a": {}}, {"": 1}, "[" * 2000,
)  # fmt: skip
OPTIONS = (
    "--method", "--regions", "--strength", "--lock", "--style-weight", "--photorealism-weight",
    "--content-weight", "--tv-weight", "--init", "--size", "--steps", "--seed", "--max-memory",
    "--device", "--compare", "--recipe", "--save-recipe", "--export-cube", "--content-mask",
    "--style-mask", "--export-look", "--segmentation-model",
)  # fmt: skip
Command = tuple[object, ...]


@pytest.fixture
def folder(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of all kinds, small, and sound."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    small = Image.open(PHOTOS / "lake.jpg").resize((48, 32))
    for suffix, options in {
        "png": {}, "jpg": {"quality": 90}, "tif": {"compression": "tiff_lzw"}, "webp": {},
        "bmp": {}, "gif": {},
    }.items():  # fmt: skip
        small.save(f"photo.{suffix}", **options)
    small.convert("I;16").save("grey16.png")
    write_clip("clip.mp4", small)
    mask = Image.new("RGB", (48, 32), "blue")
    mask.paste("red", (0, 0, 20, 32))
    mask.save("mask.png")
    shutil.copy(model_path(STYLE), "model.safetensors")
    Path("photos").mkdir()
    for name in "abc":
        small.resize((96, 64)).save(f"photos/{name}.png")
    assert run("stylize", "photo.png", "photo.jpg", "-o", "o.png", "--save-recipe", "look.json",
               *QUICK)[0] == 0  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        pydpst.train("photos/a.png", "photos", output="trained.safetensors", size=64, batch=1,
                     steps=2, held_out=0, checkpoint_steps=1, callback=stop)  # fmt: skip
    shutil.move("trained.checkpoint", "sound.checkpoint")
    return tmp_path


def write_clip(path: str, photo: Image.Image) -> None:
    """Three frames of video, where PyAV is there."""
    try:
        import av
    except ImportError:
        return
    with av.open(path, "w") as clip:
        stream = clip.add_stream("libx264", rate=25)
        stream.width, stream.height = photo.size
        for _ in range(3):
            clip.mux(stream.encode(av.VideoFrame.from_image(photo)))
        clip.mux(stream.encode())


TRAIN = ("train", "photos/a.png", "photos", "-o", "trained.safetensors", "--size", 64, "--batch",
         1, "--steps", 2, "--held-out", 0, "--checkpoint-steps", 1)  # fmt: skip


def stop(progress: TrainingProgress) -> None:
    if progress.stage == "step":
        raise KeyboardInterrupt


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, cut, doubled, or put elsewhere."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 60))):
        at = chance.randrange(max(len(changed), 1))
        # Headers are at the start.
        at = at if chance.random() < 0.5 else min(at, chance.randrange(200))
        kind = chance.randrange(5)
        length = chance.choice((1, 2, 4, 30))
        if kind <= 1:
            changed[at : at + length] = chance.randbytes(length)
        elif kind == 2:
            changed[at : at + length] = chance.choice((b"\0", b"\xff", b"\x7f")) * length
        elif kind == 3 and chance.random() < 0.3:
            del changed[at:]
        else:
            changed[at:at] = changed[at // 2 : at // 2 + length]
    return bytes(changed)


def altered(value: Any, chance: random.Random) -> Any:
    """JSON with one value or name exchanged."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        name = chance.choice(sorted(value))
        if chance.random() < 0.1:
            return {**value, str(chance.choice(VALUES)): value[name]}
        return {**value, name: altered(value[name], chance)}
    return chance.choice(VALUES)


def a_photo(chance: random.Random) -> Command:
    source = Path(chance.choice([*sorted(map(str, Path().glob("photo.*"))), "grey16.png"]))
    broken = Path(f"broken{source.suffix}")
    broken.write_bytes(mutated(source.read_bytes(), chance))
    if chance.random() < 0.8:
        return ("apply", STYLE, broken, "-o", "out.png")
    return ("stylize", "photo.png", broken, "-o", "out.png", *QUICK)


def a_clip(chance: random.Random) -> Command:
    if not Path("clip.mp4").exists():
        return a_photo(chance)
    Path("broken.mp4").write_bytes(mutated(Path("clip.mp4").read_bytes(), chance))
    if chance.random() < 0.8:
        return ("apply", STYLE, "broken.mp4", "-o", "out.mp4")
    return ("stylize", "broken.mp4", "photo.png", "-o", "out.mp4", *QUICK)


def a_mask(chance: random.Random) -> Command:
    Path("broken.png").write_bytes(mutated(Path("mask.png").read_bytes(), chance))
    masks = ("--content-mask", "broken.png", "--style-mask", "mask.png")
    return ("stylize", "photo.png", "photo.jpg", "-o", "out.png", *QUICK[:4], *masks)


def an_option(chance: random.Random) -> Command:
    typed = (str(chance.choice(VALUES)) for _ in itertools.count())
    options = [f"{chance.choice(OPTIONS)}={next(typed)}" for _ in range(chance.choice((1, 1, 2)))]
    options = [option.replace("\0", "0") for option in options]
    if any(option.startswith("--size=") for option in options):
        return ("stylize", "photo.png", "photo.jpg", "-o", "out.png", "--steps", 1, *options)
    return ("stylize", "photo.png", "photo.jpg", "-o", "out.png", *QUICK, *options)


def a_recipe(chance: random.Random) -> Command:
    text = Path("look.json").read_bytes()
    if chance.random() < 0.5:
        text = json.dumps(altered(json.loads(text), chance)).encode()
    else:
        text = mutated(text, chance)
    Path("broken.json").write_bytes(text)
    return ("stylize", "photo.png", "--recipe", "broken.json", "-o", "out.png", "--steps", 1,
            "--size", 32)  # fmt: skip


def _tensors(source: str, target: str, chance: random.Random) -> None:
    """A safetensors file with its metadata or a tensor altered, or its bytes."""
    if chance.random() < 0.4:
        data = Path(source).read_bytes()
        head = 8 + int.from_bytes(data[:8], "little")
        Path(target).write_bytes(mutated(data[:head], chance) + data[head:])
        return
    with safe_open(source, "pt") as file:
        about = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    name = chance.choice(sorted(tensors))
    change = chance.randrange(5)
    if change == 0:
        tensors[name] = tensors[name][..., :0].contiguous()
    elif change == 1:
        del tensors[name]
    elif change == 2:
        tensors[name] = tensors[name].to(chance.choice(DTYPES))
    elif change == 3 and tensors[name].is_floating_point():
        tensors[name] = tensors[name] * float("nan")
    elif about:
        key = chance.choice(sorted(about))
        try:
            about[key] = json.dumps(altered(json.loads(about[key]), chance))
        except ValueError:
            about[key] = str(chance.choice(VALUES))
    save_file(tensors, target, about)


def a_model(chance: random.Random) -> Command:
    _tensors("model.safetensors", "broken.safetensors", chance)
    return ("apply", "broken.safetensors", "photo.png", "-o", "out.png")


def a_checkpoint(chance: random.Random) -> Command:
    data = Path("sound.checkpoint").read_bytes()
    Path("trained.checkpoint").write_bytes(mutated(data[:3000], chance) + data[3000:])
    return (*TRAIN, "--resume")


def inputs(first: int) -> Any:
    """Numbered commands, of all kinds in turn."""
    kinds: tuple[Callable[[random.Random], Command], ...] = (
        a_photo, an_option, a_mask, a_photo, a_recipe, a_model, a_photo, a_recipe, a_checkpoint,
        a_clip,
    )  # fmt: skip
    for number in itertools.count(first):
        yield number, kinds[number % len(kinds)](random.Random(number))


# Of damaged photos that can be read in part.
@pytest.mark.filterwarnings("default::UserWarning")
def test_nothing_is_worse_than_one_sentence(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = int(os.environ.get("PYDPST_FUZZ", "0"))
    first = int(os.environ.get("PYDPST_FUZZ_FIRST", "0"))
    end = time.monotonic() + SECONDS
    codes: dict[int, int] = {}
    bad = []
    for number, command in inputs(first):
        if (number - first >= most) if most else (time.monotonic() > end):
            break
        for out in ("out.png", "out.mp4", "out"):
            Path(out).unlink(missing_ok=True)
        code, said = run(*command)
        codes[code] = codes.get(code, 0) + 1
        errors = re.findall(r"(?m)^error: .*", said)
        if (
            code not in (0, 1, 2)
            or "Traceback" in said
            or "should not happen" in said
            or len(errors) > 1
            or (code != 0 and not errors and "Error" not in said)
        ):
            bad.append(f"{number}: {code} {' '.join(map(str, command))[:300]}\n{said[-1000:]}")
    assert not bad, "\n".join([f"{len(bad)} of {sum(codes.values())}, {codes}", *bad])
    assert codes.get(0)
    assert codes.get(2)
