"""Adam, as `pydpst.stylize` uses it, against Adam at a constant rate and L-BFGS, from one start.

    python benchmarks/optimizers.py [--size 512] [--evaluations 60]

Each gets the same number of evaluations of the objective and its gradient, which is nearly all of
the time. Prints the losses of the best image after a third of them and at the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

import pydpst
from pydpst.losses.content import CONTENT_LAYERS
from pydpst.losses.style import STYLE_LAYERS
from pydpst.losses.vgg import VGGFeatures, quick_dtype
from pydpst.photos.resizing import resize
from pydpst.regions.clusters import joint_regions
from pydpst.transfer.linear import transfer_color
from pydpst.transfer.look import Look
from pydpst.transfer.pixels import Level, Objective, descend

PHOTOS = Path(__file__).parent.parent / "examples/photos"
PAIRS = (("city_day", "city_night"), ("mountain_path", "mountain_evening"))
WEIGHTS = Look(method="pixels").weights()
Losses = dict[str, float]


def ours(objective: Objective, start: Tensor, evaluations: int) -> Iterator[Losses]:
    for _, losses in descend(objective, start, evaluations):
        yield losses


def adam(rate: float) -> Callable[[Objective, Tensor, int], Iterator[Losses]]:
    def run(objective: Objective, start: Tensor, evaluations: int) -> Iterator[Losses]:
        image = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([image], lr=rate)
        for _ in range(evaluations):
            optimizer.zero_grad()
            losses = objective(image)
            losses["total"].backward()
            optimizer.step()
            with torch.no_grad():
                image.clamp_(0, 1)
            yield {name: loss.item() for name, loss in losses.items()}

    return run


def lbfgs(objective: Objective, start: Tensor, evaluations: int) -> Iterator[Losses]:
    image = start.clone().requires_grad_()
    seen: list[Losses] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = objective(image.clamp(0, 1))
        losses["total"].backward()
        seen.append({name: loss.item() for name, loss in losses.items()})
        return losses["total"]

    optimizer = torch.optim.LBFGS(
        [image], max_iter=1, max_eval=5, history_size=20, line_search_fn="strong_wolfe"
    )
    given = 0
    while given < evaluations:
        before = len(seen)
        optimizer.step(closure)
        if len(seen) == before:
            return
        for losses in seen[given:evaluations]:
            given += 1
            yield losses


def main(
    size: Annotated[int, typer.Option(help="Pixels of the longer side.")] = 512,
    evaluations: Annotated[int, typer.Option(help="Of the objective, for each.")] = 60,
) -> None:
    device = torch.device("cpu")
    dtype = quick_dtype(device)
    vgg = VGGFeatures(CONTENT_LAYERS + STYLE_LAYERS, dtype=dtype)
    contenders = {
        "Adam, warm-up and cosine (pydpst)": ours,
        "Adam, rate 0.005": adam(0.005),
        "Adam, rate 0.015": adam(0.015),
        "L-BFGS, strong Wolfe": lbfgs,
    }
    columns = ("total at a third", "total", "content", "style", "photorealism", "processor seconds")
    for names in PAIRS:
        content, style = (resize(pydpst.load_image(PHOTOS / f"{n}.jpg"), size) for n in names)
        masks = joint_regions(content, style).masks(content, style)
        objective = Objective(vgg, WEIGHTS, Level(content, style, *masks, size))
        start = transfer_color(content, style, *masks)
        table = Table(" → ".join(names), *columns)
        for name, contender in contenders.items():
            clock, least = time.process_time(), {"total": math.inf}
            third = math.inf
            for step, losses in enumerate(contender(objective, start, evaluations), start=1):
                least = min(least, losses, key=lambda seen: seen["total"])
                if step == evaluations // 3:
                    third = least["total"]
            shown = [third, *(least[key] for key in ("total", "content", "style"))]
            table.add_row(
                name,
                *(f"{value:.4f}" for value in shown),
                f"{least['photorealism']:.2e}",
                f"{time.process_time() - clock:.0f}",
            )
        Console().print(table)


if __name__ == "__main__":
    typer.run(main)
