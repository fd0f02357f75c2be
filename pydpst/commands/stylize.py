"""`pydpst stylize`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydpst.commands import check_paths, say

if TYPE_CHECKING:
    from pydpst.optimize import Progress


def stylize(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="The photo to restyle.")],
    style: Annotated[Path, typer.Argument(metavar="STYLE", help="The photo whose style it gets.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write: png, jpg, tif or webp.")
    ],
    content_mask: Annotated[
        Path | None, typer.Option(help="Label map of the content's regions.")
    ] = None,
    style_mask: Annotated[Path | None, typer.Option(help="Label map of the style's.")] = None,
    regions: Annotated[
        str | None, typer.Option(help="Without masks: auto finds regions, none takes one.")
    ] = None,
    segmentation_model: Annotated[
        str | None, typer.Option(help="A transformers model to find regions: a name or a folder.")
    ] = None,
    refine_masks: Annotated[
        bool, typer.Option("--refine-masks", help="Let regions follow hair and branches; slower.")
    ] = False,
    size: Annotated[
        int | None, typer.Option(help="Pixels of the longer side at which the look is found.")
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(help="What the process may hold, such as 4GB; unset: what is free."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimisation steps.")] = None,
    content_weight: Annotated[float | None, typer.Option(help="Keep the content.")] = None,
    style_weight: Annotated[float | None, typer.Option(help="Follow the style.")] = None,
    photorealism_weight: Annotated[float | None, typer.Option(help="Stay a photo.")] = None,
    tv_weight: Annotated[float | None, typer.Option(help="Avoid noise.")] = None,
    init: Annotated[str | None, typer.Option(help="Start from: color, content, noise.")] = None,
    smooth: Annotated[
        bool | None,
        typer.Option(help="End with the nearest local recolouring; unset: if it helps."),
    ] = None,
    preserve_luminance: Annotated[
        bool, typer.Option("--preserve-luminance", help="Keep the photo's brightness.")
    ] = False,
    strength: Annotated[
        list[str] | None,
        typer.Option(help="From 0 to 1, or REGION=0.5 for a region; may be repeated."),
    ] = None,
    lock: Annotated[
        list[str] | None,
        typer.Option(metavar="REGION", help="Do not change a region; may be repeated."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of whatever is random.")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Also write content, style and result side by side.")
    ] = None,
) -> None:
    """Give the photo CONTENT the style of the photo STYLE; Ctrl-C writes the best so far."""
    from pydpst.image import check_output, load_image, resize, save_image, side_by_side

    check_paths([content, style], output, compare, "--compare")
    for path in (output, compare):
        if path is not None:
            check_output(path)

    options = {
        "regions": regions,
        "segmentation_model": segmentation_model,
        "refine_masks": refine_masks,
        "size": size,
        "max_memory": max_memory,
        "steps": steps,
        "content_weight": content_weight,
        "style_weight": style_weight,
        "photorealism_weight": photorealism_weight,
        "tv_weight": tv_weight,
        "init": init,
        "smooth": smooth,
        "preserve_luminance": preserve_luminance,
        "strength": _strength(strength or []),
        "lock": lock,
        "device": device,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    start = time.monotonic()
    result = _stylize_with_progress(content, style, content_mask, style_mask, given)
    result.save(output)
    if compare is not None:
        shown = max(result.working.shape)
        photos = [resize(load_image(path), shown) for path in (content, style)]
        save_image(side_by_side([*photos, result.working]), compare)
    height, width = result.image.shape[-2:]
    summary = f"{output}: {width}×{height} pixels, {time.monotonic() - start:.1f} s"
    if result.interrupted:
        say(f"interrupted: wrote the best image so far, {summary}")
        raise typer.Exit(130)
    say(summary)


def _strength(values: list[str]) -> float | dict[str, float] | None:
    """One number, or numbers by region."""
    pairs = [value.rpartition("=") for value in values]
    try:
        numbers = {region: float(number) for region, _, number in pairs}
    except ValueError:
        raise ValueError(
            f"--strength is {' '.join(values)}; it must be a number, or REGION=NUMBER."
        ) from None
    if "" not in numbers:
        return numbers or None
    if len(values) > 1:
        raise ValueError(
            f"--strength is {' '.join(values)}; it must be one number, or REGION=NUMBER for each."
        )
    return numbers[""]


def _stylize_with_progress(
    content: Path,
    style: Path,
    content_mask: Path | None,
    style_mask: Path | None,
    given: dict[str, Any],
) -> Any:
    """Calls `pydpst.stylize` under a progress bar, if somebody is there to look at one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from torch import OutOfMemoryError

    import pydpst

    console = Console(stderr=True)
    columns = (
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[losses]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, losses="")

        def show(progress: Progress) -> None:
            losses = " ".join(f"{name} {loss:.3g}" for name, loss in progress.losses.items())
            bar.update(task, completed=progress.step, total=progress.steps, losses=losses)

        try:
            return pydpst.stylize(
                content,
                style,
                content_mask=content_mask,
                style_mask=style_mask,
                planned=lambda plan: say(f"{content}: {plan}"),
                callback=show,
                **given,
            )
        except OutOfMemoryError:
            raise MemoryError("the GPU has too little memory; give a smaller --size.") from None
