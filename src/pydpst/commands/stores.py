"""Folders in object stores, such as s3://bucket/photos, through fsspec."""

from __future__ import annotations

import re
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeAlias

    _Path: TypeAlias = Path
else:
    _Path = type(Path())  # what can be derived from before Python 3.12

_URL = re.compile(r"[a-z][a-z0-9.+-]+://", re.IGNORECASE)


class StorePath(_Path):
    """An object of a store, or the folder that objects' names make, by its URL.

    Names are put together and taken apart as those of files; what is asked of the file system is
    asked of the store. Objects are put whole, as the stores do it: S3, Google's, Azure's.

    Raises:
        ValueError: if the store cannot be reached, also where it is for want of a package.
    """

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)  # of two slashes pathlib keeps one

    @property
    def store(self) -> Any:
        """As fsspec has it."""
        return _store_of("//".join(self.parts[:2]))

    @property
    def key(self) -> str:
        """What the store calls it."""
        return str(self.store._strip_protocol(str(self)))

    def is_dir(self, **_: Any) -> bool:
        """Whether there are objects whose names begin with this and a slash."""
        with reached(self):
            self.store.invalidate_cache()
            return bool(self.store.isdir(self.key))

    def is_file(self, **_: Any) -> bool:
        """Whether it is an object."""
        with reached(self):
            self.store.invalidate_cache()
            return bool(self.store.isfile(self.key))

    def read_bytes(self) -> bytes:
        """The object's bytes."""
        with reached(self):
            return bytes(self.store.cat_file(self.key))

    def write_bytes(self, data: Any) -> int:
        """Puts an object."""
        with reached(self):
            self.store.pipe_file(self.key, bytes(data))
        return len(data)

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes an object, which must be there."""
        with reached(self):
            self.store.rm_file(self.key)

    def fetch(self, file: Path) -> None:
        """Copies the object to a file here."""
        with reached(self):
            self.store.get_file(self.key, str(file))

    def send(self, file: Path) -> None:
        """Puts a file from here."""
        with reached(self):
            self.store.put_file(str(file), self.key)

    def objects(self) -> list[StorePath]:
        """All in the folder and its folders, in order; or the object itself, if it is one.

        Names that cannot be those of files are left out with a warning, such as `a/../b`, which
        would lead out of the folder.
        """
        with reached(self):
            self.store.invalidate_cache()
            keys = self.store.find(self.key)
        found = []
        for key in keys:
            name = key.removeprefix(self.key.rstrip("/"))
            path = StorePath(f"{self}{name}")
            if str(path) == f"{self}{name}" and ".." not in path.parts and "::" not in name:
                found.append(path)
            elif not name.endswith("/"):  # what some programs put where a folder is to be seen
                warnings.warn(f"{self}{name} has no name of a file; it is left out.", stacklevel=2)
        return sorted(found)


def place(name: str) -> Path:
    """A path as it was typed: of a file or a folder here, or of one in a store."""
    if name.lower().startswith("file://"):
        return Path(name[len("file://") :])
    return StorePath(name) if _URL.match(name) else Path(name)


def check_writable(folder: StorePath) -> None:
    """Refuses a folder in which no object can be put.

    Raises:
        ValueError: with a sentence that names it.
    """
    probe = folder / f".pydpst-{secrets.token_hex(4)}.part"
    probe.write_bytes(b"")
    probe.unlink()


@contextmanager
def reached(path: Path) -> Iterator[None]:
    """What goes wrong with a store, in a sentence; each raises errors of its own."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(f"{path} cannot be reached ({reason}).") from None


@cache
def _store_of(root: str) -> Any:
    from fsspec.core import url_to_fs

    return url_to_fs(root)[0]
