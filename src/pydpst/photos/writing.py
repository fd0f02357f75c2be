"""Where files may be written, and writing them whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
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
        ValueError: if the suffix is none of these, the path is a folder or no regular file, or its
            parent is no folder that can be written to.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        several = "one of " if len(suffixes) > 1 else ""
        raise ValueError(f"the output {path} must end in {several}{', '.join(suffixes)}.")
    target = Path(os.path.realpath(path))
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except NotADirectoryError:
        raise ValueError(
            f"the output folder {path.parent} does not exist; create it first."
        ) from None
    except OSError as error:  # such as links in a circle, and names that are too long
        raise ValueError(
            f"the output {path} cannot be written ({error.strerror}); choose another."
        ) from None
    if stat.S_ISDIR(mode):
        raise ValueError(f"the output {path} is a folder; give the path of a file.")
    if not stat.S_ISREG(mode):
        raise ValueError(f"the output {path} is no regular file; choose another name for it.")
    if not os.path.isdir(target.parent):
        raise ValueError(f"the output folder {path.parent} does not exist; create it first.")
    check_folder(target.parent)
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

    A link stays, and the file that it leads to is written.

    Raises:
        OSError: if writing fails.
    """
    target = Path(os.path.realpath(path))
    beside = target.parent / f".pydpst-{secrets.token_hex(4)}.part"
    try:
        beside.write_bytes(data)
        os.replace(beside, target)
    except OSError as error:
        raise OSError(f"the output {path} could not be written ({error.strerror}).") from None
    finally:
        beside.unlink(missing_ok=True)
