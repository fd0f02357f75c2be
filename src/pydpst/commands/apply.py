"""`pydpst apply` and `pydpst styles`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydpst.commands import say
from pydpst.commands.batch import FAILURES, outputs_for, print_failures, reason_of
from pydpst.commands.progress import progress_bar

if TYPE_CHECKING:
    from torch import nn

    from pydpst.photos.photo import Photo

# Photos that are decoded ahead, and results that wait to be written.
_AHEAD = 2
# Of photos with more pixels, one at a time is held.
_LARGE = 32_000_000


def apply(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model file, or the name of a bundled style.")
    ],
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTOS", help="Photos and folders, or clips.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A folder; for one photo also a file.")
    ],
    strength: Annotated[float, typer.Option(help="0 the photo itself, 1 the full style.")] = 1.0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
) -> None:
    """Restyle PHOTOS, or video, with a trained MODEL, at full resolution."""
    import pydpst
    from pydpst.commands.clip import apply_to_clips
    from pydpst.ops import choose_device
    from pydpst.video.clip import CLIPS

    if not 0 <= strength <= 2:
        raise ValueError(f"strength is {strength}; it must be a number from 0 to 2.")
    if any(photo.suffix.lower() in CLIPS for photo in photos):
        apply_to_clips(model, photos, output, strength, device)
        return
    pairs = outputs_for(photos, output)
    network = pydpst.load_model(model).to(choose_device(device))
    start = time.monotonic()
    failures = _restyle_all(network, pairs, strength)
    done = len(pairs) - len(failures)
    say(f"{output}: {done} of {len(pairs)} photos, {time.monotonic() - start:.1f} s")
    if failures:
        print_failures(failures)
        raise typer.Exit(1)


def styles() -> None:
    """List the bundled styles."""
    from rich.console import Console
    from rich.table import Table

    from pydpst.feedforward.models import styles as bundled

    table = Table("style", "trained from", box=None)
    for name, note in bundled().items():
        table.add_row(name, note)
    Console().print(table)


def _restyle_all(
    network: nn.Module, pairs: list[tuple[Path, Path]], strength: float
) -> dict[Path, str]:
    """Restyles photos while the next are decoded and the last are encoded; what went wrong."""
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    import pydpst
    from pydpst.photos.photo import open_photo, save_photo

    failures: dict[Path, str] = {}
    writing: deque[tuple[Path, Future[None]]] = deque()

    def finish(photo: Path, future: Future[None]) -> None:
        try:
            future.result()
        except FAILURES as error:
            failures[photo] = reason_of(error)

    columns = ("photo", MofNCompleteColumn(), "", TimeRemainingColumn())
    with (
        ThreadPoolExecutor(_AHEAD) as readers,
        ThreadPoolExecutor(_AHEAD) as writers,
        progress_bar(*columns, too_large="apply it on the CPU, by --device cpu") as bar,
    ):
        decoded = _ahead(readers, open_photo, [(photo, "input") for photo, _ in pairs])
        numbered = bar.track(decoded, total=len(pairs))
        for (photo, result), future in zip(pairs, numbered, strict=True):
            try:
                original = future.result()
                image = pydpst.apply_model(network, original.pixels, strength=strength).cpu()
            except FAILURES as error:
                failures[photo] = reason_of(error)
                continue
            writing.append((photo, writers.submit(save_photo, image, result, original)))
            ahead = 0 if image[0].numel() > _LARGE else _AHEAD
            del image, original, future
            while len(writing) > ahead:
                finish(*writing.popleft())
        while writing:
            finish(*writing.popleft())
    return failures


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[..., Photo], calls: list[tuple[Any, ...]]
) -> Iterator[Future[Photo]]:
    """Photos in turn, the next few being read meanwhile, unless they are large."""
    waiting: deque[Future[Photo]] = deque()
    ahead = 0
    for arguments in calls:
        waiting.append(pool.submit(read, *arguments))
        while len(waiting) > ahead:
            ahead = 0 if _is_large(waiting[0]) else _AHEAD
            yield waiting.popleft()
    yield from waiting


def _is_large(future: Future[Photo]) -> bool:
    return future.exception() is None and future.result().pixels[0].numel() > _LARGE
