"""Measures regions found without masks against hand-made ones.

    python benchmarks/regions.py FOLDER SHEETS [--modes auto,clusters] [--only 1,3] [--sky black]

FOLDER has input/inN.png, style/tarN.png and segmentation/{in,tar}N.png. For each pair and mode: the
mean IoU of the regions that the hand-made masks share, each with the region found that overlaps it
most, over both photos; the IoU of the sky of content and style, where the masks have the colour
--sky; the seconds; and the names. SHEETS/MODE-N.png shows photos, regions and masks.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from PIL import Image
from torch import Tensor

import pydpst
from pydpst.metrics.report import overlay_regions
from pydpst.photos.resizing import resize
from pydpst.regions.labels import MaskPair, label_maps
from pydpst.regions.mask_colors import label_image
from pydpst.regions.masks import Regions
from pydpst.transfer.pair import find_regions

SIZE = 512


def iou(first: Tensor, second: Tensor) -> float:
    return float((first & second).sum() / (first | second).sum().clamp_min(1))


def mean_iou(found: Regions, hand: Regions) -> float:
    """Over the shared hand-made regions of both photos, with the best of those found."""
    values = []
    for mine, theirs in ((found.content, hand.content), (found.style, hand.style)):
        for label in range(hand.shared):
            wanted = theirs == label
            if wanted.any():
                values.append(max(iou(mine == k, wanted) for k in range(found.shared)))
    return sum(values) / len(values)


def sky_ious(found: Regions, hand: Regions, sky: str) -> list[float]:
    """Of content and style; nothing where no sky was found and the masks may mean another thing."""
    if hand.shared < 2 or sky not in hand.names[: hand.shared] or "sky" not in found.names:
        return []
    mine, theirs = found.names.index("sky"), hand.names.index(sky)
    return [
        iou(a == mine, b == theirs)
        for a, b in ((found.content, hand.content), (found.style, hand.style))
    ]


def sheet(photos: list[Tensor], found: Regions, hand: Regions) -> Image.Image:
    """A row a photo: the photo, the regions found, both together, the hand-made ones."""
    rows = []
    for photo, masks, mine, theirs in zip(
        photos,
        found.hard_masks(),
        (found.content, found.style),
        (hand.content, hand.style),
        strict=True,
    ):
        cells = [
            photo,
            label_image(mine, found.names),
            overlay_regions(photo, masks, found.names),
            label_image(theirs, hand.names),
        ]
        rows.append(torch.cat(cells, 2))
    width = max(row.shape[2] for row in rows)
    picture = torch.cat([F.pad(row, (0, width - row.shape[2])) for row in rows], 1)
    return Image.fromarray((picture * 255).byte().permute(1, 2, 0).contiguous().numpy())


def main(
    folder: Path,
    sheets: Path,
    modes: Annotated[str, typer.Option(help="auto, clusters or none.")] = "auto,clusters",
    only: Annotated[str, typer.Option(help="Numbers of the pairs, with commas.")] = "",
    sky: Annotated[str, typer.Option(help="The colour of the masks' skies.")] = "black",
) -> None:
    numbers = [int(x) for x in only.split(",") if x] or sorted(
        int(path.stem[2:]) for path in (folder / "input").glob("in*.png")
    )
    warnings.filterwarnings("ignore", message="the region")
    sheets.mkdir(parents=True, exist_ok=True)
    means: dict[str, list[tuple[float, list[float]]]] = {mode: [] for mode in modes.split(",")}
    print("pair mode      mean IoU   sky, content and style   seconds  regions")
    for number in numbers:
        files = folder / f"input/in{number}.png", folder / f"style/tar{number}.png"
        photos = [resize(pydpst.load_image(path), SIZE) for path in files]
        masks = (folder / f"segmentation/{side}{number}.png" for side in ("in", "tar"))
        hand = label_maps(photos[0], photos[1], MaskPair(*masks))
        for mode, rows in means.items():
            start = time.perf_counter()
            found = find_regions(photos[0], photos[1], mode)
            seconds = time.perf_counter() - start
            row = mean_iou(found, hand), sky_ious(found, hand, sky)
            rows.append(row)
            told = " ".join(f"{value:.3f}" for value in row[1]) or "-"
            names = " ".join(found.names)
            print(
                f"{number:4} {mode:9} {row[0]:8.3f}   {told:22} {seconds:9.2f}  {names}", flush=True
            )
            sheet(photos, found, hand).save(sheets / f"{mode}-{number}.png")
    for mode, rows in means.items():
        skies = [value for _, values in rows for value in values]
        told = f"{sum(skies) / len(skies):.3f} of {len(skies)}" if skies else "-"
        print(f"mean {mode:9} {sum(row[0] for row in rows) / len(rows):8.3f}   {told}")


if __name__ == "__main__":
    typer.run(main)
