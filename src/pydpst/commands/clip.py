"""`pydpst apply` for video."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pydpst.commands import say
from pydpst.commands.progress import progress_bar

if TYPE_CHECKING:
    from torch import nn


def apply_to_clips(
    model: str, clips: list[Path], output: Path, strength: float, device: str | None
) -> None:
    """Restyles clips, with a bar each."""
    import pydpst
    from pydpst.ops import choose_device
    from pydpst.video.clip import CLIPS, check_clip

    if any(clip.suffix.lower() not in CLIPS for clip in clips):
        raise ValueError("photos and video are restyled separately; give one kind at a time.")
    results = [output]
    if len(clips) > 1 or output.is_dir():
        if not output.is_dir():
            raise ValueError(f"the output {output} must be a folder that exists.")
        results = [output / clip.name for clip in clips]
    if len(set(results)) < len(results):
        raise ValueError(
            f"two clips would become the same file in {output}; restyle one at a time."
        )
    for clip, result in zip(clips, results, strict=True):
        check_clip(clip, result)
    network = pydpst.load_model(model).to(choose_device(device))
    for clip, result in zip(clips, results, strict=True):
        _apply_to_clip(network, clip, result, strength)


def _apply_to_clip(network: nn.Module, clip: Path, output: Path, strength: float) -> None:
    from rich.progress import TimeRemainingColumn

    from pydpst.video.smooth_look import apply_to_clip

    start = time.monotonic()
    rate = "{task.completed:.0f} frames, {task.fields[rate]:.1f} a second"
    columns = ("{task.description}", "", rate, TimeRemainingColumn())
    with progress_bar(*columns, too_large="give a smaller clip") as bar:
        task = bar.add_task(clip.name, rate=0.0)

        def progress(done: int, total: int | None) -> None:
            rate = done / (time.monotonic() - start)
            bar.update(task, completed=done, total=total, rate=rate)

        result = apply_to_clip(network, clip, output, strength=strength, progress=progress)
    seconds = time.monotonic() - start
    if result.damaged:
        say(f"warning: {clip} is damaged; {result.damaged} packets were left out")
    note = "stopped early: " if result.interrupted else ""
    say(
        f"{output}: {note}{result.frames} frames, {seconds:.1f} s, "
        f"{result.frames / seconds:.1f} frames a second"
    )
    if result.interrupted:
        raise typer.Exit(130)
