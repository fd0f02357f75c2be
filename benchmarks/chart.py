"""Draws docs/steps.png: processor seconds for one optimisation step against the image's size.

    python benchmarks/chart.py

Other programs on the machine count for little. A step is that of `--method pixels` without the
photorealism term; each regulariser adds its loss and gradient (with the explicit matrix, that is
one product). Building the matrix is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import contenders
import matplotlib.pyplot as plt
import torch
from laplacian import medians, random_image

from pydpst.losses.content import CONTENT_LAYERS
from pydpst.losses.style import STYLE_LAYERS
from pydpst.losses.vgg import VGGFeatures, quick_dtype
from pydpst.transfer.pixels import Level, Objective, descend

MEGAPIXELS = (0.0625, 0.125, 0.25, 0.5, 1.0)
# TensorFlow last: its threads wait busily between its turns, which counts as time of the process.
REGULARISERS = {
    "explicit matrix (torch CSR)": contenders.torch_csr,
    "pydpst": contenders.pydpst,
    "TensorFlow operator": contenders.tensorflow,
}
Make = Callable[[torch.Tensor, torch.Tensor, int], contenders.Contender]


def images(megapixels: float) -> tuple[torch.Tensor, torch.Tensor]:
    return random_image(megapixels), random_image(megapixels, seed=1)


def step_seconds(megapixels: float) -> float:
    """The median of a few steps without the photorealism term."""
    image, style = images(megapixels)
    dtype = quick_dtype(image.device)
    vgg = VGGFeatures(CONTENT_LAYERS + STYLE_LAYERS, dtype=dtype)
    masks = torch.ones_like(image[:1])
    level = Level(image, style, masks, masks, max(image.shape))
    weights = {"content": 0.2, "style": 1.0, "photorealism": 0.0, "tv": 0.0}
    run = descend(Objective(vgg, weights, level), image, 6)
    times = []
    next(run)
    for _ in range(5):
        start = time.process_time()
        next(run)
        times.append(time.process_time() - start)
    return sorted(times)[2]


def term_seconds(make: Make, megapixels: float) -> float:
    made = make(*images(megapixels), 1)
    term = made.energy_and_gradient or made.matvec
    return 1e-3 * medians({"term": term}, 5, time.process_time)["term"]


def main() -> None:
    steps = [step_seconds(megapixels) for megapixels in MEGAPIXELS]
    curves = {"no photorealism term": steps}
    for name, make in REGULARISERS.items():
        terms = [term_seconds(make, megapixels) for megapixels in MEGAPIXELS]
        curves[name] = [sum(parts) for parts in zip(steps, terms, strict=True)]
    print("| megapixels | " + " | ".join(curves) + " |")
    print("|---|" + "---|" * len(curves))
    for megapixels, *row in zip(MEGAPIXELS, *curves.values(), strict=True):
        print(f"| {megapixels} | " + " | ".join(f"{seconds:.3f}" for seconds in row) + " |")

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    styles = dict(zip(curves, ("k:", "C1-o", "C0-o", "C3-o"), strict=True))
    for name, seconds in curves.items():
        axes.plot(MEGAPIXELS, seconds, styles[name], label=name)
    axes.set(xlabel="megapixels", ylabel="processor seconds for one step", ylim=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(Path(__file__).parents[1] / "docs/steps.png", dpi=150)


if __name__ == "__main__":
    main()
