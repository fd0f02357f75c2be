"""Measures `pydpst.stylize` against the published results of deep photo style transfer.

    python benchmarks/dpst.py FOLDER RESULTS [--size 700] [--only 1,3] [--modes given,auto,none]

FOLDER has input/inN.png, style/tarN.png, segmentation/{in,tar}N.png and published/N.png. Results go
to RESULTS/MODE/N.png, their seconds beside them; those that are already there are not made again.
The modes: given is a grade with the masks of the folder, auto one with regions by what the photos
show, clusters one with regions by looks, none one for the whole photo, pixels the method pixels
with the masks, and match what the network of `pydpst apply --style` gives in one pass, for the
whole photo or, match-auto, by regions. All are measured with the masks of the folder: style and
colour distance relative to the content's, edge SSIM, flat and 1000 times the photorealism
residual (see `pydpst.metrics`).
RESULTS/sheets/N.png shows each pair in full size.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table
from torch import Tensor

import pydpst
from pydpst.metrics import Comparison, evaluate
from pydpst.photos.resizing import match_size, resize
from pydpst.photos.writing import write_whole
from pydpst.regions.labels import MaskPair, label_maps
from pydpst.transfer.stylize import Progress

MODES = {
    "given": {},
    "auto": {"regions": "auto"},
    "clusters": {"regions": "clusters"},
    "none": {"regions": "none"},
    "pixels": {"method": "pixels"},
    "match": {},
    "match-auto": {"regions": "auto"},
}
console = Console()


class Row(NamedTuple):
    """The measures of one result; the seconds are nan for the published ones."""

    style_distance: float
    color_distance: float
    edge_ssim: float
    flat: float
    residual: float
    seconds: float


MEASURES = ("style", "colour", "edge SSIM", "flat", "residual")


def is_worse(measure: str, ours: float, theirs: float) -> bool:
    return ours < theirs if measure == "edge SSIM" else ours > theirs


class Pair(NamedTuple):
    """A pair's number and its files."""

    number: int
    content: Path
    style: Path
    content_mask: Path
    style_mask: Path
    published: Path


def find_pairs(folder: Path, only: str) -> list[Pair]:
    try:
        numbers = [int(number) for number in only.split(",") if number]
    except ValueError:
        raise typer.BadParameter(f"the numbers are {only!r}; give them like 1,3.") from None
    pairs = [
        Pair(
            number,
            folder / f"input/in{number}.png",
            folder / f"style/tar{number}.png",
            folder / f"segmentation/in{number}.png",
            folder / f"segmentation/tar{number}.png",
            folder / f"published/{number}.png",
        )
        for number in numbers
        or sorted(int(path.stem[2:]) for path in (folder / "input").glob("in*.png"))
    ]
    missing = [path for pair in pairs for path in pair[1:] if not path.exists()]
    if missing or not pairs:
        raise typer.BadParameter(f"there is no {missing[0] if missing else folder / 'input'}.")
    return pairs


def stylized(pair: Pair, mode: str, results: Path, size: int) -> float:
    """The seconds that the pair's result took, which is made if it is not there."""
    output, notes = results / mode / f"{pair.number}.png", results / mode / f"{pair.number}.json"
    if output.exists() and notes.exists():
        made = json.loads(notes.read_text())
        if made["size"] != size:
            raise typer.BadParameter(
                f"{output} was made with --size {made['size']}, not {size}; give another RESULTS."
            )
        return float(made["seconds"])
    options: dict[str, Any] = dict(MODES[mode])
    if mode.startswith("match"):
        start = time.perf_counter()
        photo, style = (resize(pydpst.load_image(p), size) for p in (pair.content, pair.style))
        image = pydpst.match(photo, style, **options).image
        return kept(image, output, notes, size, time.perf_counter() - start)
    if "regions" not in options:
        options |= {"content_mask": pair.content_mask, "style_mask": pair.style_mask}
    with console.status("") as status:

        def show(progress: Progress) -> None:
            status.update(f"pair {pair.number} {mode}, step {progress.step} of {progress.steps}")

        start = time.perf_counter()
        result = pydpst.stylize(pair.content, pair.style, size=size, callback=show, **options)
        seconds = time.perf_counter() - start
    if result.interrupted:
        raise typer.Exit(130)
    return kept(result.working, output, notes, size, seconds)


def kept(image: Tensor, output: Path, notes: Path, size: int, seconds: float) -> float:
    """Writes a result and its seconds, which it returns."""
    output.parent.mkdir(parents=True, exist_ok=True)
    pydpst.save_image(image, output)
    write_whole(notes, json.dumps({"size": size, "seconds": seconds}).encode())
    return seconds


def labelled(image: Tensor, label: str, width: int) -> Image.Image:
    """A picture of that width at most under its label."""
    pixels = (resize(image, width) * 255).round().byte().permute(1, 2, 0).contiguous()
    picture = Image.fromarray(pixels.numpy())
    cell = Image.new("RGB", (width, picture.height + 24), "white")
    ImageDraw.Draw(cell).text((2, 2), label, "black", ImageFont.load_default(16))
    cell.paste(picture, (0, 24))
    return cell


def contact_sheet(rows: list[list[Image.Image]], gap: int = 6) -> Image.Image:
    heights = [max(cell.height for cell in row) + gap for row in rows]
    width = max(sum(cell.width + gap for cell in row) for row in rows)
    sheet = Image.new("RGB", (width, sum(heights)), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for cell in row:
            sheet.paste(cell, (left, top))
            left += cell.width + gap
        top += height
    return sheet


def main(
    folder: Path,
    results: Path,
    size: Annotated[int, typer.Option(help="Pixels of the longer side.")] = 700,
    only: Annotated[str, typer.Option(help="Numbers of the pairs, with commas.")] = "",
    modes: Annotated[str, typer.Option(help="Some of them, with commas.")] = ",".join(MODES),
) -> None:
    wanted = modes.split(",")
    if not set(wanted) <= set(MODES):
        raise typer.BadParameter(f"the modes are {modes!r}; they must be among {', '.join(MODES)}.")
    pairs = find_pairs(folder, only)
    warnings.filterwarnings("ignore", message="the region")

    rows: dict[str, list[Row]] = {name: [] for name in ("published", *wanted)}
    print(f"pair  {'':9}" + "".join(f"{name:>11}" for name in (*MEASURES, "seconds")))
    for pair in pairs:
        paths, seconds = {"published": pair.published}, {"published": float("nan")}
        for mode in wanted:
            seconds[mode] = stylized(pair, mode, results, size)
            paths[mode] = results / mode / f"{pair.number}.png"
        content, style = (resize(pydpst.load_image(p), size) for p in (pair.content, pair.style))
        masks = label_maps(
            content, style, MaskPair(pair.content_mask, pair.style_mask)
        ).hard_masks()
        cells = [
            labelled(content, f"{pair.number} content", size),
            labelled(style, "style", size),
        ]
        for name, path in paths.items():
            image = match_size(pydpst.load_image(path), content, name, "content")
            measured = evaluate(Comparison(image, content, style, *masks))
            row = Row(
                measured.style.total,
                measured.color.total,
                measured.edge_ssim,
                measured.flat,
                1000 * measured.residual,
                seconds[name],
            )
            rows[name].append(row)
            figures = "".join(f"{value:11.3f}" for value in row)
            print(f"{pair.number:4}  {name:9}{figures}", flush=True)
            cells.append(labelled(image, name, size))
        rows_of_three = [cells[k : k + 3] for k in range(0, len(cells), 3)]
        (results / "sheets").mkdir(exist_ok=True)
        contact_sheet(rows_of_three).save(results / "sheets" / f"{pair.number}.png")

    means = {name: torch.tensor(of).double().mean(0).tolist() for name, of in rows.items()}
    table = Table(f"means of {len(pairs)}", *MEASURES, "seconds")
    for name, values in means.items():
        table.add_row(name, *("" if value != value else f"{value:.3f}" for value in values))
    for mode in wanted:
        ratios = [
            f"{ours - theirs:+.3f}" if measure == "edge SSIM" else f"{ours / theirs:.2f} ×"
            for measure, ours, theirs in zip(
                MEASURES, means[mode], means["published"], strict=False
            )
        ]
        table.add_row(f"{mode} to published", *ratios, "")
    for mode in wanted:
        lost = [
            [
                str(pair.number)
                for pair, ours, theirs in zip(pairs, rows[mode], rows["published"], strict=True)
                if is_worse(measure, ours[column], theirs[column])
            ]
            for column, measure in enumerate(MEASURES)
        ]
        table.add_row(f"{mode}, lost pairs", *(", ".join(of) or "none" for of in lost), "")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
