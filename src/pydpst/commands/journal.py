"""What of a folder's results is done, and of what each was made, so that a run can go on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from pydpst.commands.stores import StorePath

NAME = "recipe.json"
# What a run adds to that, a line each, which takes as long for the millionth as for the first.
_LINES = ".pydpst-results.jsonl"
# Photos and results that are read at once, to know which are done.
_READERS = 8

# Photos, and where their results go.
Pairs: TypeAlias = list[tuple[Path, Path]]
# Restyles the photo of a file, and writes the result.
Restyle: TypeAlias = Callable[[Path, Path], None]
# The checksums of a photo and of its result; empty while that is being written.
Record: TypeAlias = dict[str, str]


def recorded(restyle: Restyle, photo: Path, result: Path) -> Record:
    """Restyles a photo; the record of it."""
    before = checksum_before(photo)
    restyle(photo, result)
    return {"photo": before, "sha256": checksum_of(result)}


def results_beneath(folder: Path) -> set[Path]:
    """The results of runs into folders beneath a folder, by their recipes."""
    recipes = [path for path in folder.rglob(NAME) if path.parent != folder]
    return {r.parent / name for r in recipes for name in _records_of(_read(r))}


class Journal:
    """The recipe in an output folder, with the checksums of each result and its photo.

    A result is recorded before it is written and again when it is there, so that what a killed run
    left can be told from what somebody else put in its place. Nothing is written before that. While
    it is open, as a context, records are lines of a file of their own; what is found of them when a
    run was killed counts. Objects of a store cannot grow: there it is a folder of such files.

    Args:
        folder: the output folder, here or in a store, which need not be there yet.
        recipe: all that the results depend on but the photos, as `pydpst.transfer.recipe` has it.

    Raises:
        ValueError: if the folder holds results of another look.
    """

    def __init__(self, folder: Path, recipe: dict[str, Any]) -> None:
        self.path = folder / NAME
        self._folder, self._recipe = folder, recipe
        self._records: dict[str, Record] = {}
        self._lines = folder / _LINES
        self._begun, self._parts = False, 0
        self._look_around()
        if not self._is_there(self.path):
            return
        earlier = _read(self.path)
        records = {**_records_of(earlier), **_read_lines(self._lines)}
        there = any(self._has(name) for name in records)
        if _look_of(earlier) != _look_of(recipe) and (there or not records):
            raise ValueError(
                f"the folder {folder} holds results of another look (see {self.path}); choose "
                "another."
            )
        self._records = records if there else {}
        if not isinstance(folder, StorePath):  # which keeps nothing of what was not put whole
            for part in folder.rglob(".pydpst-*.part"):
                part.unlink(missing_ok=True)

    def check(self, results: Iterable[Path]) -> None:
        """Refuses to go on where files would be overwritten that no run wrote.

        Raises:
            ValueError: with a sentence that names the first of them.
        """
        for result in results:
            if self._is_there(result) and not self._is_own(result):
                raise ValueError(
                    f"{result} is not a file that was written there; move it away, or choose "
                    "another output folder."
                )

    def done_of(self, pairs: Pairs) -> set[Path]:
        """The results that are there, whole, and of the photos as they are now."""
        pool = ThreadPoolExecutor(_READERS)
        try:
            done = pool.map(lambda pair: self._is_done(*pair), pairs)
            return {result for (_, result), is_done in zip(pairs, done, strict=True) if is_done}
        finally:
            pool.shutdown(cancel_futures=True)

    def _is_done(self, photo: Path, result: Path) -> bool:
        record = self._records.get(self._name(result))
        if not record:  # nothing of a new folder needs to be read
            return False
        try:
            return record == {"photo": checksum_of(photo), "sha256": checksum_of(result)}
        except ValueError:
            return False

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._begun:
            self._look_around()
            self._records = {name: r for name, r in self._records.items() if r or self._has(name)}
            self._write()
            _remove_lines(self._lines)

    def begin(self, *results: Path) -> None:
        """To be called before results are written; makes their folders."""
        for folder in {result.parent for result in results}:
            if not isinstance(folder, StorePath):  # which has names only
                folder.mkdir(parents=True, exist_ok=True)
        self._add({result: {} for result in results})

    def finish(self, records: Mapping[Path, Record]) -> None:
        """To be called when results are written."""
        self._add(records)

    def _add(self, records: Mapping[Path, Record]) -> None:
        if not records:
            return
        if not self._begun:
            self._write()
            _remove_lines(self._lines)
            self._begun = True
        named = {self._name(result): record for result, record in records.items()}
        self._records |= named
        text = b"".join(json.dumps(line).encode() + b"\n" for line in named.items())
        if isinstance(self._lines, StorePath):
            self._lines.joinpath(f"{self._parts:09}.jsonl").write_bytes(text)
            self._parts += 1
            return
        with open(self._lines, "ab") as lines:
            lines.write(text)

    def _name(self, result: Path) -> str:
        return PurePath(result).relative_to(PurePath(self._folder)).as_posix()

    def _look_around(self) -> None:
        """Lists what is in a store, which takes as long as to ask for a few hundred objects."""
        if isinstance(self._folder, StorePath):
            self._stored = set(self._folder.objects())

    def _is_there(self, path: Path) -> bool:
        return path in self._stored if isinstance(path, StorePath) else os.path.lexists(path)

    def _has(self, name: str) -> bool:
        path = self._folder / name
        return self._is_there(path) if isinstance(path, StorePath) else path.exists()

    def _is_own(self, result: Path) -> bool:
        """Whether a run wrote this, or tried to."""
        from pydpst.photos.decode import decode

        record = self._records.get(self._name(result))
        if record is None or not (isinstance(result, StorePath) or result.is_file()):
            return False
        if "sha256" not in record or checksum_of(result) == record["sha256"]:
            return True
        if isinstance(result, StorePath):
            return False
        try:
            decode(result)
        except ValueError:
            return True  # broken since
        return False

    def _write(self) -> None:
        from pydpst.photos.writing import write_whole

        records = {name: self._records[name] for name in sorted(self._records)}
        text = json.dumps({**self._recipe, "results": records}, indent=2).encode() + b"\n"
        if isinstance(self.path, StorePath):
            self.path.write_bytes(text)
        else:
            write_whole(self.path, text)


def _read(path: Path) -> dict[str, Any]:
    try:
        recipe = json.loads(path.read_bytes().decode())
    except (OSError, ValueError, RecursionError):
        return {}
    return recipe if isinstance(recipe, dict) else {}


def _look_of(recipe: dict[str, Any]) -> dict[str, Any]:
    """What the results depend on: all but where the files are."""
    files = recipe.get("files")
    sums = {
        name: file.get("sha256") if isinstance(file, dict) else None
        for name, file in (files.items() if isinstance(files, dict) else ())
    }
    return {**recipe, "files": sums, "results": None}


def _records_of(recipe: dict[str, Any]) -> dict[str, Record]:
    records = recipe.get("results")
    if not isinstance(records, dict):
        return {}
    return {name: record for name, record in records.items() if isinstance(record, dict)}


def _read_lines(path: Path) -> dict[str, Record]:
    records = {}
    parts = path.objects() if isinstance(path, StorePath) else [path]
    try:
        lines = [line for part in parts for line in part.read_bytes().splitlines()]
    except OSError:
        return {}
    for line in lines:
        try:
            name, record = json.loads(line)
        except (ValueError, TypeError):  # cut off when the run was killed
            continue
        if isinstance(name, str) and isinstance(record, dict):
            records[name] = record
    return records


def _remove_lines(path: Path) -> None:
    for part in path.objects() if isinstance(path, StorePath) else [path]:
        part.unlink(missing_ok=True)


def checksum_before(photo: Path) -> str:
    """SHA-256 of a photo; empty if it cannot be read, of which who decodes it has more to say."""
    with suppress(OSError, ValueError):
        return checksum_of(photo)
    return ""


def checksum_of(path: Path) -> str:
    """SHA-256 of a file or an object; raises ValueError if it cannot be read."""
    from pydpst.transfer.recipe import checksum

    if isinstance(path, StorePath):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return checksum(path)
