"""`pydpst apply` and `pydpst styles`."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydpst.commands import say
from pydpst.commands.batch import FAILURES, finish_batch, outputs_for, reason_of
from pydpst.commands.files import check_files
from pydpst.commands.journal import NAME, Journal
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
    from pydpst.feedforward.models import model_path
    from pydpst.ops import choose_device
    from pydpst.video.clip import CLIPS

    if not 0 <= strength <= 2:
        raise ValueError(f"strength is {strength}; it must be a number from 0 to 2.")
    if any(photo.suffix.lower() in CLIPS for photo in photos):
        apply_to_clips(model, photos, output, strength, device)
        return
    pairs = outputs_for(photos, output)
    results = [result for _, result in pairs]
    in_folder = results != [output]
    check_files(
        {"MODEL": model_path(model), "PHOTOS": [photo for photo, _ in pairs]},
        {"--output": [*results, *([output / NAME] if in_folder else [])]},
    )
    journal = None
    if in_folder:
        journal = Journal(output, _recipe_of(model_path(model), strength))
        journal.check(results)
    network = pydpst.load_model(model).to(choose_device(device))
    start = time.monotonic()
    left = [pair for pair in pairs if journal is None or not journal.is_done(*pair)]
    failures, interrupted = _restyle_all(network, left, strength, journal)
    if interrupted is not None:
        say(f"interrupted before {interrupted}; the same command goes on from there")
        raise typer.Exit(130)
    finish_batch(output, len(pairs), len(pairs) - len(left), failures, start)


def _recipe_of(model: Path, strength: float) -> dict[str, Any]:
    """What results depend on, but for the photos; laid out as the recipes of `pydpst stylize`."""
    from importlib.metadata import version

    from pydpst.transfer.recipe import checksum

    return {
        "kind": "pydpst apply",
        "files": {"model": {"path": os.fspath(model.resolve()), "sha256": checksum(model)}},
        "options": {"strength": strength},
        "versions": {name: version(name) for name in ("pydpst", "torch")},
    }


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
    network: nn.Module,
    pairs: list[tuple[Path, Path]],
    strength: float,
    journal: Journal | None,
) -> tuple[dict[Path, str], Path | None]:
    """Restyles photos while the next are decoded and the last are encoded.

    Returns:
        What went wrong, and the photo before which Ctrl-C came.
    """
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    import pydpst
    from pydpst.photos.photo import open_photo, save_photo

    failures: dict[Path, str] = {}
    writing: deque[tuple[Path, Path, Future[None]]] = deque()
    current: Path | None = None

    def finish(photo: Path, result: Path, future: Future[None]) -> None:
        try:
            future.result()
            if journal is not None:
                journal.finish(result)
        except FAILURES as error:
            failures[photo] = reason_of(error)

    columns = ("photo", MofNCompleteColumn(), "", TimeRemainingColumn())
    with (
        ThreadPoolExecutor(_AHEAD) as readers,
        ThreadPoolExecutor(_AHEAD) as writers,
        progress_bar(*columns, too_large="apply it on the CPU, by --device cpu") as bar,
    ):
        decoded = _ahead(readers, open_photo, [(photo, "input") for photo, _ in pairs])
        numbered = iter(bar.track(decoded, total=len(pairs)))
        try:
            for current, result in pairs:
                try:
                    future = next(numbered)
                    original = future.result()
                    image = pydpst.apply_model(network, original.pixels, strength=strength).cpu()
                    if journal is not None:
                        journal.begin(current, result)
                except FAILURES as error:
                    failures[current] = reason_of(error)
                    continue
                saved = writers.submit(save_photo, image, result, original)
                writing.append((current, result, saved))
                ahead = 0 if image[0].numel() > _LARGE else _AHEAD
                del image, original, future
                while len(writing) > ahead:
                    finish(*writing.popleft())
            current = None
        except KeyboardInterrupt:
            readers.shutdown(wait=False, cancel_futures=True)
        while writing:
            finish(*writing.popleft())
    return failures, current


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
