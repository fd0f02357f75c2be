"""Draws docs/steps.png: processor seconds for one optimisation step against the image's size.

    python benchmarks/chart.py

Other programs on the machine count for little. A step is that of `pydpst.stylize` without the photorealism term; each regulariser adds its loss and
gradient (with the explicit matrix, that is one product). Building the matrix is not counted.
"""

from __future__ import annotations

import time
from pathlib import Path

import contenders
import matplotlib.pyplot as plt
import torch
from laplacian import medians, random_image

from pydpst.losses.content import CONTENT_LAYERS
from pydpst.losses.style import STYLE_LAYERS
from pydpst.losses.vgg import VGGFeatures, has_fast_bfloat16
from pydpst.transfer.pixels import Level, Objective, descend

MEGAPIXELS = (0.0625, 0.125, 0.25, 0.5, 1.0)
REGULARISERS = {
    "explicit matrix (torch CSR)": contenders.torch_csr,
    "TensorFlow operator": contenders.tensorflow,
    "pydpst": contenders.pydpst,
}


def step_seconds(image: torch.Tensor, style: torch.Tensor) -> float:
    """The median of a few steps without the photorealism term."""
    dtype = torch.bfloat16 if has_fast_bfloat16(image.device) else torch.float32
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


def main() -> None:
    curves: dict[str, list[float]] = {"no photorealism term": []}
    print("| megapixels | " + " | ".join([*curves, *REGULARISERS]) + " |")
    print("|---|" + "---|" * (1 + len(REGULARISERS)))
    for megapixels in MEGAPIXELS:
        image, p = random_image(megapixels), random_image(megapixels, seed=1)
        step = step_seconds(image, p)
        made = {name: make(image, p, 1) for name, make in REGULARISERS.items()}
        functions = {name: m.energy_and_gradient or m.matvec for name, m in made.items()}
        terms = medians(functions, 5, time.process_time)
        row = {"no photorealism term": step}
        row |= {name: step + 1e-3 * milliseconds for name, milliseconds in terms.items()}
        for name, seconds in row.items():
            curves.setdefault(name, []).append(seconds)
        print(
            f"| {megapixels} | " + " | ".join(f"{s:.3f}" for s in row.values()) + " |", flush=True
        )

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    styles = dict(zip(curves, ("k:", "C1-o", "C3-o", "C0-o"), strict=True))
    for name, seconds in curves.items():
        axes.plot(MEGAPIXELS, seconds, styles[name], label=name)
    axes.set(xlabel="megapixels", ylabel="processor seconds for one step", ylim=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(Path(__file__).parents[1] / "docs/steps.png", dpi=150)


if __name__ == "__main__":
    main()
