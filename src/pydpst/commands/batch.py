"""Many photos at once: where their results go, and what went wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path, PurePath
from typing import TypeAlias

import typer

from pydpst.commands import say, shown
from pydpst.commands.journal import Pairs, results_beneath
from pydpst.commands.report import print_report, result_of
from pydpst.commands.stores import StorePath, check_writable

# What may be wrong with one photo of many, after which the others go on.
FAILURES = (ValueError, ImportError, OSError, MemoryError, RuntimeError)

# What went wrong with which photo, and the photo before which Ctrl-C came.
Outcome: TypeAlias = tuple[dict[Path, str], Path | None]


def reason_of(error: BaseException) -> str:
    """What went wrong, in a line."""
    return str(error).partition("\n")[0] or type(error).__name__


def outputs_for(photos: list[Path], output: Path) -> Pairs:
    """Each photo, and where its result goes.

    Args:
        photos: photos and folders, here or in stores, which are searched with their folders, but
            for the output.
        output: a folder, which need not be there; for one photo here also a file.

    Raises:
        ValueError: if two results would be one file, or cannot be written.
    """
    from pydpst.photos.writing import check_output

    if len(photos) == 1 and not photos[0].is_dir() and output.suffix and not output.is_dir():
        if isinstance(output, StorePath):
            raise ValueError(f"the output {output} must be a folder; leave {output.suffix} out.")
        return [(photos[0], check_output(output))]
    _check_output_folder(output)
    pairs = []
    for photo in photos:
        folder = _is_folder(photo)
        top = photo if folder else photo.parent
        found = _photos_of(photo, output) if folder else [photo]
        pairs += [(path, _beneath(output, path, top)) for path in found]
    seen: dict[Path, Path] = {}
    for photo, result in pairs:
        if result in seen:
            raise ValueError(
                f"{seen[result]} and {photo} would both become {result}; restyle them separately."
            )
        seen[result] = photo
    return pairs


def _check_output_folder(output: Path) -> None:
    from pydpst.photos.writing import check_folder

    if isinstance(output, StorePath):
        check_writable(output)
        return
    is_other = os.path.lexists(output) and not output.is_dir()
    if is_other or not output.parent.is_dir():
        raise ValueError(f"the output {output} must be a folder, in one that exists.")
    check_folder(output if output.is_dir() else output.parent)


def _photos_of(folder: Path, output: Path) -> list[Path]:
    """A folder's photos, but not what earlier runs wrote into the output or a folder beneath."""
    from pydpst.feedforward.training_photos import find_photos, is_photo

    if isinstance(folder, StorePath):
        stored = [path for path in folder.objects() if is_photo(path)]
        if output != folder:
            stored = [path for path in stored if not path.is_relative_to(output)]
        if not stored:
            raise ValueError(f"the folder {folder} holds no photos; give one that does.")
        return list(stored)
    inside, results = os.path.realpath(folder), os.path.realpath(output)
    written = results_beneath(folder)
    photos = [path for path in map(Path, map(str, find_photos(folder))) if path not in written]
    if inside != results and Path(results).is_relative_to(inside):
        photos = [p for p in photos if not Path(os.path.realpath(p)).is_relative_to(results)]
    if not photos:
        raise ValueError(f"the folder {folder} holds no photos but results of earlier runs.")
    return photos


def _is_folder(path: Path) -> bool:
    """Whether it is a folder to look into; one that may not be read is left to fail as a photo."""
    if isinstance(path, StorePath):
        return not path.is_file()
    try:
        os.scandir(path).close()
    except OSError:
        return False
    return True


def _beneath(output: Path, photo: Path, top: Path) -> Path:
    from pydpst.photos.opening import HEIC
    from pydpst.photos.writing import check_output

    result = output / PurePath(photo).relative_to(PurePath(top))
    try:
        check_output(Path(result.name))
    except ValueError:
        return result.with_suffix(".jpg" if result.suffix.lower() in HEIC else ".png")
    return result


def finish_batch(
    output: Path,
    pairs: Pairs,
    there: Collection[Path],
    outcome: Outcome,
    start: float,
    as_json: bool,
) -> None:
    """Says what became of many photos.

    Args:
        output: the folder of the results.
        pairs: the photos, and where their results went.
        there: results that were there before.
        outcome: of the others.
        start: when it began, as `time.monotonic` has it.
        as_json: whether it is also to be printed for programs.

    Raises:
        typer.Exit: if something went wrong, or Ctrl-C came.
    """
    failures, interrupted = outcome
    if interrupted is not None:
        say(f"interrupted before {interrupted}; the same command goes on from there")
        raise typer.Exit(130)
    before = f", {len(there)} were there" if there else ""
    done = len(pairs) - len(there) - len(failures)
    say(f"{output}: {done} of {len(pairs)} photos{before}, {time.monotonic() - start:.1f} s")
    if as_json:
        results = []
        for photo, result in pairs:
            reason = {"reason": shown(failures[photo])} if photo in failures else {}
            state = "failed" if reason else "there" if result in there else "written"
            results.append(result_of(photo, result, state, **reason))
        print_report(start, results)
    if failures:
        _print_failures(failures)
        raise typer.Exit(1)


def _print_failures(failures: dict[Path, str]) -> None:
    """Prints a table of what went wrong with which photo."""
    from rich.console import Console
    from rich.table import Table

    table = Table("photo", "what is wrong", box=None)
    for photo, reason in failures.items():
        table.add_row(shown(photo), shown(reason))
    # A line each, however long, so that names and sentences can be copied.
    width = sum(max(len(str(x)) for x in column) for column in (failures, failures.values()))
    Console(stderr=True, width=width + 20).print(table)
