"""Restyles six pairs of the example photos, with automatic regions, and shows them side by side.

    python examples/gallery.py FOLDER [--size 720]

FOLDER gets a PNG for each pair and gallery.jpg: content, style and result of each, two in a row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer

import pydpst
from pydpst.image import resize, side_by_side

PHOTOS = Path(__file__).parent / "photos"
PAIRS = (
    ("city_day", "city_night"),
    ("lake", "beach_sunset"),
    ("mountain_path", "mountain_evening"),
    ("autumn_meadow", "hilltop_sunset"),
    ("pier_evening", "lake"),
    ("city_night", "beach_sunset"),
)


def main(
    folder: Path,
    size: Annotated[int, typer.Option(help="Pixels of the longer side.")] = 720,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    strips = []
    for names in PAIRS:
        content, style = (resize(pydpst.load_image(PHOTOS / f"{n}.jpg"), size) for n in names)
        result = pydpst.stylize(content, style)
        path = folder / f"{names[0]}_as_{names[1]}.png"
        result.save(path)
        print(path, flush=True)
        thumbnails = [resize(image, 300) for image in (content, style, result.image)]
        height = min(image.shape[1] for image in thumbnails)
        strips.append(side_by_side([image[:, :height] for image in thumbnails]))
    tallest = max(strip.shape[1] for strip in strips)
    padded = [F.pad(strip, (0, 12, 0, tallest - strip.shape[1] + 6), value=1) for strip in strips]
    rows = [torch.cat(padded[k : k + 2], 2) for k in range(0, len(padded), 2)]
    pydpst.save_image(torch.cat(rows, 1), folder / "gallery.jpg")


if __name__ == "__main__":
    typer.run(main)
