"""`pydpst evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pydpst.commands import say
from pydpst.commands.files import check_files, label_map
from pydpst.commands.progress import stages


def evaluate(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="The photo restyled.")],
    style: Annotated[Path, typer.Argument(metavar="STYLE", help="The photo of the style.")],
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="What came of it.")],
    content_mask: Annotated[
        Path | None,
        typer.Option(help="Label map of the content's regions.", rich_help_panel="Regions"),
    ] = None,
    style_mask: Annotated[
        Path | None, typer.Option(help="Label map of the style's.", rich_help_panel="Regions")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Also write a page with pictures: html.", rich_help_panel="Output"),
    ] = None,
) -> None:
    """Measure how far RESULT has the style of STYLE and is still the photo CONTENT.

    The result may be of any program. It is measured at its own size: the content is scaled to it,
    and the style to its longer side at most.
    """
    from rich.console import Console
    from rich.table import Table

    from pydpst import metrics
    from pydpst.metrics.report import REGION_COLUMNS, html_report, measures, region_rows
    from pydpst.photos.image import load_image
    from pydpst.photos.resizing import match_size, resize
    from pydpst.photos.writing import check_output, write_whole
    from pydpst.regions.labels import MaskPair, label_maps

    if report is not None:
        check_output(report, (".html", ".htm"))
    masks_read = {
        "--content-mask": label_map(content_mask),
        "--style-mask": label_map(style_mask),
    }
    photos_read = {"CONTENT": content, "STYLE": style, "RESULT": result}
    check_files({**photos_read, **masks_read}, {"--report": report})
    mask_files = MaskPair.of(content_mask, style_mask)
    with stages(6 + (mask_files is not None), too_large="measure a smaller result") as begin:
        begin("reading the photos")
        photos = [load_image(content, "content"), load_image(style, "style")]
        outcome = load_image(result, "result")
        photo = match_size(photos[0], outcome, "content", "result")
        example = resize(photos[1], max(outcome.shape[-2:]))
        masks, example_masks, names = None, None, ["all"]
        if mask_files is not None:
            begin("reading the masks")
            regions = label_maps(photo, example, mask_files)
            masks, example_masks = regions.hard_masks()
            names = regions.names[: regions.shared]
        comparison = metrics.Comparison(outcome, photo, example, masks, example_masks)
        evaluation = metrics.evaluate(comparison, begin)
    console = Console()
    summary = Table("", "result", "", box=None)
    for measure in measures(evaluation):
        summary.add_row(measure.name, measure.value, measure.reading)
    console.print(summary)
    by_region = Table(
        *REGION_COLUMNS, box=None, title="\nDistances to the style, by region", title_justify="left"
    )
    areas = [1.0] if masks is None else masks.mean((1, 2)).tolist()
    for row in region_rows(evaluation, names, areas):
        by_region.add_row(*row)
    console.print(by_region)
    if report is not None:
        captions = [
            f"{what}: {path.name}"
            for what, path in (("content", content), ("style", style), ("result", result))
        ]
        overlays = {}
        if masks is not None and example_masks is not None:
            overlays = {captions[0]: masks, captions[1]: example_masks}
        page = html_report(
            f"{result.name}: {content.name} in the style of {style.name}",
            dict(zip(captions, (photo, example, outcome), strict=True)),
            metrics.residual_map(outcome, photo),
            overlays,
            names,
            evaluation,
        )
        write_whole(report, page.encode(errors="replace"))
        say(f"{report}: {report.stat().st_size / 1e6:.1f} MB")
