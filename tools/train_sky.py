"""Trains src/pydpst/weights/sky.safetensors, which says where the sky ends.

    python tools/train_sky.py PHOTOS OUTPUT [--rounds 8]

PHOTOS is as for train_scene.py, whose head must be trained before. Each round shows every photo
once, in some light and some window; after each the weights are written, and how well held-out
photos are told is printed: a quarter of them, all after the last.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from scene_data import (
    SHAPES,
    cut_map,
    load_skies,
    load_targets,
    split,
    view,
)
from scene_measures import Agreement
from torch import Tensor
from weights_file import save_weights

from pydpst.losses.vgg import VGGFeatures, quick_dtype
from pydpst.regions.scene import SEEN_LAYERS, groups_along_edges, seen, sky_inputs
from pydpst.regions.sky import SkyOutline

BATCH = 8
RATE = 2e-3


def main(
    photos: Path,
    output: Path,
    rounds: Annotated[int, typer.Option(help="How often each photo is seen.")] = 8,
    seed: int = 0,
) -> None:
    """Train, and measure on held-out photos."""
    torch.manual_seed(seed)
    training, held = split(photos)
    skies, targets = load_skies(photos), load_targets(photos)
    vgg = VGGFeatures(SEEN_LAYERS, dtype=quick_dtype(torch.device("cpu")))
    network = SkyOutline().train()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    steps = rounds * (len(training) // BATCH + len(SHAPES))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    start = time.monotonic()
    for round_ in range(rounds):
        waiting: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {x: [] for x in SHAPES}
        losses = []
        for number in np.random.default_rng([seed, round_]).permutation(training):
            window, image = view(photos, str(number), SHAPES, round_)
            height, width = image.shape[-2:]
            opacity = skies[str(number)][None].float()
            batch = waiting[height, width]
            batch.append((image, cut_map(opacity, window, (height // 2, width // 2))[0]))
            if len(batch) < BATCH:
                continue
            images, wanted = map(torch.stack, zip(*batch, strict=True))
            batch.clear()
            with torch.no_grad():
                inputs = sky_inputs(vgg, images)
            found = network(*inputs)
            loss = F.binary_cross_entropy_with_logits(found, wanted)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        about = "sky's opacity, over conv1_2 and conv2_2 of VGG-16 and pydpst's scene head"
        save_weights(network, output, about, "tools/train_sky.py")
        some = held if round_ == rounds - 1 else held[::4]
        line = measured(network.eval(), vgg, photos, some, targets)
        network.train()
        mean, seconds = sum(losses) / len(losses), time.monotonic() - start
        print(f"round {round_}, {seconds:.0f} s, loss {mean:.4f}, {line}", flush=True)


@torch.no_grad()
def measured(
    network: SkyOutline, vgg: VGGFeatures, photos: Path, held: list[str], targets: dict[str, Tensor]
) -> str:
    """How the head and this network together agree with the labels of held-out photos."""
    plain, light = Agreement(), Agreement()
    for number in held:
        for round_, agreement in enumerate((plain, light)):
            _, image = view(photos, number, None, round_)
            photo = seen(image)
            shallow, decoded, logits = sky_inputs(vgg, photo[None])
            opacity = network(shallow, decoded, logits).sigmoid()
            wanted = targets[number].float()
            cells = groups_along_edges(logits[0], photo)
            found = F.interpolate(cells[None], wanted.shape[-2:], mode="bilinear")[0]
            agreement.add(with_sky(found, opacity[0]), wanted)
    return f"plain: {plain.line()}; other light: {light.line()}"


def with_sky(groups: Tensor, opacity: Tensor) -> Tensor:
    """The groups' probabilities (9, h, w) with the sky's from a map of it (H, W)."""
    above = F.interpolate(opacity[None, None], groups.shape[-2:], mode="area")[0]
    others = groups[1:] / groups[1:].sum(0, keepdim=True).clamp_min(1e-6)
    return torch.cat([above, (1 - above) * others])


if __name__ == "__main__":
    typer.run(main)
