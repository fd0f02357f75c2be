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

# What a universal training takes of the options.
_UNIVERSAL = {
    "steps",
    "batch",
    "device",
    "seed",
    "held_out",
    "validate_steps",
    "checkpoint_steps",
    "log",
    "license",
}


@takes(Settings)
def train(
    names: Annotated[
        list[Path],
        typer.Argument(
            metavar="[STYLE] PHOTOS",
            help="The photo to learn from, unless --universal; then a folder of photos.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Where to write: MODEL.safetensors.", rich_help_panel="Output"
        ),
    ],
    universal: Annotated[
        bool,
        typer.Option(
            "--universal",
            help="A network that reads the look of any photo, for pydpst apply MODEL --style; of "
            "the options here it takes --steps (7200), --batch (8), --seed, --held-out, --device "
            "(cpu) and those of output.",
            rich_help_panel="Network",
        ),
    ] = False,
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
    """Train a network that gives photos the style of the photo STYLE, or of any."""
    more = {
        "accumulate": accumulate,
        "validate_steps": validate_steps,
        "checkpoint_steps": checkpoint_steps,
        "log": log,
        "license": license,
        "device": device,
    }
    arguments = given({**options, **more})
    if len(names) != 2 - universal:
        wanted = "--universal takes PHOTOS alone" if universal else "give STYLE and PHOTOS"
        raise ValueError(f"{wanted}; {len(names)} given.")
    foreign = sorted(arguments.keys() - _UNIVERSAL) if universal else []
    if foreign:
        raise ValueError(f"--{foreign[0].replace('_', '-')} does not go with --universal.")
    *styles, photos = names
    from pydpst.feedforward.training_photos import find_photos

    logged = [] if log is None else [log / "losses.jsonl", *log.glob("step_*/*")]
    check_files(
        {"STYLE": styles, "PHOTOS": [Path(str(photo)) for photo in find_photos(photos)]},
        {"--output": [output, output.with_suffix(".checkpoint")], "--log": logged},
    )
    start, checkpoint = time.monotonic(), output.with_suffix(".checkpoint")
    before = _changed(checkpoint)
    try:
        _train_with_progress(
            names, output=output, tensorboard=tensorboard, resume=resume, **arguments
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


def _train_with_progress(names: list[Path], **arguments: Any) -> None:
    """Calls `pydpst.train`, or `train_universal`, under a progress bar; says measures."""
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
                say(f"step {progress.done}: {_measures(progress.metrics)}")
                return
            description = "step" if progress.stage == "step" else "photo"
            losses = " ".join(f"{name} {loss:.3g}" for name, loss in progress.losses.items())
            bar.update(
                task,
                description=description,
                count=f"{progress.done}/{progress.total}",
                completed=progress.done,
                total=progress.total,
                losses=losses,
            )

        if len(names) == 1:
            pydpst.train_universal(names[0], callback=show, **arguments)
        else:
            pydpst.train(names[0], names[1], callback=show, **arguments)


def _measures(metrics: dict[str, float]) -> str:
    if "error" in metrics:
        return f"error over that of the untouched {metrics['error']:.3g}"
    return "  ".join(
        f"{name} {metrics[name]:.3g} (linear transfer {metrics['linear_' + name]:.3g})"
        for name in ("style_distance", "edge_ssim", "residual")
    )
