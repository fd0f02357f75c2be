"""`pydpst apply` and `pydpst stylize` for video."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pydpst.commands import say
from pydpst.commands.progress import progress_bar
from pydpst.commands.report import result_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pydpst.feedforward.grade_net import GradeNet
    from pydpst.video.smooth_look import ClipResult, FrameLook


def clip_results(clips: list[Path], output: Path) -> list[Path]:
    """Where the results of clips go.

    Raises:
        ValueError: if they are no clips, or cannot be written there.
    """
    from pydpst.video.clip import CLIPS, check_clip

    if any(clip.suffix.lower() not in CLIPS for clip in clips):
        raise ValueError("photos and video are restyled separately; give one kind at a time.")
    results = [output]
    if len(clips) > 1 or output.is_dir():
        if not output.is_dir():
            raise ValueError(f"the output {output} must be a folder that exists.")
        results = [output / clip.name for clip in clips]
    for clip, result in zip(clips, results, strict=True):
        check_clip(clip, result)
    return results


def apply_to_clip(
    look: FrameLook, clip: Path, result: Path, strength: float, device: torch.device
) -> dict[str, Any]:
    """Restyles a clip in one pass, under a bar; what to report of it."""
    from pydpst.video.smooth_look import restyle_clip

    return _under_bar(
        clip, result, partial(restyle_clip, look, clip, result, device=device, strength=strength)
    )


def stylize_clip(clip: Path, style: Path, output: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Gives a clip a grade for each shot, under a bar; what to report of it."""
    import pydpst
    from pydpst.feedforward.grade_net import grade_net
    from pydpst.ops import choose_device
    from pydpst.photos.image import load_image
    from pydpst.photos.resizing import resize
    from pydpst.transfer.look import Look
    from pydpst.video.clip import check_clip
    from pydpst.video.shot_grade import ShotGrade
    from pydpst.video.smooth_look import restyle_clip

    device = choose_device(options.get("device"))
    given = {name: value for name, value in options.items() if name != "device"}
    for name in (
        "content_mask",
        "style_mask",
        "lock",
        "segmentation_model",
        "preserve_luminance",
    ):
        if given.get(name):
            raise ValueError(f"--{name.replace('_', '-')} goes with a photo; {clip} is a clip.")
    strength = given.pop("strength", 1.0)
    if not isinstance(strength, float):
        raise ValueError(f"--strength by region goes with a photo; {clip} is a clip.")
    if Look(**given, strength=strength).method != "grade":
        raise ValueError(f"a clip gets a grade; leave --method out for {clip}.")
    if given.get("regions") == "clusters":
        raise ValueError(f"--regions clusters goes with a photo; {clip} is a clip.")
    check_clip(clip, output)
    example = resize(load_image(style, "style"), 1024)

    def find(frame: Tensor) -> GradeNet:
        found = pydpst.stylize(frame, example, device=device, **given)
        if found.interrupted:
            raise KeyboardInterrupt
        return grade_net(found).to(device)

    look = ShotGrade(find)
    restyle = partial(restyle_clip, look, clip, output, device=device, strength=strength)
    return _under_bar(clip, output, restyle)


def _under_bar(clip: Path, output: Path, restyle: Callable[..., ClipResult]) -> dict[str, Any]:
    from rich.progress import TimeRemainingColumn

    start = time.monotonic()
    rate = "{task.completed:.0f} frames, {task.fields[rate]:.1f} a second"
    columns = ("{task.description}", "", rate, TimeRemainingColumn())
    with progress_bar(*columns, too_large="give a smaller clip") as bar:
        task = bar.add_task(clip.name, rate=0.0)

        def progress(done: int, total: int | None) -> None:
            rate = done / (time.monotonic() - start)
            bar.update(task, completed=done, total=total, rate=rate)

        result = restyle(progress=progress)
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
    return result_of(clip, output, "written", frames=result.frames)
