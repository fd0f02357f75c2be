"""A run in the background, and what comes of it, in files for the browser."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from torch import Tensor

from pydpst.photos.encode import PICTURES
from pydpst.photos.image import save_image
from pydpst.photos.photo import Photo, save_photo
from pydpst.photos.resizing import resize
from pydpst.transfer.stylize import Progress, Result, stylize

# Browsers get photos of at most this size; regions are found and painted at it.
SHOWN_SIZE = 960
# Seconds between previews of a run.
_PREVIEW_SECONDS = 1.0


@dataclass(frozen=True)
class Preview:
    """How far a run is.

    Attributes:
        step: how many steps are done.
        steps: how many there are.
        shown: the best image so far, for the browser.
        seconds_left: as `pydpst.transfer.stylize.Progress` has it.
    """

    step: int
    steps: int
    shown: Path
    seconds_left: float | None


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        path: the file to download, at full resolution.
        shown: a smaller copy for the browser.
        size: its width and height.
        interrupted: whether it was stopped before all steps were done.
        recipe: a zip for `pydpst stylize --recipe`.
        look: a zip of tables and masks for other programs; None for a look that is no grade.
    """

    path: Path
    shown: Path
    size: tuple[int, int]
    interrupted: bool = False
    recipe: Path | None = None
    look: Path | None = None


def run(
    content: Path, style: Path, folder: Path, stopped: threading.Event, **options: Any
) -> Generator[Preview | Result, None, None]:
    """Restyles a photo; yields previews, and last the result.

    Args:
        content: the photo.
        style: the style photo.
        folder: for previews.
        stopped: ends the run with the best so far, as closing the iterator does.
        options: for `pydpst.stylize`.

    Raises:
        ValueError: for bad options.
    """
    news: SimpleQueue[Preview | Result | Exception] = SimpleQueue()
    due = 0.0

    def tell(progress: Progress) -> None:
        nonlocal due
        if stopped.is_set():
            raise KeyboardInterrupt
        if time.monotonic() >= due:
            small = shown(resize(progress.image(), SHOWN_SIZE), folder)
            news.put(Preview(progress.step, progress.steps, small, progress.seconds_left))
            due = time.monotonic() + _PREVIEW_SECONDS

    def work() -> None:
        try:
            news.put(stylize(content, style, callback=tell, **options))
        except Exception as error:
            news.put(error)

    # A daemon, so that Ctrl-C ends the server at once.
    threading.Thread(target=work, daemon=True).start()
    try:
        while isinstance(latest := news.get(), Preview):
            yield latest
    finally:
        stopped.set()
    if isinstance(latest, Exception):
        raise latest
    yield latest


def shown(image: Tensor, folder: Path) -> Path:
    """Writes a picture for the browser."""
    path = folder / f"{secrets.token_hex(4)}.jpg"
    save_image(image, path)
    return path


def outcome_of(
    image: Tensor, original: Photo, upload: Path, path: Path, interrupted: bool = False
) -> Outcome:
    """Writes a result like the photo it was made of, in its format if that can be written.

    Args:
        image: (3, H, W) in [0, 1].
        original: the photo.
        upload: its file.
        path: where to, without the suffix.
        interrupted: as in `Outcome`.
    """
    suffix = upload.suffix if upload.suffix.lower() in PICTURES else ".png"
    path = path.with_name(path.name + suffix)
    save_photo(image, path, original)
    height, width = image.shape[-2:]
    return Outcome(
        path, shown(resize(image, SHOWN_SIZE), path.parent), (width, height), interrupted
    )
