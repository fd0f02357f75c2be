"""The command line: `pydpst stylize` and `pydpst info`."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pydpst.optimize import Progress

app = typer.Typer(
    help="Photo style transfer that stays a photo.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
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
    size: Annotated[int | None, typer.Option(help="Pixels of the longer side.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimisation steps.")] = None,
    content_weight: Annotated[float | None, typer.Option(help="Keep the content.")] = None,
    style_weight: Annotated[float | None, typer.Option(help="Follow the style.")] = None,
    photorealism_weight: Annotated[float | None, typer.Option(help="Stay a photo.")] = None,
    tv_weight: Annotated[float | None, typer.Option(help="Avoid noise.")] = None,
    init: Annotated[str | None, typer.Option(help="Start from: color, content, noise.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of whatever is random.")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Also write content, style and result side by side.")
    ] = None,
) -> None:
    """Give the photo CONTENT the style of the photo STYLE; Ctrl-C writes the best so far."""
    from pydpst.image import check_output, load_image, resize, save_image, side_by_side

    _check_paths(content, style, output, compare)
    for path in (output, compare):
        if path is not None:
            check_output(path)
    photos = []
    if compare is not None:
        photos = [load_image(content, "content"), load_image(style, "style")]
        photos = [photo if size is None else resize(photo, size) for photo in photos]

    options = {
        "size": size,
        "steps": steps,
        "content_weight": content_weight,
        "style_weight": style_weight,
        "photorealism_weight": photorealism_weight,
        "tv_weight": tv_weight,
        "init": init,
        "device": device,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    start = time.monotonic()
    result = _stylize_with_progress(content, style, content_mask, style_mask, given)
    result.save(output)
    if compare is not None:
        save_image(side_by_side([*photos, result.image]), compare)
    height, width = result.image.shape[-2:]
    summary = f"{output}: {width}×{height} pixels, {time.monotonic() - start:.1f} s"
    if result.interrupted:
        _say(f"interrupted: wrote the best image so far, {summary}")
        raise typer.Exit(130)
    _say(summary)


def _check_paths(content: Path, style: Path, output: Path, compare: Path | None) -> None:
    if compare is not None and compare.resolve() == output.resolve():
        raise ValueError(f"--output and --compare are both {output}; they must differ.")
    for path in filter(None, (output, compare)):
        if path.resolve() in (content.resolve(), style.resolve()):
            raise ValueError(f"the output {path} is also an input; choose another name for it.")


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
                callback=show,
                **given,
            )
        except OutOfMemoryError:
            raise MemoryError("the GPU has too little memory; give a smaller --size.") from None


@app.command()
def info() -> None:
    """Print versions, what the build contains, devices and bundled weights."""
    from importlib.metadata import version
    from importlib.util import find_spec

    import torch
    from rich.console import Console
    from rich.table import Table

    from pydpst import ops

    cuda = ops.build_info["cuda"] or "CPU only"
    if find_spec("pydpst._cuda") and not torch.version.cuda:
        cuda = "CUDA kernels, idle: this torch has no CUDA"
    devices = ["cpu"] + [
        f"cuda:{index} {torch.cuda.get_device_name(index)}"
        for index in range(torch.cuda.device_count())
    ]
    weights = [
        f"{path.name} {path.stat().st_size / 1e6:.1f} MB"
        for path in sorted(Path(__file__).parent.glob("weights/**/*.safetensors"))
    ]
    table = Table(show_header=False, box=None)
    table.add_row("pydpst", version("pydpst"))
    table.add_row("python", sys.version.split()[0])
    table.add_row("torch", torch.__version__)
    table.add_row("compiler", ops.build_info["compiler"])
    table.add_row("torch headers", ops.build_info["torch_headers"])
    table.add_row("kernels", cuda)
    table.add_row("devices", "\n".join(devices))
    table.add_row("weights", "\n".join(weights) or "none")
    Console().print(table)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def main() -> None:
    """Runs the command line; exits with 2 on bad input, 1 on other failures, 130 on Ctrl-C."""
    warnings.formatwarning = lambda message, *_args, **_kwargs: f"warning: {message}\n"
    try:
        app()
    except ValueError as error:
        _say(f"error: {error}")
        sys.exit(2)
    except (ImportError, MemoryError, OSError) as error:
        _say(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
