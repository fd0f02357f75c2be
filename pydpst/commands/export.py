"""`pydpst export`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from pydpst.commands import say


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model file, or the name of a bundled style.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write: MODEL.onnx.")],
    strength: Annotated[float, typer.Option(help="0 the photo itself, 1 the full style.")] = 1.0,
) -> None:
    """Write MODEL as ONNX, for other programs."""
    import logging

    from pydpst.export import export_onnx

    # torch tells of its own affairs here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    export_onnx(model, output, strength=strength)
    say(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
