"""`pydpst fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pydpst.commands import say
from pydpst.commands.files import check_files
from pydpst.commands.progress import stages


def fit(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A photo as it was.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="The same photo, graded.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Where to write: LOOK.cube.", rich_help_panel="Output"),
    ],
    size: Annotated[
        int, typer.Option(help="Entries a side of the table.", rich_help_panel="Limits")
    ] = 33,
) -> None:
    """Find the look that took BEFORE to AFTER, as a 3D look-up table for any program.

    Pixels that changed in another way than their colour does elsewhere, such as retouched ones,
    count for little.
    """
    from pydpst.metrics.levels import level_error, verdict
    from pydpst.photos.image import load_image
    from pydpst.photos.resizing import match_size, resize
    from pydpst.photos.writing import check_output
    from pydpst.transfer.cube import apply_cube, fit_look, write_cube

    check_output(output, (".cube",))
    check_files({"BEFORE": before, "AFTER": after}, {"--output": output})
    with stages(2, too_large="give smaller photos") as begin:
        begin("reading the photos")
        photo = resize(load_image(before, "before"), 1024)
        graded = match_size(load_image(after, "after"), photo, "after", "before")
        begin("fitting the table")
        cube = fit_look(photo, graded, size)
        write_cube(cube, output, output.stem)
        rms, percentile = level_error(apply_cube(cube, photo), graded)
    say(
        f"{output}: off AFTER by {rms:.1f} of 255 levels (RMS), 95 % of the pixels by less than "
        f"{percentile:.1f}{verdict(rms)}"
    )
