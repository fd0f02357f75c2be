"""`pydpst segment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pydpst.commands.files import check_files


def segment(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="The photo to restyle.")],
    style: Annotated[Path, typer.Argument(metavar="STYLE", help="The photo whose style it gets.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for content.png and style.png.")
    ],
    size: Annotated[int | None, typer.Option(help="Pixels of the longer side.")] = None,
    regions_from: Annotated[
        str, typer.Option("--regions", help="auto, clusters or none, as for pydpst stylize.")
    ] = "auto",
    segmentation_model: Annotated[
        str | None, typer.Option(help="A transformers model for it: a name or a folder.")
    ] = None,
) -> None:
    """Write the regions that CONTENT and STYLE share as label maps, to edit and pass back.

    `pydpst stylize` takes them as --content-mask and --style-mask.
    """
    from rich.console import Console
    from rich.table import Table

    from pydpst.photos.image import load_image, save_image
    from pydpst.photos.resizing import resize
    from pydpst.regions.mask_colors import label_image
    from pydpst.transfer.pair import find_regions

    if output.exists() and not output.is_dir():
        raise ValueError(f"the output {output} is a file; it must be a folder.")
    model = None if segmentation_model is None else Path(segmentation_model)
    written = [output / f"{name}.png" for name in ("content", "style")]
    check_files(
        {"CONTENT": content, "STYLE": style, "--segmentation-model": model}, {"--output": written}
    )
    photos = [load_image(content, "content"), load_image(style, "style")]
    if size is not None:
        photos = [resize(photo, size) for photo in photos]
    regions = find_regions(photos[0], photos[1], regions_from, segmentation_model)
    output.mkdir(parents=True, exist_ok=True)
    table = Table("region", "of content", "of style", box=None)
    for label, name in enumerate(regions.names):
        shares = [(labels == label).float().mean() for labels in (regions.content, regions.style)]
        table.add_row(name, *(f"{share:.0%}" for share in shares))
    for labels, path in zip((regions.content, regions.style), written, strict=True):
        save_image(label_image(labels, regions.names), path)
    Console().print(table)
