"""Shows held-out photos with what the head sees in them, and what the labels say.

    python tools/scene_sheet.py PHOTOS SHEET.jpg [--count 40]

PHOTOS is as for train_scene.py. Each photo stands beside the likeliest group of each cell, by the
head and by the labels, paler where less certain; colours are those of label maps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from scene_data import load_targets, read_photo, split
from torch import Tensor

from pydpst.photos.image import save_image
from pydpst.photos.resizing import side_by_side
from pydpst.regions.mask_colors import color_of
from pydpst.regions.scene import GROUPS, parse_scene

_HEIGHT, _WIDTH = 120, 180
_IN_A_ROW = 4


def drawn(probabilities: Tensor) -> Tensor:
    """A map (3, H, W) of probabilities (groups, h, w)."""
    palette = torch.tensor([color_of(name) for name in GROUPS]).T / 255
    most, label = F.interpolate(probabilities[None], (_HEIGHT, _WIDTH), mode="bilinear")[0].max(0)
    return 1 - most * (1 - palette[:, label])


def main(
    photos: Path,
    sheet: Path,
    count: Annotated[int, typer.Option(help="How many photos.")] = 40,
) -> None:
    """Draw the sheet."""
    held, targets = split(photos)[1], load_targets(photos)
    strips = []
    for number in held[:: max(1, len(held) // count)][:count]:
        photo = read_photo(photos, number)
        small = F.interpolate(photo[None], (_HEIGHT, _WIDTH), mode="area")[0]
        maps = [drawn(p) for p in (parse_scene(photo).groups, targets[number].float())]
        strips.append(F.pad(side_by_side([small, *maps]), (0, 8, 0, 8), value=1))
    strips += [torch.ones_like(strips[0])] * (-len(strips) % _IN_A_ROW)
    rows = [torch.cat(strips[k : k + _IN_A_ROW], 2) for k in range(0, len(strips), _IN_A_ROW)]
    save_image(torch.cat(rows, 1), sheet)


if __name__ == "__main__":
    typer.run(main)
