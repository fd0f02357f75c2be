"""Compares optimisers of a grade by what they reach with as many evaluations of its loss.

    python benchmarks/grade_search.py FOLDER [--only 4,13,51] [--size 128]

FOLDER as for dpst.py; the masks are its own. Adam is as good as any rate that was tried, L-BFGS is
`pydpst.transfer.descent`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from dpst import Pair, find_pairs
from torch import Tensor

from pydpst.losses.content import CONTENT_LAYERS
from pydpst.losses.style import STYLE_LAYERS
from pydpst.losses.vgg import VGGFeatures
from pydpst.regions.labels import MaskPair
from pydpst.transfer.descent import Descent
from pydpst.transfer.grade_costs import GradeCosts
from pydpst.transfer.grade_maps import RegionMaps
from pydpst.transfer.grade_search import Level, Objective, sample
from pydpst.transfer.look import Look
from pydpst.transfer.pair import pair_up, read_photos

SHOWN = (8, 16, 36, 100)
RATE = 0.05


def objective_of(pair: Pair, size: int) -> tuple[Objective, Tensor]:
    """The loss of a grade of a pair at one size, and where θ starts."""
    look = Look().settled()
    masks = MaskPair(pair.content_mask, pair.style_mask)
    photos = read_photos(pair.content, pair.style, masks, 700, torch.device("cpu"))
    found = pair_up(photos, look)
    planes = (found.content, found.style, found.masks[: found.regions.shared], found.style_masks)
    content, style, shown, style_masks = planes
    maps = RegionMaps(*planes)
    level = Level(*planes, size, VGGFeatures(CONTENT_LAYERS + STYLE_LAYERS), 0.0, None)
    samples = (sample(content), sample(shown)), (sample(style), sample(style_masks))
    costs = GradeCosts(maps.shares, content, shown)
    return Objective(level, maps, costs, *samples, None, None, look.weights()), maps.zeros()


def by_adam(loss: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> list[float]:
    """The best losses so far, after each evaluation."""
    point = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([point], betas=(0.9, 0.99))
    best = [math.inf]
    for step in range(steps):
        optimizer.zero_grad()
        value = loss(point)
        value.backward()
        best.append(min(best[-1], value.item()))
        cool_down = 0.5 + 0.5 * math.cos(math.pi * step / steps)
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / 3) * cool_down
        optimizer.step()
    return best


def by_descent(loss: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> list[float]:
    """The same by L-BFGS."""
    descent, best = Descent(start), [math.inf]
    for _ in range(steps):
        point = descent.point.clone().requires_grad_()
        value = loss(point)
        (gradient,) = torch.autograd.grad(value, point)
        descent.tell(value.item(), gradient)
        best.append(descent.value)
    return best


def main(
    folder: Path,
    only: Annotated[str, typer.Option(help="Numbers of the pairs, with commas.")] = "4,13,51",
    size: Annotated[int, typer.Option(help="Pixels of the longer side.")] = 128,
) -> None:
    print("| pair | optimiser | " + " | ".join(f"{n} evaluations" for n in SHOWN) + " |")
    print("|---" * (2 + len(SHOWN)) + "|")
    for pair in find_pairs(folder, only):
        objective, zeros = objective_of(pair, size)
        start = zeros.flatten()

        def loss(point: Tensor, objective: Objective = objective, zeros: Tensor = zeros) -> Tensor:
            return objective(point.view_as(zeros))["total"]

        ways = {
            "Adam": [by_adam(loss, start, n) for n in SHOWN],
            "L-BFGS": [by_descent(loss, start, SHOWN[-1])],
        }
        for name, runs in ways.items():
            values = [runs[k if len(runs) > 1 else 0][n] for k, n in enumerate(SHOWN)]
            cells = " | ".join(f"{value:.3f}" for value in values)
            print(f"| {pair.number} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
