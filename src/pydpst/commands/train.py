"""`pydpst train`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydpst.commands import say
from pydpst.commands.files import check_files
from pydpst.commands.options import given, takes
from pydpst.commands.progress import progress_bar
from pydpst.feedforward.training_settings import Settings

if TYPE_CHECKING:
    from pydpst.feedforward.training import TrainingProgress


@takes(Settings)
def train(
    style: Annotated[Path, typer.Argument(metavar="STYLE", help="The photo to learn from.")],
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder of photos.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Where to write: MODEL.safetensors.", rich_help_panel="Output"
        ),
    ],
    accumulate: Annotated[
        int | None, typer.Option(help="Parts of a batch; by default 1.", rich_help_panel="Limits")
    ] = None,
    validate_steps: Annotated[
        int | None,
        typer.Option(
            help="Steps between validations; by default a fifth of them.", rich_help_panel="Output"
        ),
    ] = None,
    checkpoint_steps: Annotated[
        int | None,
        typer.Option(help="Steps between checkpoints; by default 200.", rich_help_panel="Output"),
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="Folder for losses and photos.", rich_help_panel="Output")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option(help="Log for TensorBoard, too.", rich_help_panel="Output")
    ] = False,
    resume: Annotated[
        bool, typer.Option(help="Go on from the checkpoint.", rich_help_panel="Limits")
    ] = False,
    license: Annotated[
        str | None, typer.Option(help="A note on authors and terms.", rich_help_panel="Output")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N.", rich_help_panel="Limits")
    ] = None,
    **options: Any,
) -> None:
    """Train a network that gives photos the style of the photo STYLE."""
    more = {
        "accumulate": accumulate,
        "validate_steps": validate_steps,
        "checkpoint_steps": checkpoint_steps,
        "log": log,
        "license": license,
        "device": device,
    }
    arguments = given({**options, **more})
    from pydpst.feedforward.training_photos import find_photos

    logged = [] if log is None else [log / "losses.jsonl", *log.glob("step_*/*")]
    check_files(
        {"STYLE": style, "PHOTOS": [Path(str(photo)) for photo in find_photos(photos)]},
        {"--output": [output, output.with_suffix(".checkpoint")], "--log": logged},
    )
    start, checkpoint = time.monotonic(), output.with_suffix(".checkpoint")
    before = _changed(checkpoint)
    try:
        _train_with_progress(
            style, photos, output=output, tensorboard=tensorboard, resume=resume, **arguments
        )
    except KeyboardInterrupt:
        if resume or _changed(checkpoint) != before:
            say(f"interrupted: {checkpoint} is there; --resume goes on from it")
        else:
            say("interrupted before the first step; nothing was written")
        raise typer.Exit(130) from None
    say(f"{output}: {time.monotonic() - start:.0f} s")


def _changed(path: Path) -> int:
    """When a file was changed; 0 if it is not there."""
    return path.stat().st_mtime_ns if path.is_file() else 0


def _train_with_progress(style: Path, photos: Path, **arguments: Any) -> None:
    """Calls `pydpst.train` under a progress bar; measures are printed as they come."""
    from rich.progress import TimeRemainingColumn

    import pydpst

    columns = (
        "{task.description}",
        "{task.fields[count]}",
        "{task.fields[losses]}",
        TimeRemainingColumn(),
    )
    first = os.environ.get("RANK", "0") == "0"
    remedy = "give a smaller --size, or a larger --accumulate"
    with progress_bar(*columns, too_large=remedy, shown=first) as bar:
        task = bar.add_task("before the first photo", total=None, count="", losses="")

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
                count=f"{progress.done}/{progress.total}",
                completed=progress.done,
                total=progress.total,
                losses=losses,
            )

        pydpst.train(style, photos, callback=show, **arguments)
