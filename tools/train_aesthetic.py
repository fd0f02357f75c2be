"""Trains src/pydpst/weights/aesthetic.safetensors, which rates photos.

    python tools/train_aesthetic.py label PHOTOS TEACHER CACHE [--variants 2]
    python tools/train_aesthetic.py train PHOTOS CACHE OUTPUT

PHOTOS is as for train_scene.py. TEACHER is a NIMA network for LiteRT (PyPI ai-edge-litert), which
takes (1, 224, 224, 3) in [-1, 1] and gives the probabilities of ten ratings. The first command
keeps features and ratings of each photo as it is, in other light, with faults and with both; it
goes on where it was stopped. The second trains on what is there, and prints how held-out photos
are ranked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from faults import spoiled
from pushed_light import pushed
from safetensors.torch import load_file, save_file
from scene_data import cut, read_photo, some_window, split
from torch import Tensor
from weights_file import save_weights

from pydpst.losses.aesthetic import LAYERS, AestheticHead, aesthetic_features, mean_rating
from pydpst.losses.vgg import VGGFeatures, quick_dtype

app = typer.Typer(add_completion=False)
_ABOUT = "aesthetic head of pydpst, over means and deviations of VGG-16's channels"
_WINDOWS = ((208, 320), (240, 320), (272, 272), (320, 240), (320, 208))
# Of a photo as it is, in other light, with a fault, and with both.
_KINDS = ("as it is", "light", "fault", "both")
_EPOCHS, _BATCH, _RATE = 60, 64, 1e-3


@app.command()
def label(
    photos: Path,
    teacher: Path,
    folder: Path,
    variants: Annotated[int, typer.Option(help="How many views of each photo.")] = 2,
) -> None:
    """Keep features and ratings of photos in many states."""
    folder.mkdir(parents=True, exist_ok=True)
    rate = _teacher(teacher)
    vgg = VGGFeatures(LAYERS, dtype=quick_dtype(torch.device("cpu")))
    numbers = sorted(number for part in split(photos) for number in part)
    for done, number in enumerate(numbers, 1):
        path = folder / f"{number}.safetensors"
        if not path.exists():
            photo = read_photo(photos, number)
            # Both of two are as different as can be; four are all kinds.
            kinds = [(int(number) + 2 * k + k // 2) % len(_KINDS) for k in range(variants)]
            views = [
                view(photo, _KINDS[kind], np.random.default_rng([k, int(number)]))
                for k, kind in enumerate(kinds)
            ]
            with torch.inference_mode():
                features = [aesthetic_features(vgg, image[None])[0] for image in views]
            entry = {
                "features": torch.stack(features).half(),
                "kinds": torch.tensor(kinds),
                "ratings": torch.stack([rate(image) for image in views]),
            }
            save_file(entry, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
        if done % 100 == 0:
            print(f"{done} of {len(numbers)} photos", flush=True)


def view(photo: Tensor, kind: str, random: np.random.Generator) -> Tensor:
    """A photo as it is, or cut and in other light, with a fault, or both."""
    if kind == "as it is":
        return photo
    window, size = some_window(*photo.shape[-2:], _WINDOWS, random)
    image = cut(photo, window, size)
    if kind in ("light", "both"):
        image = pushed(image, random)
    return spoiled(image, random) if kind in ("fault", "both") else image


def _teacher(path: Path) -> Callable[[Tensor], Tensor]:
    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(str(path), num_threads=1)
    network.allocate_tensors()
    given, found = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]

    def rate(photo: Tensor) -> Tensor:
        square = F.interpolate(photo[None], (224, 224), mode="bilinear", antialias=True)
        network.set_tensor(given, (square.permute(0, 2, 3, 1) * 2 - 1).contiguous().numpy())
        network.invoke()
        return torch.from_numpy(network.get_tensor(found)[0].copy())

    return rate


@app.command()
def train(photos: Path, folder: Path, output: Path, seed: int = 0) -> None:
    """Train on what is kept, and measure on held-out photos."""
    torch.manual_seed(seed)
    features, ratings, _ = _read(folder, split(photos)[0])
    head = AestheticHead().train()
    print(f"{len(features)} views, {sum(p.numel() for p in head.parameters())} parameters")
    optimizer = torch.optim.AdamW(head.parameters(), _RATE, weight_decay=0.05)
    steps = _EPOCHS * (len(features) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3 * _RATE, steps)
    for _ in range(_EPOCHS):
        order = torch.randperm(len(features))[: len(features) // _BATCH * _BATCH]
        for batch in order.view(-1, _BATCH):
            loss = earth_mover(head(features[batch]), ratings[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    save_weights(head.eval(), output, _ABOUT, "tools/train_aesthetic.py")
    _report(head, folder, split(photos)[1])


def earth_mover(found: Tensor, wanted: Tensor) -> Tensor:
    """The loss of NIMA, the root of the mean squared difference of the cumulative ratings."""
    apart = (found.cumsum(1) - wanted.cumsum(1)).square().mean(1)
    return (apart + 1e-8).sqrt().mean()


def _read(folder: Path, numbers: list[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Features, ratings and the kinds of view of those photos that are there."""
    paths = [folder / f"{number}.safetensors" for number in numbers]
    entries = [load_file(path) for path in paths if path.exists()]
    kinds = torch.cat([entry["kinds"] for entry in entries])
    features, ratings = (
        torch.cat([e[key] for e in entries]).float() for key in ("features", "ratings")
    )
    return features, ratings, kinds


@torch.no_grad()
def _report(head: AestheticHead, folder: Path, held: list[str]) -> None:
    features, ratings, kinds = _read(folder, held)
    found, wanted = head(features), ratings
    print(f"earth mover's distance {float(earth_mover(found, wanted)):.4f}")
    found, wanted = mean_rating(found), mean_rating(wanted)
    for kind, name in enumerate(_KINDS):
        of = kinds == kind
        print(f"{name:9} Spearman {spearman(found[of], wanted[of]):.3f} of {int(of.sum())}")
    print(f"all       Spearman {spearman(found, wanted):.3f} of {len(found)}")


def spearman(first: Tensor, second: Tensor) -> float:
    """The correlation of ranks."""
    ranks = torch.stack([x.argsort().argsort().double() for x in (first, second)])
    return float(torch.corrcoef(ranks)[0, 1])


if __name__ == "__main__":
    app()
