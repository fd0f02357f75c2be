"""How well methods match one shot to another, with a known answer.

    python benchmarks/match.py PHOTOS [--methods match,stylize,…] [--share 0.55] [--size 512]
        [--sheet FILE]

PHOTOS is a folder with photos/ and SOURCES.tsv, of which those that no network was trained on are
taken (see tools/scene_data.py). Of each the left 55 % is the content, the right 55 % under a look
the style, and the left under the same look the truth; with --share 0.45 nothing is in both. The
error is the mean CIEDE2000 to the truth of all cases over that of their untouched contents; the
median is that of the cases' ratios. Needs scikit-image and color-matcher.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from matching_looks import LOOKS
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.exposure import match_histograms
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from scene_data import split

import pydpst
from pydpst.reading.reader import read_looks
from pydpst.transfer.grade import Grade
from pydpst.transfer.linear import transfer_color

Pixels = NDArray[np.float64]
CASES = 24
# Smaller photos show too little of what they are of.
LEAST = 400


def untouched(content: Pixels, style: Pixels) -> Pixels:
    return content


def monge_kantorovich(content: Pixels, style: Pixels) -> Pixels:
    photos = [tensor_of(content), tensor_of(style)]
    return pixels_of(transfer_color(*photos, *(torch.ones_like(x[:1]) for x in photos)))


def histograms(content: Pixels, style: Pixels) -> Pixels:
    return match_histograms(content, style, channel_axis=2)


def color_matcher(content: Pixels, style: Pixels) -> Pixels:
    from color_matcher import ColorMatcher

    found = ColorMatcher().transfer(src=255 * content, ref=255 * style, method="hm-mkl-hm")
    return np.clip(found / 255, 0, 1)


def stylize(content: Pixels, style: Pixels) -> Pixels:
    return pixels_of(pydpst.stylize(tensor_of(content), tensor_of(style)).image)


def stylize_whole(content: Pixels, style: Pixels) -> Pixels:
    photos = tensor_of(content), tensor_of(style)
    return pixels_of(pydpst.stylize(*photos, regions="none").image)


def network(content: Pixels, style: Pixels) -> Pixels:
    photos = tensor_of(content), tensor_of(style)
    return pixels_of(Grade(read_looks(*photos)).apply(photos[0], torch.ones(1, *content.shape[:2])))


def match(content: Pixels, style: Pixels) -> Pixels:
    return pixels_of(pydpst.match(tensor_of(content), tensor_of(style)).image)


METHODS: dict[str, Callable[[Pixels, Pixels], Pixels]] = {
    "untouched": untouched,
    "Monge-Kantorovich": monge_kantorovich,
    "histograms": histograms,
    "color-matcher": color_matcher,
    "stylize": stylize,
    "stylize, one region": stylize_whole,
    "network alone": network,
    "match": match,
}


def tensor_of(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).float().contiguous()


def pixels_of(image: Tensor) -> Pixels:
    return image.permute(1, 2, 0).double().numpy()


def shots(folder: Path, size: int) -> list[tuple[str, Pixels]]:
    """Photos that no network has seen, spread over what there is."""
    found = []
    for number in split(folder)[1]:
        with Image.open(folder / "photos" / f"{number}.jpg") as image:
            if max(image.size) < LEAST:
                continue
            image.thumbnail((size, size), Image.Resampling.LANCZOS)
            found.append((number, np.asarray(image.convert("RGB")) / 255))
    return [found[k * len(found) // CASES] for k in range(CASES)]


def quantized(pixels: Pixels) -> Pixels:
    return np.round(np.clip(pixels, 0, 1) * 255) / 255


def case(
    photo: Pixels, look: Callable[[Pixels], Pixels], share: float = 0.55
) -> tuple[Pixels, Pixels, Pixels]:
    """The content, the style and the truth."""
    width = round(share * photo.shape[1])
    left, right = photo[:, :width], photo[:, -width:]
    return left, quantized(look(right)), quantized(look(left))


def distance(result: Pixels, truth: Pixels) -> float:
    return float(deltaE_ciede2000(rgb2lab(result), rgb2lab(truth)).mean())


def sheet_row(pictures: list[Pixels], height: int = 240) -> Image.Image:
    cells = []
    for picture in pictures:
        image = Image.fromarray((quantized(picture) * 255).round().astype(np.uint8))
        width = round(image.width * height / image.height)
        cells.append(image.resize((width, height), Image.Resampling.LANCZOS))
    row = Image.new("RGB", (sum(cell.width + 4 for cell in cells), height + 4), "white")
    left = 0
    for cell in cells:
        row.paste(cell, (left, 0))
        left += cell.width + 4
    return row


def main(
    folder: Annotated[Path, typer.Argument(metavar="PHOTOS")],
    methods: Annotated[str, typer.Option(help="Some of them, with commas.")] = "",
    share: Annotated[float, typer.Option(help="Of a photo's width, in content and style.")] = 0.55,
    size: Annotated[int, typer.Option(help="Pixels of a photo's longer side, at most.")] = 512,
    sheet: Annotated[Path | None, typer.Option(help="Where to show all cases.")] = None,
) -> None:
    wanted = methods.split(",") if methods else list(METHODS)
    if not set(wanted) <= set(METHODS):
        raise typer.BadParameter(f"the methods are {methods!r}; give some of {', '.join(METHODS)}.")
    warnings.filterwarnings("ignore", message="the region")
    errors: dict[str, list[float]] = {name: [] for name in wanted}
    untouched_errors = []
    seconds = dict.fromkeys(wanted, 0.0)
    rows = []
    for number, (name, photo) in enumerate(shots(folder, size)):
        look_name = list(LOOKS)[number % len(LOOKS)]
        content, style, truth = case(photo, LOOKS[look_name], share)
        before = distance(content, truth)
        untouched_errors.append(before)
        pictures = [content, style, truth]
        for method in wanted:
            start = time.perf_counter()
            result = METHODS[method](content, style)
            seconds[method] += time.perf_counter() - start
            errors[method].append(distance(quantized(result), truth))
            pictures.append(result)
        figures = "".join(f"{errors[method][-1] / before:9.2f}" for method in wanted)
        print(f"{name} {look_name:14} {before:6.2f}{figures}", flush=True)
        rows.append(sheet_row(pictures))
    print_table(errors, untouched_errors, seconds)
    if sheet is not None:
        page = Image.new("RGB", (max(x.width for x in rows), sum(x.height for x in rows)), "white")
        for k, row in enumerate(rows):
            page.paste(row, (0, sum(x.height for x in rows[:k])))
        page.save(sheet)


def print_table(
    errors: dict[str, list[float]], before: list[float], seconds: dict[str, float]
) -> None:
    table = Table("", "error over untouched", "median", "worse than nothing", "seconds a pair")
    for method, values in errors.items():
        ratios = np.divide(values, before)
        table.add_row(
            method,
            f"{np.sum(values) / np.sum(before):.2f}",
            f"{np.median(ratios):.2f}",
            f"{(ratios > 1).sum()} of {len(values)}",
            f"{seconds[method] / len(values):.2f}",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
