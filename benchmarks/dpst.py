"""Measures `pydpst.stylize` against the published results of deep photo style transfer.

    python benchmarks/dpst.py FOLDER RESULTS [--size 700]

FOLDER has input/inN.png, style/tarN.png, segmentation/{in,tar}N.png and published/N.png. Results
that are already in RESULTS are measured as they are. Prints a table: lower style distance and
residual and higher edge SSIM are better. RESULTS/sheet.png shows content, style, published, ours.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

import pydpst
from pydpst.image import resize, side_by_side
from pydpst.metrics import edge_ssim, photorealism_residual, style_distance
from pydpst.regions import label_maps


def hard_masks(labels: Tensor, regions: int) -> Tensor:
    return F.one_hot(labels + 1, regions + 1).permute(2, 0, 1)[1:].float()


def main(
    folder: Path,
    results: Path,
    size: Annotated[int, typer.Option(help="Pixels of the longer side.")] = 700,
    only: Annotated[str, typer.Option(help="Numbers of the pairs, with commas.")] = "",
) -> None:
    results.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", message="the region")
    numbers = sorted(int(path.stem[2:]) for path in (folder / "input").glob("in*.png"))
    if only:
        numbers = [int(number) for number in only.split(",")]
    rows, sheet = [], []
    for number in numbers:
        paths = {
            "content": folder / f"input/in{number}.png",
            "style": folder / f"style/tar{number}.png",
            "content_mask": folder / f"segmentation/in{number}.png",
            "style_mask": folder / f"segmentation/tar{number}.png",
        }
        output, seconds = results / f"{number}.png", float("nan")
        if not output.exists():
            start = time.perf_counter()
            result = pydpst.stylize(**paths, size=size)
            seconds = time.perf_counter() - start
            result.save(output)
        shown = (paths["content"], paths["style"], folder / f"published/{number}.png", output)
        content, style, published, ours = (resize(pydpst.load_image(p), size) for p in shown)
        labels, style_labels, names = label_maps(
            content, style, paths["content_mask"], paths["style_mask"]
        )
        masks, style_masks = hard_masks(labels, len(names)), hard_masks(style_labels, len(names))
        row = []
        for image in (published, ours):
            row.append(style_distance(image, content, style, masks, style_masks))
            row.append(edge_ssim(image, content))
            row.append(1000 * photorealism_residual(image, content))
        rows.append([*row, seconds])
        print(number, *(f"{value:.3f}" for value in rows[-1]), flush=True)
        sheet.append(side_by_side([resize(p, 480) for p in (content, style, published, ours)]))

    table = Table("", "style distance", "edge SSIM", "residual × 1000", "seconds a pair")
    means = torch.tensor(rows, dtype=torch.float64).nanmean(0).tolist()
    table.add_row("published", *(f"{value:.3f}" for value in means[:3]), "")
    table.add_row("ours", *(f"{value:.3f}" for value in means[3:]))
    Console().print(table)
    width = max(strip.shape[2] for strip in sheet)
    padded = [F.pad(strip, (0, width - strip.shape[2], 0, 6), value=1.0) for strip in sheet]
    pydpst.save_image(torch.cat(padded, 1), results / "sheet.png")


if __name__ == "__main__":
    typer.run(main)
