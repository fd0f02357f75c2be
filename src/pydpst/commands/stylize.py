"""`pydpst stylize`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydpst.commands import say
from pydpst.commands.clip import stylize_clip
from pydpst.commands.cluster import RayAddress, check_ray
from pydpst.commands.files import check_files, label_map
from pydpst.commands.options import given, takes
from pydpst.commands.pipes import check_pipes, piped
from pydpst.commands.report import AsJson, print_report, result_of
from pydpst.commands.restyle import restyle, restyle_folder
from pydpst.commands.stores import StorePath, place
from pydpst.transfer.look import Look

if TYPE_CHECKING:
    from pydpst.transfer.stylize import Result


@takes(Look)
def stylize(
    content: Annotated[
        Path,
        typer.Argument(
            metavar="CONTENT",
            parser=place,
            help="The photo to restyle, - for one from standard input, a folder of photos, or "
            "a clip.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="<path>",
            parser=place,
            help="Where to write: png, jpg, tif or webp; for a folder a folder; - is standard "
            "output.",
            rich_help_panel="Output",
        ),
    ],
    style: Annotated[
        Path | None, typer.Argument(metavar="STYLE", help="The photo whose style it gets.")
    ] = None,
    content_mask: Annotated[
        Path | None,
        typer.Option(help="Label map of the content's regions.", rich_help_panel="Regions"),
    ] = None,
    style_mask: Annotated[
        Path | None, typer.Option(help="Label map of the style's.", rich_help_panel="Regions")
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(
            help="What the process may hold, such as 4GB; unset: what is free.",
            rich_help_panel="Limits",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N.", rich_help_panel="Limits")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            help="Also write content, style and result side by side.", rich_help_panel="Output"
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Take style and options from here: LOOK.json.", rich_help_panel="Look"),
    ] = None,
    save_recipe: Annotated[
        Path | None,
        typer.Option(help="Also write style and options: LOOK.json.", rich_help_panel="Output"),
    ] = None,
    export_cube: Annotated[
        Path | None,
        typer.Option(
            help="Also write the nearest 3D look-up table: LOOK.cube.", rich_help_panel="Output"
        ),
    ] = None,
    export_grid: Annotated[
        Path | None,
        typer.Option(
            help="Also write the nearest model for pydpst apply: LOOK.safetensors.",
            rich_help_panel="Output",
        ),
    ] = None,
    export_model: Annotated[
        Path | None,
        typer.Option(
            help="Also write the grade, which pydpst apply gives to other photos of the scene and "
            "to clips: LOOK.safetensors.",
            rich_help_panel="Output",
        ),
    ] = None,
    export_look: Annotated[
        Path | None,
        typer.Option(
            help="Also write the grade for other programs, as tables and masks: a folder.",
            rich_help_panel="Output",
        ),
    ] = None,
    ray: RayAddress = None,
    as_json: AsJson = False,
    **options: Any,
) -> None:
    """Give the photo CONTENT the style of the photo STYLE; Ctrl-C writes the best so far.

    A folder's photos are restyled one by one; stopped and started again, it goes on.
    """
    more = {"style_mask": style_mask, "max_memory": max_memory, "device": device}
    style, arguments = _look(style, recipe, given({**options, **more}))
    from pydpst.video.clip import CLIPS

    check_pipes([content], output, as_json)
    is_clip = content.suffix.lower() in CLIPS
    is_folder = not is_clip and (isinstance(content, StorePath) or content.is_dir())
    check_ray(ray, device, not is_folder, [content, output])
    if is_folder or is_clip:
        of_one_photo = {
            "--content-mask": content_mask,
            "--style-mask": arguments.get("style_mask"),
            "--compare": compare,
            "--export-cube": export_cube,
            "--export-grid": export_grid,
            "--export-model": export_model,
            "--export-look": export_look,
        }
        kind = "a clip" if is_clip else "a folder"
        for option, value in of_one_photo.items():
            if value is not None:
                raise ValueError(f"{option} goes with one photo, but {content} is {kind}.")
    model = arguments.get("segmentation_model")
    reads = {
        "CONTENT": content,
        "STYLE": style,
        "--content-mask": label_map(content_mask),
        "--style-mask": label_map(arguments.get("style_mask")),
        "--recipe": recipe,
        "--segmentation-model": model and Path(model),
    }
    if is_folder:
        reads.pop("CONTENT")
        restyle_folder(content, style, output, save_recipe, arguments, reads, ray, as_json)
        return
    also = {
        "--compare": compare,
        "--save-recipe": save_recipe,
        "--export-cube": export_cube,
        "--export-grid": export_grid,
        "--export-model": export_model,
    }
    with piped(content, output) as (photo, result):
        check_files(
            {**reads, "CONTENT": photo},
            {"--output": result, **also},
            {"--export-look": export_look},
        )
        if is_clip:
            start = time.monotonic()
            done = stylize_clip(photo, style, result, arguments)
            if as_json:
                print_report(start, [done])
            return
        arguments["content_mask"] = content_mask
        _stylize_photo(photo, style, result, also, export_look, arguments, as_json)


def _stylize_photo(
    content: Path,
    style: Path,
    output: Path,
    also: dict[str, Path | None],
    export_look: Path | None,
    arguments: dict[str, Any],
    as_json: bool,
) -> None:
    _check_outputs(output, also)
    if export_look is not None:
        _check_look(export_look, arguments)
    if also["--export-model"] is not None:
        _check_model(arguments)
    start = time.monotonic()
    result, size = restyle(content, style, arguments)
    result.save(output)
    refused = _write_also(result, style, also, {**arguments, "size": size})
    if export_look is not None:
        result.export_look(export_look)
    height, width = result.image.shape[-2:]
    summary = f"{output}: {width}×{height} pixels, {time.monotonic() - start:.1f} s"
    stopped = "interrupted: wrote the best image so far, " if result.interrupted else ""
    say(f"{stopped}{summary}")
    if as_json:
        state = "stopped" if stopped else "written"
        done = result_of(content, output, state, width=width, height=height, size=size)
        asked = {**also, "--export-look": export_look}
        written = {o: os.fspath(path) for o, path in asked.items() if path and o not in refused}
        print_report(start, [done], also=written)
    if stopped:
        raise typer.Exit(130)
    if refused:
        raise typer.Exit(1)


def _look(
    style: Path | None, recipe: Path | None, given: dict[str, Any]
) -> tuple[Path, dict[str, Any]]:
    """The style photo and the options, those of the recipe unless they are given."""
    from pydpst.transfer.recipe import load_recipe

    if recipe is None:
        if style is None:
            raise ValueError("there is no style photo; give STYLE, or --recipe LOOK.json.")
        return style, given
    if style is not None:
        raise ValueError(f"the recipe {recipe} has its own style photo; leave {style} out.")
    read = load_recipe(recipe)
    for warning in read.warnings:
        say(f"warning: {warning}")
    files = dict(read.files)
    return files.pop("style"), {**read.options, **files, **given}


def _check_look(folder: Path, options: dict[str, Any]) -> None:
    """Refuses a folder that a look cannot be exported to, before any work is done."""
    from pydpst.transfer.export_look import check_look_folder

    check_look_folder(folder)
    if options.get("method", "grade") != "grade":
        raise ValueError("--export-look writes a grade; leave --method out, or say grade.")


def _check_model(options: dict[str, Any]) -> None:
    """Refuses looks that cannot be given to other photos, before any work is done."""
    refused = {
        "--content-mask": options.get("content_mask"),
        "--segmentation-model": options.get("segmentation_model"),
        "--preserve-luminance": options.get("preserve_luminance"),
        "--method pixels": options.get("method", "grade") != "grade",
        "--regions clusters": options.get("regions") == "clusters",
    }
    for option in (name for name, is_given in refused.items() if is_given):
        raise ValueError(
            f"--export-model writes what can be found in other photos; leave {option} out."
        )


def _check_outputs(output: Path, also: dict[str, Path | None]) -> None:
    from pydpst.photos.encode import PICTURES
    from pydpst.photos.writing import check_output

    suffixes = {
        "--save-recipe": (".json",),
        "--export-cube": (".cube",),
        "--export-grid": (".safetensors",),
        "--export-model": (".safetensors",),
    }
    check_output(output)
    for option, path in also.items():
        if path is not None:
            check_output(path, suffixes.get(option, PICTURES))


def _write_also(
    result: Result,
    style: Path,
    also: dict[str, Path | None],
    given: dict[str, Any],
) -> set[str]:
    """Writes what is asked for beside the result; which of these options were refused."""
    if not any(also.values()):
        return set()

    from pydpst.feedforward.export import export_fitted_cube, export_fitted_grid
    from pydpst.feedforward.grade_net import grade_net
    from pydpst.feedforward.model_file import save_model
    from pydpst.metrics.levels import verdict
    from pydpst.photos.image import save_image
    from pydpst.photos.resizing import side_by_side
    from pydpst.transfer.recipe import save_recipe

    if (path := also["--compare"]) is not None:
        save_image(side_by_side([result.pair.content, result.pair.style, result.working]), path)
    if (path := also["--save-recipe"]) is not None:
        save_recipe(path, style, given)
    if (path := also["--export-model"]) is not None:
        save_model(grade_net(result), path, {"style": style.name})
    asked = {"--export-cube": export_fitted_cube, "--export-grid": export_fitted_grid}
    exports = [(option, path) for option in asked if (path := also[option])]
    small = result.pair.content.cpu()
    refused = set()
    for option, path in exports:
        export = asked[option]
        try:
            rms, percentile = export(small, result.working.cpu(), path)
        except ValueError as error:
            say(f"error: {error}")
            refused.add(option)
            continue
        only = "; for this photo alone, at any size" if export is export_fitted_grid else ""
        say(
            f"{path}: off the result by {rms:.1f} of 255 levels (RMS), 95 % by less than "
            f"{percentile:.1f}{only or verdict(rms)}"
        )
    return refused
