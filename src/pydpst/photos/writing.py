"""Where files may be written, and writing them whole or not at all."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Collection
from pathlib import Path

from pydpst.photos.encode import PICTURES


def check_output(path: str | os.PathLike[str], suffixes: Collection[str] = PICTURES) -> Path:
    """The path of a file to be written, if it can be.

    Args:
        path: where to write; its suffix gives the format.
        suffixes: those it may have; by default those of pictures.

    Returns:
        The same path.

    Raises:
        ValueError: if the suffix is none of these, the path is a folder, or its parent is no folder
            that can be written to.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"the output {path} must end in one of {', '.join(suffixes)}.")
    if path.is_dir():
        raise ValueError(f"the output {path} is a folder; give the path of a file.")
    if not path.parent.is_dir():
        raise ValueError(f"the output folder {path.parent} does not exist; create it first.")
    check_folder(path.parent)
    return path


def check_folder(folder: Path) -> None:
    """Refuses a folder in which no file can be made.

    Raises:
        ValueError: with a sentence that names it.
    """
    try:
        # Permission bits do not tell all: root passes them, and a file system may be read-only.
        tempfile.NamedTemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(
            f"the output folder {folder} cannot be written to ({error.strerror}); choose another."
        ) from None


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Writes a file beside its place and renames it, so that it is there whole or not at all.

    Raises:
        OSError: if writing fails.
    """
    beside = path.parent / f".pydpst-{secrets.token_hex(4)}.part"
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    except OSError as error:
        raise OSError(f"the output {path} could not be written ({error.strerror}).") from None
    finally:
        beside.unlink(missing_ok=True)
