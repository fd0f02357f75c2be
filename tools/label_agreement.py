"""How well the networks that labelled the photos agree with each other: what a head can reach.

    python tools/label_agreement.py PHOTOS FIRST.tflite SECOND.tflite

PHOTOS is as for train_scene.py; both networks are of the MOSAIC family (mlcommons/mobile_open), for
LiteRT (PyPI ai-edge-litert). For held-out photos prints how the first, which sees a photo and its
mirror image as it did for the labels, agrees with the second, and each with the labels, which are
the mean of both.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import typer
from rich.progress import track
from scene_data import grouped, load_targets, on_cells, read_photo, split
from scene_measures import Agreement
from torch import Tensor

# The tensor of a network that has the kinds' scores, and the side of what it sees.
SCORES, SIDE = "decoder/add", 512
# Cells a side, as the labels have.
CELLS = 64


def main(photos: Path, first: Path, second: Path) -> None:
    """Print the table."""
    networks, targets = [labeller(path) for path in (first, second)], load_targets(photos)
    rows = {name: Agreement() for name in ("the first and the second", "the first", "the second")}
    with np.load(photos / "sky.npz") as skies:
        for number in track(split(photos)[1], transient=True):
            photo = read_photo(photos, number)
            both = [label(photo) + label(photo.flip(-1)).flip(-1) for label in networks]
            one, two = (grouped(kinds, on_cells(skies[number], kinds)) for kinds in both)
            wanted = targets[number].float()
            for agreement, pair in zip(
                rows.values(), ((one, two), (one, wanted), (two, wanted)), strict=True
            ):
                agreement.add(*pair)
    for name, agreement in rows.items():
        print(f"{name:25} {agreement.line()}")


def labeller(path: Path) -> Callable[[Tensor], Tensor]:
    """A network that gives the kinds' probabilities on cells, (32, 64, 64), of a photo."""
    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(str(path), experimental_preserve_all_tensors=True, num_threads=1)
    network.allocate_tensors()
    given = network.get_input_details()[0]["index"]
    (scores,) = (x for x in network.get_tensor_details() if x["name"] == SCORES)
    scale, zero = scores["quantization"]

    def kinds(photo: Tensor) -> Tensor:
        square = F.interpolate(photo[None], (SIDE, SIDE), mode="bicubic", antialias=True)
        pixels = (square.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
        network.set_tensor(given, pixels.contiguous().numpy())
        network.invoke()
        found = torch.from_numpy(network.get_tensor(scores["index"])).float()
        shares = ((found - zero) * scale).softmax(3).permute(0, 3, 1, 2)
        return F.adaptive_avg_pool2d(shares, CELLS)[0]

    return kinds


if __name__ == "__main__":
    typer.run(main)
