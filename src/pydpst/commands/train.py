"""`pydpst train`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydpst.commands import say

if TYPE_CHECKING:
    from pydpst.feedforward.training import TrainingProgress


def train(
    style: Annotated[Path, typer.Argument(metavar="STYLE", help="The photo to learn from.")],
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder of photos.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write: MODEL.safetensors.")
    ],
    model: Annotated[str | None, typer.Option(help="grid or transformer.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Photos a step.")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Parts of a batch.")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels of the longer side.")] = None,
    content_weight: Annotated[float | None, typer.Option(help="Keep the content.")] = None,
    style_weight: Annotated[float | None, typer.Option(help="Follow the style.")] = None,
    photorealism_weight: Annotated[float | None, typer.Option(help="Stay a photo.")] = None,
    edge_weight: Annotated[float | None, typer.Option(help="Keep the edges.")] = None,
    tv_weight: Annotated[float | None, typer.Option(help="Avoid noise.")] = None,
    held_out: Annotated[int | None, typer.Option(help="Photos for validation.")] = None,
    validate_steps: Annotated[int | None, typer.Option(help="Steps between validations.")] = None,
    checkpoint_steps: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    log: Annotated[Path | None, typer.Option(help="Folder for losses and photos.")] = None,
    tensorboard: Annotated[bool, typer.Option(help="Log for TensorBoard, too.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint.")] = False,
    license: Annotated[str | None, typer.Option(help="A note on authors and terms.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of whatever is random.")] = None,
) -> None:
    """Train a network that gives photos the style of the photo STYLE."""
    options = {
        "model": model,
        "steps": steps,
        "batch": batch,
        "accumulate": accumulate,
        "size": size,
        "content_weight": content_weight,
        "style_weight": style_weight,
        "photorealism_weight": photorealism_weight,
        "edge_weight": edge_weight,
        "tv_weight": tv_weight,
        "held_out": held_out,
        "validate_steps": validate_steps,
        "checkpoint_steps": checkpoint_steps,
        "log": log,
        "license": license,
        "precision": precision,
        "device": device,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if output.resolve() == style.resolve():
        raise ValueError(f"the output {output} is also the style; choose another name for it.")
    start = time.monotonic()
    try:
        _train_with_progress(
            style, photos, output=output, tensorboard=tensorboard, resume=resume, **given
        )
    except KeyboardInterrupt:
        say(f"interrupted: {output.with_suffix('.checkpoint')} is there; --resume goes on from it")
        raise typer.Exit(130) from None
    say(f"{output}: {time.monotonic() - start:.0f} s")


def _train_with_progress(style: Path, photos: Path, **given: Any) -> None:
    """Calls `pydpst.train` under a progress bar; measures are printed as they come."""
    import os

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from torch import OutOfMemoryError

    import pydpst

    console = Console(stderr=True)
    first = os.environ.get("RANK", "0") == "0"
    columns = (
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[losses]}"),
        TimeRemainingColumn(),
    )
    shown = console.is_terminal and first
    with Bar(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("photo", total=None, losses="")

        def show(progress: TrainingProgress) -> None:
            if progress.stage == "validate":
                values = "  ".join(
                    f"{name} {progress.metrics[name]:.3g} "
                    f"(linear transfer {progress.metrics['linear_' + name]:.3g})"
                    for name in ("style_distance", "edge_ssim", "residual")
                )
                say(f"step {progress.done}: {values}")
                return
            description = "photo" if progress.stage == "read" else "step"
            losses = " ".join(f"{name} {loss:.3g}" for name, loss in progress.losses.items())
            bar.update(
                task,
                description=description,
                completed=progress.done,
                total=progress.total,
                losses=losses,
            )

        try:
            pydpst.train(style, photos, callback=show, **given)
        except OutOfMemoryError:
            raise MemoryError(
                "the GPU has too little memory; give a smaller --size, or a larger --accumulate."
            ) from None
