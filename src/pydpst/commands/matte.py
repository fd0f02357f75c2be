"""`pydpst matte`."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydpst.commands import say
from pydpst.commands.files import check_files
from pydpst.commands.progress import progress_bar

if TYPE_CHECKING:
    from torch import Tensor

    from pydpst.matting.conjugate_gradients import Convergence


def matte(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The photo.")],
    trimap: Annotated[
        Path,
        typer.Argument(
            metavar="TRIMAP", help="White: foreground; black: background; between: unknown."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Where to write alpha: png, jpg, tif or webp.",
            rich_help_panel="Output",
        ),
    ],
    bits: Annotated[int, typer.Option(help="Of alpha: 8 or 16.", rich_help_panel="Output")] = 8,
    method: Annotated[
        str, typer.Option(help="closed-form (Levin) or large-kernel (He).", rich_help_panel="Matte")
    ] = "closed-form",
    radius: Annotated[
        int | None,
        typer.Option(
            help="Of the windows; by default 1, and for large-kernel found.",
            rich_help_panel="Matte",
        ),
    ] = None,
    cutout: Annotated[
        Path | None,
        typer.Option(help="Also write the foreground, with its opacity.", rich_help_panel="Output"),
    ] = None,
    background: Annotated[
        Path | None,
        typer.Option(help="A photo to put behind the cut-out.", rich_help_panel="Output"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N.", rich_help_panel="Limits")
    ] = None,
) -> None:
    """Find the opacity of the foreground of the photo IMAGE; Ctrl-C writes what there is so far."""
    from pydpst.matting.foreground import composite, estimate_foreground
    from pydpst.matting.trimap import load_trimap
    from pydpst.ops import choose_device
    from pydpst.photos.encode import PICTURES, SIXTEEN_BIT, WITH_OPACITY
    from pydpst.photos.image import load_image, save_alpha, save_image
    from pydpst.photos.writing import check_output

    check_files(
        {"IMAGE": image, "TRIMAP": trimap, "--background": background},
        {"--output": output, "--cutout": cutout},
    )
    if bits not in (8, 16):
        raise ValueError(f"bits is {bits}; it must be 8 or 16.")
    check_output(output, SIXTEEN_BIT if bits == 16 else PICTURES)
    if background is not None and cutout is None:
        raise ValueError("--background needs --cutout, which says where to write the cut-out.")
    if cutout is not None:
        check_output(cutout, WITH_OPACITY if background is None else PICTURES)
    target = choose_device(device)
    photo = load_image(image).to(target)
    behind = None if background is None else load_image(background, "background").to(target)

    start = time.monotonic()
    alpha, interrupted = _solve(photo, load_trimap(trimap).to(target), method, radius)
    save_alpha(alpha, output, bits)
    if cutout is not None:
        foreground, _ = estimate_foreground(photo, alpha)
        if behind is None:
            save_image(_with_opacity(foreground, alpha), cutout)
        else:
            save_image(composite(foreground, _cover(behind, photo.shape[-2:]), alpha), cutout)
    height, width = alpha.shape
    summary = f"{output}: {width}×{height} pixels, {time.monotonic() - start:.1f} s"
    if interrupted:
        say(f"interrupted: wrote what there was, {summary}")
        raise typer.Exit(130)
    say(summary)


def _with_opacity(foreground: Tensor, alpha: Tensor) -> Tensor:
    import torch

    return torch.cat([foreground, alpha[None]])


def _cover(photo: Tensor, size: Any) -> Tensor:
    """Scales a photo to cover a size, and cuts off what juts out."""
    import torch.nn.functional as F

    height, width = size
    scale = max(height / photo.shape[1], width / photo.shape[2])
    large = (max(height, round(photo.shape[1] * scale)), max(width, round(photo.shape[2] * scale)))
    scaled = F.interpolate(photo[None], large, mode="bicubic", antialias=True)[0].clamp(0, 1)
    top, left = (large[0] - height) // 2, (large[1] - width) // 2
    return scaled[:, top : top + height, left : left + width]


def _solve(photo: Tensor, trimap: Tensor, method: str, radius: int | None) -> tuple[Tensor, bool]:
    """Alpha, and whether Ctrl-C ended the solve; under a progress bar."""
    import math

    from rich.progress import TimeElapsedColumn

    from pydpst.matting.alpha import estimate_alpha

    tol = 1e-6
    columns = ("solving", "", "{task.fields[state]}", TimeElapsedColumn())
    with (
        progress_bar(*columns, too_large="scale the photo down") as bar,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        task = bar.add_task("", total=-math.log(tol), state="")

        def show(convergence: Convergence) -> None:
            done = -math.log(max(convergence.residual, tol))
            state = f"iteration {convergence.iterations}, residual {convergence.residual:.1e}"
            bar.update(task, completed=max(done, 0), state=state)

        alpha = estimate_alpha(photo, trimap, method, radius, tol=tol, callback=show)
    # An interruption is told of once, at the end.
    sentences = [str(warning.message) for warning in caught]
    interrupted = any("was interrupted" in sentence for sentence in sentences)
    for sentence in sentences:
        if "was interrupted" not in sentence:
            say(f"warning: {sentence}")
    return alpha, interrupted
