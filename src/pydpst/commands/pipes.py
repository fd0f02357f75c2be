"""`-` on the command line: the photo from standard input, the result to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pydpst.commands import shown_as

PIPE = Path("-")
# Formats of photos whose results have another suffix than .png.
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "HEIF": ".jpg", "TIFF": ".tif", "WEBP": ".webp"}


def check_pipes(photos: Sequence[Path], output: Path, as_json: bool) -> None:
    """Refuses what cannot go through a pipe, before anything is read.

    Raises:
        ValueError: with a sentence that says why.
    """
    if as_json and output == PIPE:
        raise ValueError("--json prints to standard output as --output - does; give one of them.")
    if PIPE not in (*photos, output):
        return
    if len(photos) > 1 or photos[0].is_dir():
        raise ValueError("- stands for one photo, not for several or a folder; give one.")
    if PIPE in photos and (output.is_dir() or not (output.suffix or output == PIPE)):
        raise ValueError(
            f"the output {output} must be a file or -, for standard input has no name to keep."
        )
    # Closed streams are None.
    if PIPE in photos and (sys.stdin is None or sys.stdin.isatty()):
        raise ValueError("standard input is no file or pipe; send it a photo: < PHOTO.")
    if output == PIPE and (sys.stdout is None or sys.stdout.isatty()):
        raise ValueError("standard output is no file or pipe; send it elsewhere: > RESULT.")


@contextmanager
def piped(photo: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """Files to work on in place of `-`; what is in the output's then goes to standard output.

    Args:
        photo: the photo, or `-`.
        output: where its result goes, or `-`: in the photo's own format where that can be written,
            JPEG for HEIC, otherwise PNG.

    Raises:
        ValueError: if the photo is no picture.
        OSError: if nobody reads standard output.
    """
    from pydpst.photos.opening import MAXIMUM_BYTES

    with TemporaryDirectory(prefix="pydpst-") as folder:
        source, result = photo, output
        if photo == PIPE:
            source = _stand_in(Path(folder, "input"), "from standard input")
            source.write_bytes(sys.stdin.buffer.read(MAXIMUM_BYTES + 1))
        if output == PIPE:
            result = _stand_in(Path(folder, f"output{_suffix_for(source)}"), "standard output")
        try:
            yield source, result
        finally:
            if output == PIPE and result.is_file():
                _send(result.read_bytes())


def _stand_in(path: Path, name: str) -> Path:
    shown_as[os.fspath(path)] = name
    return path


def _suffix_for(photo: Path) -> str:
    """That of a result of a photo, by what the photo is, whatever it is called."""
    from pydpst.photos.opening import opened, picture_of, sentences
    from pydpst.photos.tiff import is_tiff

    what = f"the photo {photo}"
    with sentences(what), opened(photo, what) as file:
        if is_tiff(file.read(16)):
            return ".tif"
        file.seek(0)
        return _SUFFIXES.get(picture_of(file, what).format or "", ".png")


def _send(data: bytes) -> None:
    try:
        with open(sys.stdout.fileno(), "wb", closefd=False) as out:
            out.write(data)
    except OSError as error:
        raise OSError(
            f"the result could not be written to standard output ({error.strerror})."
        ) from None
