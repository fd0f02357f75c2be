"""What a command reads and writes, declared before it does either: no input is written over."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from pydpst.commands.stores import StorePath

# By what the command line calls them: --content-mask, CONTENT.
Files: TypeAlias = Mapping[str, Path | Collection[Path] | None]


def check_files(reads: Files, writes: Files, folders: Files | None = None) -> None:
    """Refuses outputs that are also inputs or one another, whatever links lead there.

    Args:
        reads: what is read; a folder stands for all that it holds.
        writes: files that are written.
        folders: those in which files are written whose names are not known yet.

    Raises:
        ValueError: with a sentence that names the path and the options.
    """
    inputs = {key: what for what, path in _files(reads) for key in _keys(path)}
    outputs: dict[object, str] = {}
    for option, path in _paths(writes):
        keys = _keys(path)
        for key in keys & inputs.keys():
            raise ValueError(
                f"the output {path} ({option}) is also an input ({inputs[key]}); choose another "
                "name for it."
            )
        for key in keys & outputs.keys():
            raise ValueError(f"{outputs[key]} and {option} are both {path}; they must differ.")
        outputs |= dict.fromkeys(keys, option)
    for option, folder in _paths(folders or {}):
        top = os.path.realpath(folder)
        for what, path in _files(reads):
            if Path(os.path.realpath(path)).is_relative_to(top):
                raise ValueError(
                    f"the folder {folder} ({option}) holds an input, {path} ({what}); choose "
                    "another."
                )


def label_map(mask: Path | None) -> list[Path]:
    """A label map and, if it is beside it, the file of its regions' names, which is read too."""
    from pydpst.regions.names_file import NAMES_FILE

    if mask is None:
        return []
    names = mask.parent / NAMES_FILE
    return [mask, names] if names.is_file() else [mask]


def _paths(files: Files) -> Iterator[tuple[str, Path]]:
    for what, paths in files.items():
        for path in [paths] if isinstance(paths, Path) else paths or ():
            yield what, path


def _files(files: Files) -> Iterator[tuple[str, Path]]:
    for what, path in _paths(files):
        if isinstance(path, StorePath) or not path.is_dir():
            yield what, path
            continue
        for parent, _, names in os.walk(path):
            yield from ((what, Path(parent, name)) for name in names)


def _keys(path: Path) -> set[object]:
    """What another path has one of if it is the same file, by links, hard ones too, or by case."""
    if isinstance(path, StorePath):
        return {(type(path.store), path.key)}  # gs:// and gcs:// are one store
    try:
        status = os.stat(path)
    except OSError:
        return {os.path.realpath(path)}
    return {os.path.realpath(path), (status.st_dev, status.st_ino)}
