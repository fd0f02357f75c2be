"""Restyles six pairs of the example photos, with automatic regions, and shows them side by side.

    python examples/gallery.py FOLDER [--size 720]

FOLDER gets a PNG for each pair and gallery.jpg: content, style and result of each, two in a row.
Results that are there already are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from torch import Tensor

import pydpst
from pydpst.photos.resizing import side_by_side

PHOTOS = Path(__file__).parent / "photos"
PAIRS = (
    ("city_day", "city_night"),
    ("lake", "beach_sunset"),
    ("autumn_meadow", "mountain_path"),
    ("city_night", "city_day"),
    ("mountain_path", "lake"),
    ("pier_evening", "lake"),
)


def thumbnail(photo: Tensor) -> Tensor:
    """The middle of a photo, 300×150 pixels, with a white rim on the right."""
    height, width = photo.shape[-2:]
    half = min(height, width // 2) // 2
    middle = photo[:, height // 2 - half : height // 2 + half, width // 2 - 2 * half :][
        ..., : 4 * half
    ]
    return F.pad(F.interpolate(middle[None], (150, 300), mode="area")[0], (0, 4), value=1)


def main(
    folder: Path,
    size: Annotated[int, typer.Option(help="Pixels of the longer side.")] = 720,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    strips = []
    for names in PAIRS:
        photos = [PHOTOS / f"{name}.jpg" for name in names]
        path = folder / f"{names[0]}_as_{names[1]}.png"
        if not path.exists():
            pydpst.stylize(*photos, size=size).save(path)
            print(path, flush=True)
        shown = [thumbnail(pydpst.load_image(photo)) for photo in (*photos, path)]
        strips.append(side_by_side(shown))
    rows = [F.pad(torch.cat(strips[k : k + 2], 2), (0, 0, 0, 8), value=1) for k in (0, 2, 4)]
    pydpst.save_image(torch.cat(rows, 1), folder / "gallery.jpg")


if __name__ == "__main__":
    typer.run(main)
