"""What the photorealism term adds to a step of `pydpst.stylize`, in one run.

    python benchmarks/step.py [--size 512] [--device cpu]

Steps with and without the term take turns, so that a machine whose speed drifts treats both alike.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

import pydpst
from pydpst.losses.content import CONTENT_LAYERS
from pydpst.losses.style import STYLE_LAYERS
from pydpst.losses.vgg import VGGFeatures, quick_dtype
from pydpst.photos.resizing import resize
from pydpst.transfer.look import Look
from pydpst.transfer.pixels import Level, Objective, descend

PHOTOS = Path(__file__).parent.parent / "examples/photos"


def main(
    size: Annotated[int, typer.Option(help="Pixels of a side; photos are cut square.")] = 512,
    steps: Annotated[int, typer.Option(help="Steps of each kind.")] = 15,
    device: str = "cpu",
) -> None:
    photos = []
    for name in ("mountain_path", "hilltop_sunset"):
        photo = resize(pydpst.load_image(PHOTOS / f"{name}.jpg"), 1024)[:, :size, :size]
        photos.append(photo.contiguous().to(device))
    dtype = quick_dtype(torch.device(device))
    vgg = VGGFeatures(CONTENT_LAYERS + STYLE_LAYERS, dtype=dtype).to(device)
    whole = [torch.ones_like(photo[:1]) for photo in photos]
    level = Level(*photos, *whole, size)
    runs = {}
    for name, weight in (("without", 0.0), ("with", None)):
        weights = Look(method="pixels", photorealism_weight=weight).weights()
        runs[name] = descend(Objective(vgg, weights, level), level.content, steps + 2)
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(steps + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            next(run)  # ends in reading the losses, so the device is done
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times[2:]) for name, times in seconds.items()}
    height, width = level.content.shape[-2:]
    table = Table("a step", f"ms at {width}×{height}", "ratio")
    for name, median in medians.items():
        ratio = median / medians["without"]
        table.add_row(f"{name} the photorealism term", f"{1000 * median:.1f}", f"{ratio:.3f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
