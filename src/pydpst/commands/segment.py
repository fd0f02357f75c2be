"""`pydpst segment`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from pydpst.commands.files import check_files
from pydpst.commands.progress import stages


def segment(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="The photo to restyle.")],
    style: Annotated[Path, typer.Argument(metavar="STYLE", help="The photo whose style it gets.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for content.png, style.png and regions.json.",
            rich_help_panel="Output",
        ),
    ],
    size: Annotated[
        int | None,
        typer.Option(
            help="Pixels of the longer side; by default the photos' own.", rich_help_panel="Limits"
        ),
    ] = None,
    regions_from: Annotated[
        str,
        typer.Option(
            "--regions",
            help="auto, clusters or none, as for pydpst stylize.",
            rich_help_panel="Regions",
        ),
    ] = "auto",
    segmentation_model: Annotated[
        str | None,
        typer.Option(
            help="A transformers model for it: a name or a folder.", rich_help_panel="Regions"
        ),
    ] = None,
) -> None:
    """Write the regions that CONTENT and STYLE share as label maps, to edit and pass back.

    `pydpst stylize` takes them as --content-mask and --style-mask. How regions are called, for
    --strength and --lock, stands in regions.json beside them, to edit as well.
    """
    from rich.console import Console
    from rich.table import Table

    from pydpst.photos.image import load_image, save_image
    from pydpst.photos.resizing import resize
    from pydpst.photos.writing import check_output, write_whole
    from pydpst.regions.mask_colors import label_image
    from pydpst.regions.names_file import NAMES_FILE, names_json
    from pydpst.transfer.pair import find_regions

    if os.path.lexists(output) and not output.is_dir():
        raise ValueError(f"the output {output} is a file; it must be a folder.")
    model = None if segmentation_model is None else Path(segmentation_model)
    written = [output / name for name in ("content.png", "style.png")]
    named = output / NAMES_FILE
    check_files(
        {"CONTENT": content, "STYLE": style, "--segmentation-model": model},
        {"--output": [*written, named]},
    )
    if output.is_dir():
        for path in (*written, named):
            check_output(path, (path.suffix,))
    with stages(2, too_large="give a smaller --size") as begin:
        begin("reading the photos")
        photos = [load_image(content, "content"), load_image(style, "style")]
        if size is not None:
            photos = [resize(photo, size) for photo in photos]
        begin("finding the regions")
        regions = find_regions(photos[0], photos[1], regions_from, segmentation_model)
    output.mkdir(parents=True, exist_ok=True)
    table = Table("region", "of content", "of style", box=None)
    shown = bool(regions.matches)
    if shown:
        for column in ("content shows", "styled after", "confidence"):
            table.add_column(column)
    for label, name in enumerate(regions.names):
        shares = [(labels == label).float().mean() for labels in (regions.content, regions.style)]
        row = [name, *(f"{share:.0%}" for share in shares)]
        if shown:
            match = regions.matches[label]
            row += [", ".join(sorted(match.content)), ", ".join(sorted(match.style))]
            row.append(f"{match.confidence:.2f}")
        table.add_row(*row)
    for labels, path in zip((regions.content, regions.style), written, strict=True):
        save_image(label_image(labels, regions.names), path)
    write_whole(named, names_json(regions).encode())
    Console().print(table)
