"""Recipes: all that a look depends on but the photo, as a JSON file."""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydpst.photos.opening import Refused, opened
from pydpst.photos.writing import write_whole
from pydpst.transfer.look import Look
from pydpst.transfer.options import options_of

_KIND, _FORMAT = "pydpst recipe", 1
_WEIGHTS = Path(__file__).parent.parent / "weights" / "vgg16.safetensors"
_PACKAGES = ("pydpst", "torch")
# Arguments of `pydpst.stylize` that belong to the photo, the machine or the caller.
_NOT_OF_THE_LOOK = ("content", "content_mask", "device", "max_memory", "planned", "callback")
# A recipe has a few kilobytes, and some for each result of a folder.
_MOST_BYTES = 2**28
_FILES = ("style", "style_mask")


@dataclass(frozen=True)
class Recipe:
    """A look, to be given to `pydpst.stylize` with a photo.

    Attributes:
        files: the style photo as style and, if the look has one, its label map as style_mask.
        options: the other arguments of `pydpst.stylize`, all of them that belong to the look.
        warnings: what here is not as it was when the recipe was written, a sentence each.
    """

    files: dict[str, Path]
    options: dict[str, Any]
    warnings: list[str] = field(default_factory=list)


def save_recipe(
    path: str | os.PathLike[str], style: str | os.PathLike[str], options: Mapping[str, Any]
) -> None:
    """Writes the recipe of a look, with checksums of its files and of the network's weights.

    Args:
        path: where to, ending in .json.
        style: the file of the style photo.
        options: keyword arguments of `pydpst.stylize`; the rest is as it is by default. Those that
            belong to the photo or the machine (content_mask, device, max_memory) are left out.

    Raises:
        ValueError: if a file cannot be read.
        OSError: if writing fails.
    """
    text = json.dumps(recipe_of(style, options, Path(path).parent), indent=2)
    write_whole(Path(path), text.encode() + b"\n")


def recipe_of(
    style: str | os.PathLike[str], options: Mapping[str, Any], folder: Path | None
) -> dict[str, Any]:
    """What `save_recipe` writes into a folder, None for none here; other arguments likewise."""
    given = {name: value for name, value in options.items() if name not in _NOT_OF_THE_LOOK}
    files = {"style": style, "style_mask": given.pop("style_mask", None)}
    return {
        "kind": _KIND,
        "format": _FORMAT,
        "files": {
            name: {**_places(Path(file), folder), "sha256": checksum(Path(file))}
            for name, file in files.items()
            if file is not None
        },
        "options": _as_json(Look(**given).settled()),
        "weights": {_WEIGHTS.name: checksum(_WEIGHTS)},
        "versions": {name: version(name) for name in _PACKAGES},
    }


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Reads what `save_recipe` wrote.

    Args:
        path: of the recipe. Files that it names are looked for where they lay as seen from it, so
            that a folder moves as a whole; then where they were, and beside the recipe.

    Returns:
        The recipe.

    Raises:
        ValueError: if it is no recipe or of a newer version; if a file that it names is gone or
            has changed, or the network's weights have.
    """
    path = Path(path)
    recipe = _read(path)
    files = {}
    for name, file in recipe["files"].items():
        what = name.replace("_", " ")
        there = _there(file, path.parent)
        if not there:
            raise ValueError(
                f"the {what} {file['path']} of the recipe {path} does not exist; put it there or "
                "beside the recipe."
            )
        same = [place for place in there if checksum(place) == file["sha256"]]
        if not same:
            raise ValueError(
                f"the {what} {there[0]} is not the one that the recipe {path} was written with; "
                "put that one there or beside the recipe."
            )
        files[name] = same[0]
    if recipe["weights"] != {_WEIGHTS.name: checksum(_WEIGHTS)}:
        raise ValueError(
            f"the recipe {path} was written with other weights of the VGG network; install "
            f"pydpst {recipe['versions'].get('pydpst')}."
        )
    warnings = [
        f"the recipe {path} was written with {name} {recipe['versions'].get(name)}, this is "
        f"{version(name)}: results may differ."
        for name in _PACKAGES
        if recipe["versions"].get(name) != version(name)
    ]
    return Recipe(files, recipe["options"], warnings)


def _places(file: Path, folder: Path | None) -> dict[str, str]:
    """Where a file is: as seen from the recipe's folder, and in itself if it is not beneath it."""
    file = file.resolve()
    if folder is None:
        return {"path": os.fspath(file)}
    try:
        relative = Path(os.path.relpath(file, folder.resolve()))
    except ValueError:  # on another drive
        return {"path": os.fspath(file)}
    if ".." not in relative.parts:
        return {"path": relative.as_posix()}
    return {"path": os.fspath(file), "relative": relative.as_posix()}


def _there(file: Mapping[str, str], folder: Path) -> list[Path]:
    """Of the places where a recipe's file may be, those where one is."""
    names = (file.get("relative"), file["path"], Path(file["path"]).name)
    places = [folder / name for name in names if name is not None]
    return [place for place in places if os.path.isfile(place)]


def _read(path: Path) -> dict[str, Any]:
    """The JSON of a recipe, if it has the shape of one."""
    try:
        with opened(path, f"the recipe {path}", "a recipe") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ValueError
        recipe = json.loads(text.decode("utf-8-sig"), parse_constant=_refuse)
    except Refused:
        raise
    except OSError as error:
        reason = error.strerror or "is a folder"
        raise ValueError(f"the recipe {path} cannot be read ({reason}).") from None
    except (ValueError, RecursionError):
        raise ValueError(
            f"the recipe {path} is not JSON; give a file that --save-recipe wrote."
        ) from None
    if not isinstance(recipe, dict) or recipe.get("kind") != _KIND:
        raise ValueError(f"{path} is not a recipe; give a file that --save-recipe wrote.")
    if recipe.get("format") != _FORMAT:
        raise ValueError(
            f"the recipe {path} is of the format {reprlib.repr(recipe.get('format'))}, this pydpst "
            f"reads {_FORMAT}; install a newer one."
        )
    parts = [recipe.get(name) for name in ("files", "options", "weights", "versions")]
    whole = all(isinstance(part, dict) for part in parts)
    whole = whole and all(isinstance(value, str) for value in recipe["versions"].values())
    whole = whole and "style" in recipe["files"] and set(recipe["files"]) <= set(_FILES)
    whole = whole and all(
        isinstance(file, dict)
        and isinstance(file.get("path"), str)
        and isinstance(file.get("relative", ""), str)
        and isinstance(file.get("sha256"), str)
        for file in recipe["files"].values()
    )
    if not whole:
        raise ValueError(f"the recipe {path} is damaged; give a file that --save-recipe wrote.")
    if unknown := set(recipe["options"]) - options_of(Look).keys():
        raise ValueError(
            f"the recipe {path} has an option {min(unknown)}, which is none of "
            f"{', '.join(options_of(Look))}."
        )
    try:
        Look(**recipe["options"])
    except ValueError as error:
        raise ValueError(f"the recipe {path} is damaged: {error}") from None
    return recipe


def _refuse(constant: str) -> None:
    """JSON has no NaN and no infinity, but Python reads them."""
    raise ValueError(constant)


def _as_json(look: Look) -> dict[str, Any]:
    """All options of a look, also those that were not given: another version may change them."""
    options = asdict(look)
    return {**options, "lock": list(options["lock"])}


def checksum(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        ValueError: if it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with opened(path, str(path)) as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from None
    return digest.hexdigest()
