"""What can be downloaded beside a result: its recipe, and its look for other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from pydpst.photos.image import save_image
from pydpst.regions.mask_colors import label_image
from pydpst.regions.masks import Regions
from pydpst.regions.names_file import NAMES_FILE, names_json
from pydpst.transfer.recipe import recipe_of
from pydpst.transfer.stylize import Result


def pack_recipe(
    path: Path, style: Path, options: Mapping[str, Any], masks: Mapping[str, Path]
) -> Path:
    """Writes what `pydpst stylize --recipe` takes, with the files that it needs.

    Args:
        path: where to, a zip.
        style: the style photo.
        options: of `pydpst.stylize`.
        masks: label maps of content and style by these names; none if regions were found. What
            regions are called is taken along from the content's folder.
    """
    files = {style.name: style}
    named = {role: f"{role}_mask{mask.suffix.lower()}" for role, mask in masks.items()}
    files |= {named[role]: mask for role, mask in masks.items()}
    if masks and (names := masks["content"].parent / NAMES_FILE).is_file():
        files[NAMES_FILE] = names
    recipe = recipe_of(style, {**options, "style_mask": masks.get("style")}, style.parent)
    if masks:
        recipe["files"]["style_mask"] = {
            "path": named["style"],
            "sha256": recipe["files"]["style_mask"]["sha256"],
        }
    with ZipFile(path, "w") as pack:  # photos are compressed already
        pack.writestr("recipe.json", json.dumps(recipe, indent=2) + "\n")
        for name, file in files.items():
            pack.write(file, name)
    return path


def write_masks(folder: Path, regions: Regions) -> dict[str, Path]:
    """Label maps of regions that no file holds yet, and what they are called; by content, style."""
    masks = {}
    for role, labels in (("content", regions.content), ("style", regions.style)):
        masks[role] = folder / f"{role}_mask.png"
        save_image(label_image(labels, regions.names), masks[role])
    (folder / NAMES_FILE).write_text(names_json(regions), encoding="utf-8")
    return masks


def pack_look(path: Path, result: Result) -> Path | None:
    """Writes the tables and masks of a grade into a zip; None for what is no grade."""
    if result.grade is None:
        return None
    with TemporaryDirectory(dir=path.parent) as folder, ZipFile(path, "w", ZIP_DEFLATED) as pack:
        for file in result.export_look(folder):
            pack.write(file, file.name)
    return path
