"""Trains src/pydpst/weights/reader.safetensors, which reads the look of any photo.

    python tools/train_reader.py PHOTOS OUTPUT [--steps 6000] [--seed 0] [--log FOLDER]

PHOTOS has photos/NUMBER.jpg and SOURCES.tsv; a fifth, by series, is held out, as for the scene
head (tools/scene_data.py). OUTPUT.checkpoint lies beside OUTPUT while it trains; the same command
goes on from there, to the same weights. FOLDER gets losses.jsonl and pictures of held-out photos:
content, style, result and truth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import track
from scene_data import split
from torch import Tensor

from pydpst.feedforward.look_pairs import look_batch
from pydpst.feedforward.look_training import ReaderTraining
from pydpst.feedforward.training_log import TrainingLog
from pydpst.feedforward.training_photos import read_photos
from pydpst.ops import grade_apply
from pydpst.reading.network import Reading
from pydpst.regions.scene import scene_probabilities

# Photos are kept at 1.5 times this longer side.
SIZE = 192
CHECKPOINT_STEPS, PICTURE_STEPS, HELD = 100, 500, 8


def main(
    photos: Path,
    output: Path,
    steps: Annotated[int, typer.Option(help="Of the optimiser.")] = 6000,
    seed: Annotated[int, typer.Option(help="Of weights, photos, cuts and looks.")] = 0,
    log: Annotated[Path | None, typer.Option(help="Folder for losses and pictures.")] = None,
) -> None:
    """Train, or go on."""
    torch.set_num_threads(1)
    training, held = (
        [photo for photo in read_photos(paths, SIZE) if photo is not None]
        for paths in (
            [photos / "photos" / f"{number}.jpg" for number in part] for part in split(photos)
        )
    )
    run = ReaderTraining(training, steps, seed)
    checkpoint = output.with_suffix(".checkpoint")
    if checkpoint.exists():
        run.restore(checkpoint)
    records = TrainingLog(log, step=run.step)
    shown = held[:: len(held) // HELD][:HELD]
    maps = [scene_probabilities([photo.float() / 255])[0] for photo in shown]
    for _ in track(range(run.step, steps), "steps"):
        records.losses(run.step + 1, run.advance())
        if run.step % CHECKPOINT_STEPS == 0 or run.step == steps:
            run.save(checkpoint)
        if run.step % PICTURE_STEPS == 0:
            for number, picture in enumerate(pictures(run, shown, maps)):
                records.image(run.step, number, *picture)
    run.save_weights(output)
    checkpoint.unlink()


@torch.no_grad()
def pictures(
    run: ReaderTraining, photos: list[Tensor], maps: list[Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """Of each photo content and style, and beside them result and truth."""
    batch = look_batch(photos, maps, 0, 0)
    count, network = len(photos), run.average
    reading = network.read(batch.shown.flatten(0, 1))
    content, style = (
        Reading(reading.tokens[part], reading.cells[part], reading.grid)
        for part in (slice(0, count), slice(3 * count, 4 * count))
    )
    ones = torch.ones_like(content.cells[..., 0])
    masks = torch.ones_like(batch.clean[0, :, :1])
    result = grade_apply(
        network.compare(content, style, ones, ones)[:, None], masks, batch.clean[0]
    )
    truth = batch.looks[2](batch.bases[0])
    before, after = (
        torch.cat(two, 3) for two in ((batch.clean[0], batch.clean[3]), (result.clamp(0, 1), truth))
    )
    return list(zip(before, after, strict=True))


if __name__ == "__main__":
    typer.run(main)
