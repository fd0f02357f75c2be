"""Which models there are, and what their files say of themselves; without torch, so in no time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

FORMAT_KEY, VERSION = "pydpst", 1

_STYLES = Path(__file__).parent.parent / "weights" / "styles"


def styles() -> dict[str, str]:
    """The bundled models: the note on authors and terms of each, by name."""
    return {
        path.stem: str(read_about(path, "model").get("license", ""))
        for path in sorted(_STYLES.glob("*.safetensors"))
    }


def model_path(model: str | os.PathLike[str]) -> Path:
    """The file of a model: of a bundled one by its name, or the path itself.

    Raises:
        ValueError: if there is no such file.
    """
    bundled = _STYLES / f"{os.fspath(model)}.safetensors"
    if len(Path(model).parts) == 1 and bundled.is_file():
        return bundled
    if not Path(model).is_file():
        names = ", ".join(path.stem for path in sorted(_STYLES.glob("*.safetensors")))
        problem = "is no file" if os.path.lexists(model) else "does not exist"
        raise ValueError(
            f"the model {os.fspath(model)} {problem}; give a model file or one of the bundled "
            f"styles: {names}."
        )
    return Path(model)


def read_about(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """What a file says beside its tensors: the JSON that `model_file.write_tensors` was given.

    Args:
        path: of the file.
        kind: what it must be: "model" or "checkpoint".

    Raises:
        ValueError: if the file is not there, damaged, of another kind or of a newer version.
    """
    path = Path(path)
    check_there(path, kind)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
    except (SafetensorError, OSError) as error:
        raise ValueError(damaged(path, kind, error)) from None
    return about_of(metadata, path, kind)


def check_there(path: Path, kind: str) -> None:
    """Refuses a path that is no file.

    Raises:
        ValueError: with a sentence that names it.
    """
    if not path.is_file():
        raise ValueError(f"the {kind} {path} does not exist; give the path of a {kind} file.")


def damaged(path: Path, kind: str, error: Exception) -> str:
    """The sentence for a file that is no whole safetensors file."""
    return (
        f"the {kind} {path} is damaged or no safetensors file ({error}); give one that "
        "`pydpst train` wrote."
    )


def about_of(metadata: Mapping[str, str] | None, path: Path, kind: str) -> dict[str, Any]:
    """The JSON in a safetensors file's metadata.

    Raises:
        ValueError: if it is of another kind or of a newer version.
    """
    try:
        about = json.loads((metadata or {}).get(FORMAT_KEY) or "")
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or about.get("kind") != kind:
        raise ValueError(f"{path} is no {kind} of pydpst; give one that `pydpst train` wrote.")
    version = about.get("version")
    if type(version) is not int or version > VERSION:
        raise ValueError(
            f"the {kind} {path} has version {version}, but this pydpst knows versions up to "
            f"{VERSION}; upgrade pydpst."
        )
    return about
