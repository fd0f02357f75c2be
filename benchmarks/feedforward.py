"""Prints the table and writes the picture of docs/feedforward.md.

python benchmarks/feedforward.py STYLE [NAME=MODEL ...] [--picture FILE] [--size PIXELS]

Models are files or bundled styles; the linear colour transfer and the optimisation are compared,
too. The photos are those of examples/photos, less the style; no bundled model has seen them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import pydpst
from pydpst import metrics
from pydpst.photos.resizing import resize, side_by_side
from pydpst.transfer.linear import transfer_color

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
NAMES = ("city_day", "lake", "mountain_path", "autumn_meadow", "pier_evening", "dandelion")


def linear(photo: Tensor, style: Tensor) -> Tensor:
    return transfer_color(photo, style, torch.ones_like(photo[:1]), torch.ones_like(style[:1]))


def measure(
    names: list[str], style: Tensor, size: int, restyle: Callable[[Tensor], Tensor]
) -> tuple[list[float], list[Tensor]]:
    """Style distance, edge SSIM, residual, processor seconds: means over photos; and results."""
    rows, results = [], []
    for name in names:
        photo = resize(pydpst.load_image(PHOTOS / f"{name}.jpg"), size)
        start = time.process_time()
        result = restyle(photo)
        seconds = time.process_time() - start
        rows.append(
            [
                metrics.style_distances(metrics.Comparison(result, photo, style)).total,
                metrics.edge_ssim(result, photo),
                metrics.photorealism_residual(result, photo),
                seconds,
            ]
        )
        results.append(result)
    return torch.tensor(rows).mean(0).tolist(), results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("style", type=Path)
    parser.add_argument("models", nargs="*", metavar="NAME=MODEL")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--size", type=int, default=720)
    parser.add_argument("--no-optimisation", action="store_true")
    options = parser.parse_args()
    style = resize(pydpst.load_image(options.style), options.size)
    names = [name for name in NAMES if name != options.style.stem]
    methods: dict[str, Callable[[Tensor], Tensor]] = {
        "linear colour transfer": lambda photo: linear(photo, style)
    }
    for pair in options.models:
        name, _, model = pair.partition("=")
        network = pydpst.load_model(model)
        methods[name] = lambda photo, network=network: pydpst.apply_model(network, photo)
    if not options.no_optimisation:
        methods["optimisation"] = lambda photo: (
            pydpst.stylize(photo, style, size=options.size).image
        )
    print("| method | style distance | edge SSIM | residual | processor seconds |")
    print("|---|---|---|---|---|")
    originals = [resize(pydpst.load_image(PHOTOS / f"{name}.jpg"), options.size) for name in names]
    columns = [originals]
    for name, restyle in methods.items():
        (distance, ssim, residual, seconds), results = measure(names, style, options.size, restyle)
        print(f"| {name} | {distance:.3f} | {ssim:.3f} | {residual:.1e} | {seconds:.2f} |")
        columns.append(results)
    if options.picture:
        rows = [side_by_side(row) for row in zip(*columns, strict=True)]
        width = min(row.shape[2] for row in rows)
        pydpst.save_image(torch.cat([resize(row, width) for row in rows], 1), options.picture)


if __name__ == "__main__":
    main()
