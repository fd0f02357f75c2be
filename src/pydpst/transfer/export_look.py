"""A grade for other programs: for each region a look-up table and its mask."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pydpst.matting.guided import EnlargedPlanes
from pydpst.ops import grade_apply
from pydpst.photos.encode import encoded
from pydpst.photos.writing import write_whole
from pydpst.transfer.cube import cube_text, identity_cube
from pydpst.transfer.finish import with_luminance_of
from pydpst.transfer.full_size import strip_rows

# The usual size of tables for grading, and the level of a HaldCLUT: 8³ = 64 entries a side.
_CUBE_SIZE, _HALD_LEVEL = 33, 8
_WORDS = "look.txt"


def export_look(
    folder: str | os.PathLike[str],
    maps: Tensor,
    names: Sequence[str],
    masks: Iterable[np.ndarray[Any, Any]],
    *,
    preserve_luminance: bool = False,
) -> list[Path]:
    """Writes a grade as tables and masks.

    Args:
        folder: where to; made if it is not there, and otherwise empty or of an earlier export.
        maps: (R, 1 or 7, K, 12), as for `ops.grade_apply`.
        names: of the regions.
        masks: of each region (H, W), uint16, of the photo's size: how much of the region's change
            a pixel gets.
        preserve_luminance: whether the tables keep the brightness of colours.

    Returns:
        The files: NAME.cube and NAME.png for each region, of one region also a HaldCLUT, and
        look.txt, which says what to do with them.

    Raises:
        ValueError: if the folder is refused.
        OSError: if writing fails.
    """
    folder = check_look_folder(folder)
    folder.mkdir(exist_ok=True)
    files: dict[str, bytes | memoryview] = {}
    plain = [re.sub(r"[^\w-]", "", name) or f"region{r}" for r, name in enumerate(names)]
    for name, region, mask in zip(plain, maps, masks, strict=True):
        cube = table_of(region, identity_cube(_CUBE_SIZE), preserve_luminance)
        files[f"{name}.cube"] = cube_text(cube, name).encode()
        files[f"{name}.png"] = encoded(mask, ".png")
    if len(plain) == 1:
        hald = table_of(maps[0], identity_cube(_HALD_LEVEL**2), preserve_luminance)
        side = _HALD_LEVEL**3
        levels = (hald * 65535).round().numpy().astype(np.uint16).reshape(side, side, 3)
        files[f"{plain[0]}.hald.png"] = encoded(levels, ".png")
    files[_WORDS] = _words(plain).encode()
    for name, data in files.items():
        write_whole(folder / name, data)
    return [folder / name for name in files]


def check_look_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder, if a look can be exported to it.

    Raises:
        ValueError: if it is a file, its parent is no folder, or it holds other things.
    """
    folder = Path(folder)
    if os.path.lexists(folder) and not folder.is_dir():
        raise ValueError(f"the output {folder} is a file; it must be a folder.")
    if not folder.parent.is_dir():
        raise ValueError(f"the output folder {folder.parent} does not exist; create it first.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _WORDS).is_file():
        raise ValueError(f"the folder {folder} holds other files; choose another for the look.")
    return folder


def table_of(maps: Tensor, entries: Tensor, preserve_luminance: bool = False) -> Tensor:
    """What a region's maps (1 or 7, K, 12) do to the entries (..., 3) of a table; float32."""
    colours = entries.reshape(-1, 3).T.float()[None, :, None]
    everything = torch.ones_like(colours[:, :1])
    graded = grade_apply(maps[None, None].cpu().float(), everything, colours)[0].clamp(0, 1)
    if preserve_luminance:
        graded = with_luminance_of(colours[0], graded)
    return graded[:, 0].T.reshape(entries.shape)


def full_masks(photo: Tensor, content: Tensor, masks: Tensor, regions: int) -> Tensor:
    """Masks of a small copy at the photo's size.

    Args:
        photo: (3, H, W).
        content: (3, h, w), the photo scaled down.
        masks: (R, h, w), summing to 1.
        regions: how many of them are wanted, the first ones.

    Returns:
        (regions, H, W), float16, on the CPU.
    """
    height, width = photo.shape[-2:]
    enlarge = EnlargedPlanes(content, masks, height)
    full = torch.empty(regions, height, width, dtype=torch.float16)
    rows = strip_rows(width)
    for top in range(0, height, rows):
        strip = enlarge(photo[:, top : top + rows].to(content.device), top)
        full[:, top : top + rows] = strip[:regions] / strip.sum(0).clamp_min(1e-6)
    return full


def _words(names: Sequence[str]) -> str:
    tables = "\n".join(f"  {name}.cube   a 3D table of {_CUBE_SIZE}³ entries" for name in names)
    hald = f"  {names[0]}.hald.png   the same as a HaldCLUT\n" if len(names) == 1 else ""
    return f"""A look, as tables and masks for other programs. Colours are sRGB.

{tables}
{hald}  NAME.png    the mask of that region: white where its table counts, of the photo's size

The result is the photo, plus for each region its mask times what its table changes.

darktable: module "lut 3D", file NAME.cube, application colour space sRGB; a new instance for each
  region, blended by a raster or drawn mask made of NAME.png (module "external raster masks").
RawTherapee: Film Simulation takes NAME.hald.png. It has no masks.
Photoshop: a Color Lookup adjustment layer for each region, 3D LUT File NAME.cube, and NAME.png as
  its layer mask; one above the other, in any order where masks do not overlap.
DaVinci Resolve: a parallel node for each region, LUT NAME.cube; NAME.png as an external matte.
"""
