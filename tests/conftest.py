from __future__ import annotations

import signal
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image

from pydpst.commands import cli

if TYPE_CHECKING:
    from pydpst.feedforward.training import TrainingProgress

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"

Run = Callable[..., tuple[int, str]]


# A shell's background jobs ignore Ctrl-C, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def city_day() -> Path:
    return PHOTOS / "city_day.jpg"


@pytest.fixture(scope="session")
def city_night() -> Path:
    return PHOTOS / "city_night.jpg"


@pytest.fixture
def small_photo(tmp_path: Path, city_day: Path) -> Path:
    """A real photo of 64×32 pixels."""
    path = tmp_path / "photo.png"
    with Image.open(city_day) as photo:
        photo.convert("RGB").resize((64, 32)).save(path)
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process; gives its exit code and what it wrote to stderr."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["pydpst", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        return int(exit.value.code or 0), capsys.readouterr().err

    return run


def stop_after_two_steps(progress: TrainingProgress) -> None:
    """A callback of a training, as Ctrl-C in its second step."""
    if progress.stage == "step" and progress.done == 2:
        raise KeyboardInterrupt


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    """That two networks agree to the last bit."""
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Gives torch so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def blank_png(width: int, height: int) -> bytes:
    """A black picture, however large, in few bytes."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes((width // 8 + 1) * height), 9)),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def evening(image: torch.Tensor) -> torch.Tensor:
    """A photo (3, H, W) in the light of an evening."""
    light = image**2.2 * torch.tensor([1.35, 1.05, 0.68]).view(3, 1, 1)
    return light.clamp(0, 1) ** (1 / 2.2)


def halves(photo: torch.Tensor, share: float = 0.55) -> tuple[torch.Tensor, torch.Tensor]:
    """So much of the width of a photo (3, H, W) from the left, and from the right."""
    width = round(share * photo.shape[2])
    return photo[..., :width], photo[..., -width:]
