"""`pydpst export`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from pydpst.commands import say
from pydpst.commands.files import check_files
from pydpst.commands.progress import progress_bar, stages

# The name of the network that takes any style photo.
_MATCH = "match"


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model file, the name of a bundled style, or match: the network of pydpst apply "
            "--style, which goes with --output.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write ONNX: MODEL.onnx.", rich_help_panel="Output"),
    ] = None,
    cube: Annotated[
        Path | None,
        typer.Option(
            help="Write the nearest global 3D look-up table: LOOK.cube.", rich_help_panel="Output"
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="What --cube shall fit: a photo for its look, a folder for the mean.",
            rich_help_panel="Look",
        ),
    ] = None,
    cube_size: Annotated[
        int, typer.Option(help="Entries a side of the table.", rich_help_panel="Limits")
    ] = 33,
    strength: Annotated[
        float, typer.Option(help="0 the photo itself, 1 the full style.", rich_help_panel="Look")
    ] = 1.0,
) -> None:
    """Write MODEL for other programs: as ONNX, or its colours alone as a look-up table."""
    if output is None and cube is None:
        raise ValueError("there is nothing to write; give --output MODEL.onnx or --cube LOOK.cube.")
    if photos is not None and cube is None:
        raise ValueError("--photos is for the look-up table; give --cube LOOK.cube, too.")
    from pydpst.feedforward.bundled import model_path, read_about
    from pydpst.feedforward.training_photos import find_photos

    found = [] if photos is None else [Path(str(photo)) for photo in find_photos(photos)]
    source = None if model == _MATCH else model_path(model)
    reads_looks = source is None or read_about(source, "model").get("network") == "reader"
    if reads_looks and cube is not None:
        raise ValueError(
            "what reads looks has a table for each pair; see `pydpst apply --export-cube`."
        )
    check_files({"MODEL": source, "--photos": found}, {"--output": output, "--cube": cube})
    if output is not None:
        _write_onnx(model, reads_looks, output, strength)
    if cube is not None:
        _write_cube(model, cube, found or None, strength, cube_size)


def _write_onnx(model: str, reads_looks: bool, output: Path, strength: float) -> None:
    import logging

    from pydpst.feedforward.export import export_onnx
    from pydpst.feedforward.export_match import export_match
    from pydpst.feedforward.models import load_model

    # torch tells of its own affairs here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    with stages(1, too_large="export it on the CPU") as begin:
        begin(f"writing {output.name}")
        if reads_looks:
            network: Any = None if model == _MATCH else load_model(model)
            export_match(output, network, strength=strength)
        else:
            export_onnx(model, output, strength=strength)
    say(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


def _write_cube(
    model: str, cube: Path, photos: list[Path] | None, strength: float, size: int
) -> None:
    from rich.progress import TimeRemainingColumn

    from pydpst.feedforward.export import export_cube
    from pydpst.metrics.levels import verdict

    columns = ("{task.description}", "", TimeRemainingColumn())
    with progress_bar(*columns, too_large="fit it to fewer photos") as bar:
        to_photos = f" to {len(photos)} photos" if photos else ""
        task = bar.add_task(f"fitting the table{to_photos}", total=len(photos) if photos else None)
        fit = export_cube(
            model,
            cube,
            photos,
            strength=strength,
            size=size,
            callback=lambda: bar.advance(task),
        )
    synthetic = "synthetic pictures (--photos PHOTOS tells how far it is on them)"
    over = {0: synthetic, 1: "the photo"}.get(fit.photos, f"{fit.photos} photos")
    say(
        f"{cube}: {size} entries a side; off the model by {fit.rms:.1f} of 255 levels (RMS), "
        f"95 % by less than {fit.percentile:.1f}, over {over}{verdict(fit.rms)}"
    )
