"""Trains src/pydpst/weights/reader.safetensors, which reads the look of any photo.

    python tools/train_reader.py PHOTOS OUTPUT [--log FOLDER] [--device cuda --batch 48]
        [--start WEIGHTS --steps 1350 --seed 4]

As `pydpst train --universal` does, with all defaults, on the photos of one part: PHOTOS has
photos/NUMBER.jpg and SOURCES.tsv, and a fifth, by series, is left out, as for the scene head
(tools/scene_data.py). With --start it goes on from what it gave before. Killed and started
again it goes on, to the same weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
import typer
from rich.progress import Progress
from scene_data import split

import pydpst
from pydpst.feedforward.models import load_model
from pydpst.feedforward.training import TrainingProgress


def main(
    photos: Path,
    output: Path,
    log: Path | None = None,
    start: Path | None = None,
    steps: int = 7200,
    batch: int = 8,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Train, or go on."""
    torch.set_num_threads(1)
    paths = [photos / "photos" / f"{number}.jpg" for number in split(photos)[0]]
    with Progress() as bar:
        task = bar.add_task("")

        def show(progress: TrainingProgress) -> None:
            bar.update(
                task, description=progress.stage, completed=progress.done, total=progress.total
            )

        pydpst.train_universal(
            paths,
            output=output,
            start=None if start is None else load_model(start),
            steps=steps,
            batch=batch,
            seed=seed,
            held_out=0,
            log=log,
            resume=output.with_suffix(".checkpoint").is_file(),
            license="as pydpst; trained on photos of several terms, see NOTICE",
            device=device,
            callback=show,
        )


if __name__ == "__main__":
    typer.run(main)
