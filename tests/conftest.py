from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pydpst.commands import cli

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"

Run = Callable[..., tuple[int, str]]


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
