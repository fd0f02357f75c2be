"""Many photos at once: where their results go, and what went wrong."""

from __future__ import annotations

import os
from pathlib import Path

# What may be wrong with one photo of many, after which the others go on.
FAILURES = (ValueError, ImportError, OSError, MemoryError, RuntimeError)


def reason_of(error: BaseException) -> str:
    """What went wrong, in a line."""
    return str(error).partition("\n")[0] or type(error).__name__


def outputs_for(photos: list[Path], output: Path) -> list[tuple[Path, Path]]:
    """Each photo, and where its result goes, in folders that are there.

    Args:
        photos: photos and folders, which are searched with their folders.
        output: a folder, made if it is not there; for one photo also a file.

    Raises:
        ValueError: if a result would overwrite a photo or another result, or cannot be written.
    """
    from pydpst.feedforward.training_photos import find_photos
    from pydpst.photos.writing import check_output

    if len(photos) == 1 and not photos[0].is_dir() and output.suffix and not output.is_dir():
        pairs = [(photos[0], check_output(output))]
    else:
        if output.is_file() or not output.parent.is_dir():
            raise ValueError(f"the output {output} must be a folder, in one that exists.")
        pairs = []
        for photo in photos:
            folder = _is_folder(photo)
            found = find_photos(photo) if folder else [photo]
            top = photo if folder else photo.parent
            pairs += [(Path(str(path)), _beneath(output, Path(str(path)), top)) for path in found]
    seen: dict[Path, Path] = {}
    inputs = {photo.resolve() for photo, _ in pairs}
    for photo, result in pairs:
        if result.resolve() in inputs:
            raise ValueError(f"the output {result} is also an input; choose another folder.")
        if result in seen:
            raise ValueError(
                f"{seen[result]} and {photo} would both become {result}; restyle them separately."
            )
        seen[result] = photo
    try:
        for result in seen:
            result.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"the output folder {output} cannot be written to ({error.strerror}); choose another."
        ) from None
    return pairs


def _is_folder(path: Path) -> bool:
    """Whether it is a folder to look into; one that may not be read is left to fail as a photo."""
    try:
        os.scandir(path).close()
    except OSError:
        return False
    return True


def _beneath(output: Path, photo: Path, top: Path) -> Path:
    from pydpst.photos.opening import HEIC
    from pydpst.photos.writing import check_output

    result = output / photo.relative_to(top)
    try:
        check_output(Path(result.name))
    except ValueError:
        return result.with_suffix(".jpg" if result.suffix.lower() in HEIC else ".png")
    return result


def print_failures(failures: dict[Path, str]) -> None:
    """Prints a table of what went wrong with which photo."""
    from rich.console import Console
    from rich.table import Table

    table = Table("photo", "what is wrong", box=None)
    for photo, reason in failures.items():
        table.add_row(str(photo), reason)
    # A line each, however long, so that names and sentences can be copied.
    width = sum(max(len(str(x)) for x in column) for column in (failures, failures.values()))
    Console(stderr=True, width=width + 20).print(table)
