"""Trains src/pydpst/weights/scene.safetensors, which says what photos show.

    python tools/train_scene.py cache PHOTOS CACHE [--rounds 3]
    python tools/train_scene.py train PHOTOS CACHE OUTPUT [--epochs 6]

PHOTOS has photos/NUMBER.jpg, SOURCES.tsv, labels.npz and sky.npz. The first command keeps the
features of VGG-16 of each photo in several lights and at two sizes, one round after the other, in
CACHE; it goes on where it was stopped. The second trains on what is there, and prints how well
held-out photos are told; a fifth of the photos, by series, is held out.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scene_data import (
    SHAPES,
    SMALL_SHAPES,
    Window,
    cut_map,
    load_targets,
    split,
    view,
)
from scene_measures import Agreement
from torch import Tensor
from weights_file import save_weights

from pydpst.losses.vgg import VGGFeatures, has_fast_bfloat16, quick_dtype
from pydpst.regions.scene import GROUPS, LAYERS, SceneHead, scene_features, seen

app = typer.Typer(add_completion=False)
# The rounds in which held-out photos are seen: plain, and in another light.
HELD_ROUNDS = 2
# What a file of the cache holds beside the window: the head's inputs.
PARTS = ("features0", "features1", "features2", "features3", "colors")
BATCH = 16
RATE = 2e-3


@app.command()
def cache(
    photos: Path,
    folder: Path,
    rounds: Annotated[int, typer.Option(help="How many lights of each photo.")] = 3,
) -> None:
    """Keep the features of photos in several lights."""
    training, held = split(photos)
    vgg = VGGFeatures(LAYERS, dtype=quick_dtype(torch.device("cpu")))
    for round_ in range(rounds):
        views = [("train", training, SHAPES), ("small", training, SMALL_SHAPES)]
        if round_ < HELD_ROUNDS:
            views.append(("held", held, None))
        for part, numbers, shapes in views:
            (folder / f"{part}{round_}").mkdir(parents=True, exist_ok=True)
            for number in numbers:
                path = folder / f"{part}{round_}" / f"{number}.safetensors"
                if not path.exists():
                    entry = features_of(photos, number, shapes, round_, vgg)
                    save_file(entry, path.with_suffix(".part"))
                    path.with_suffix(".part").rename(path)
        print(f"round {round_} is done", flush=True)


@torch.inference_mode()
def features_of(
    photos: Path,
    number: str,
    shapes: tuple[tuple[int, int], ...] | None,
    round_: int,
    vgg: VGGFeatures,
) -> dict[str, torch.Tensor]:
    """A photo's features in one light, and the window that was seen.

    With shapes, some window of it at one of these; else all of it, as large as the head sees it.
    """
    window, image = view(photos, number, shapes, round_)
    images = (seen(image) if shapes is None else image)[None]
    found = scene_features(vgg(images), images)
    entry = {"window": torch.tensor(astuple(window), dtype=torch.float32)}
    for name, x in zip(PARTS, found, strict=True):
        entry |= packed(name, x[0])
    return entry


def packed(name: str, x: Tensor) -> dict[str, Tensor]:
    """Planes (C, h, w), not negative, in a byte a value, with their largest values."""
    most = x.amax((1, 2)).clamp_min(1e-6)
    levels = (x / most[:, None, None] * 255).round().byte()
    return {name: levels.contiguous(), f"{name}.most": most}


def unpacked(entry: dict[str, Tensor], name: str) -> Tensor:
    """The planes again, float32."""
    return entry[name] * (entry[f"{name}.most"][:, None, None] / 255)


@app.command()
def train(
    photos: Path,
    folder: Path,
    output: Path,
    epochs: Annotated[int, typer.Option(help="How often all that is kept is seen.")] = 6,
    seed: int = 0,
) -> None:
    """Train on what is kept, and measure on held-out photos."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    targets = load_targets(photos)
    training, held = split(photos)
    batches = shapes_of(folder, training)
    head = SceneHead().train()
    print(f"{sum(len(of) for of in batches.values())} views, ", end="")
    print(f"{sum(p.numel() for p in head.parameters())} parameters", flush=True)
    average = copy.deepcopy(head).eval()
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=0.05)
    steps = epochs * sum(math.ceil(len(of) / BATCH) for of in batches.values())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.15)
    step, start = 0, time.monotonic()
    fast = has_fast_bfloat16(torch.device("cpu"))
    for epoch in range(epochs):
        total = 0.0
        for features, target in batches_of(batches, targets, random):
            with torch.autocast("cpu", torch.bfloat16, enabled=fast):
                logits = head(features)
            loss = F.cross_entropy(logits.float(), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            follow(average, head, min(0.998, (step + 1) / (step + 20)))
            total, step = total + float(loss.detach()), step + 1
        mean = total * epochs / steps
        plain = measured(average, folder / "held0", held, targets).line()
        print(
            f"epoch {epoch}, {time.monotonic() - start:.0f} s, loss {mean:.4f}, {plain}", flush=True
        )
        save_head(average, output)
    report(average, folder, held, targets)


def shapes_of(folder: Path, training: list[str]) -> dict[tuple[int, ...], list[Path]]:
    """The files of complete rounds by the shape of what they hold."""
    found: dict[tuple[int, ...], list[Path]] = {}
    for part in sorted([*folder.glob("train*"), *folder.glob("small*")]):
        paths = [part / f"{number}.safetensors" for number in training]
        for path in paths if all(path.exists() for path in paths) else []:
            with safe_open(path, "pt") as file:
                found.setdefault(tuple(file.get_slice("colors").get_shape()), []).append(path)
    return found


def batches_of(
    by_shape: dict[tuple[int, ...], list[Path]],
    targets: dict[str, Tensor],
    random: np.random.Generator,
) -> Iterator[tuple[list[Tensor], Tensor]]:
    """All files once, in batches of one shape each, shuffled; read ahead."""
    batches = []
    for paths in by_shape.values():
        order = [paths[k] for k in random.permutation(len(paths))]
        batches += [order[k : k + BATCH] for k in range(0, len(order), BATCH)]
    with ThreadPoolExecutor(1) as pool:
        waiting = []
        for index in random.permutation(len(batches)):
            waiting.append(pool.submit(read, batches[index], targets))
            if len(waiting) > 2:
                yield waiting.pop(0).result()
        for last in waiting:
            yield last.result()


def read(paths: list[Path], targets: dict[str, Tensor]) -> tuple[list[Tensor], Tensor]:
    """The head's inputs and what it should say."""
    entries = [load_file(path) for path in paths]
    features = [torch.stack([unpacked(entry, part) for entry in entries]) for part in PARTS]
    wanted = []
    for path, entry in zip(paths, entries, strict=True):
        *edges, mirrored = entry["window"].tolist()
        size = (features[-1].shape[-2], features[-1].shape[-1])
        window = Window(*edges, mirrored > 0.5)
        wanted.append(cut_map(targets[path.stem].float(), window, size))
    return features, torch.stack(wanted)


@torch.no_grad()
def follow(average: SceneHead, head: SceneHead, share: float) -> None:
    """Moves a running average of the weights, which tells more than the last of them."""
    for mine, theirs in zip(average.state_dict().values(), head.state_dict().values(), strict=True):
        if mine.is_floating_point():
            mine.lerp_(theirs, 1 - share)


@torch.no_grad()
def measured(head: SceneHead, part: Path, held: list[str], targets: dict[str, Tensor]) -> Agreement:
    """How the head agrees with the labels of held-out photos, on their cells."""
    agreement = Agreement()
    for number in held:
        features, _ = read([part / f"{number}.safetensors"], targets)
        wanted = targets[number].float()
        logits = F.interpolate(head(features), wanted.shape[-2:], mode="bilinear")[0]
        agreement.add(logits.softmax(0), wanted)
    return agreement


def report(head: SceneHead, folder: Path, held: list[str], targets: dict[str, Tensor]) -> None:
    """Prints the tables of docs/regions.md."""
    plain = measured(head, folder / "held0", held, targets)
    light = Agreement()
    for round_ in range(1, HELD_ROUNDS):
        light.join(measured(head, folder / f"held{round_}", held, targets))
    for name, found in (("plain", plain), ("other light", light)):
        print(f"{name:12} {found.line()}")
    print("IoU          " + " ".join(f"{name:>10}" for name in GROUPS))
    for name, found in (("plain", plain), ("other light", light)):
        print(f"{name:12} " + " ".join(f"{value:10.3f}" for value in found.ious()))


def save_head(head: SceneHead, output: Path) -> None:
    """Writes the head's weights."""
    about = "scene head of pydpst, over conv2_2, conv3_3, conv4_3 and conv5_1 of VGG-16"
    save_weights(head, output, about, "tools/train_scene.py", groups=" ".join(GROUPS))


if __name__ == "__main__":
    app()
