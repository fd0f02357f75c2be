"""Prints the times of grade_apply, and of a copy of the bytes that it must move.

python benchmarks/grade.py [--core] [--everywhere] [MEGAPIXELS ...]

With --core, the time of one core, which counts for little what others do on the machine.

Regions are bands that go over into one another within a tenth of their height; with --everywhere
each has a share of every pixel, as none that is found has. The photo is one of the examples, since
neighbours that are alike have few hues.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F

import pydpst
from pydpst.ops import grade_apply

KNOTS = 8
PHOTO = Path(__file__).parent.parent / "examples" / "photos" / "lake.jpg"


def minima(
    functions: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """The shortest time of each in milliseconds; they take turns, so noise strikes all alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            start = clock()
            function()
            times[name].append(1e3 * (clock() - start))
    return {name: min(values[1:]) for name, values in times.items()}


def copy(planes: int, pixels: int) -> Callable[[], object]:
    """The machine's own copy of half of so many planes onto the other half."""
    source = torch.rand(planes * pixels // 2)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def bands(regions: int, side: int) -> torch.Tensor:
    """Masks (1, R, side, side) that sum to 1."""
    rows = torch.linspace(0, regions, side)
    last = torch.arange(1, regions)[:, None]
    below = ((rows - last) * 10 + 0.5).clamp(0, 1)
    below = torch.cat([torch.ones(1, side), below, torch.zeros(1, side)])
    return -below.diff(dim=0)[None, :, :, None].expand(-1, -1, -1, side).contiguous()


def contenders(
    regions: int, hues: int, side: int, everywhere: bool
) -> dict[str, Callable[[], object]]:
    generator = torch.Generator().manual_seed(0)
    image = F.interpolate(pydpst.load_image(PHOTO)[None], (side, side), mode="bilinear")
    masks = bands(regions, side)
    if everywhere:
        masks = torch.rand(masks.shape, generator=generator)
    maps = torch.randn(1, regions, 1, KNOTS, 12, generator=generator).repeat(1, 1, hues, 1, 1)
    # as the search has them: hues differ by offsets
    maps[..., 3::4] = torch.randn(1, regions, hues, KNOTS, 3, generator=generator)
    grad = torch.rand(1, 3, side, side, generator=generator)
    variable = maps.clone().requires_grad_()
    out = grade_apply(variable, masks, image)
    return {
        # both ways as many: masks, photo and result; masks, photo and the result's gradient
        "copy": copy(regions + 6, side * side),
        "forward": lambda: grade_apply(maps, masks, image),
        "backward": lambda: torch.autograd.grad(out, variable, grad, retain_graph=True),
    }


def main() -> None:
    core, everywhere = "--core" in sys.argv, "--everywhere" in sys.argv
    if core:
        torch.set_num_threads(1)
    clock = time.thread_time if core else time.perf_counter
    sizes = [float(argument) for argument in sys.argv[1:] if argument[:2] != "--"]
    print(f"{torch.get_num_threads()} threads, {KNOTS} knots, float32, ms a megapixel, shortest\n")
    print("| megapixels | regions | hues | copy | forward | ratio | backward (maps) | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for megapixels in sizes or [0.25, 1, 12]:
        side = round((megapixels * 1e6) ** 0.5)
        for regions, hues in itertools.product((1, 3, 6), (1, 7)):
            functions = contenders(regions, hues, side, everywhere)
            times = minima(functions, 100 if megapixels <= 1 else 10, clock)
            one, forward, backward = (value / megapixels for value in times.values())
            print(
                f"| {megapixels:g} | {regions} | {hues} | {one:.2f} | "
                f"{forward:.2f} | {forward / one:.1f} | "
                f"{backward:.2f} | {backward / one:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
