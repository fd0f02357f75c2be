"""`pydpst stylize`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydpst.commands import say
from pydpst.commands.clip import stylize_clip
from pydpst.commands.files import check_files
from pydpst.commands.options import given, takes
from pydpst.commands.restyle import restyle, restyle_folder
from pydpst.transfer.look import Look

if TYPE_CHECKING:
    from pydpst.transfer.stylize import Result


@takes(Look)
def stylize(
    content: Annotated[
        Path,
        typer.Argument(
            metavar="CONTENT", help="The photo to restyle, a folder of photos, or a clip."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Where to write: png, jpg, tif or webp; for a folder a folder."
        ),
    ],
    style: Annotated[
        Path | None, typer.Argument(metavar="STYLE", help="The photo whose style it gets.")
    ] = None,
    content_mask: Annotated[
        Path | None, typer.Option(help="Label map of the content's regions.")
    ] = None,
    style_mask: Annotated[Path | None, typer.Option(help="Label map of the style's.")] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(help="What the process may hold, such as 4GB; unset: what is free."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Also write content, style and result side by side.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Take style and options from here: LOOK.json.")
    ] = None,
    save_recipe: Annotated[
        Path | None, typer.Option(help="Also write style and options: LOOK.json.")
    ] = None,
    export_cube: Annotated[
        Path | None, typer.Option(help="Also write the nearest 3D look-up table: LOOK.cube.")
    ] = None,
    export_grid: Annotated[
        Path | None,
        typer.Option(help="Also write the nearest model for pydpst apply: LOOK.safetensors."),
    ] = None,
    export_model: Annotated[
        Path | None,
        typer.Option(
            help="Also write the grade, which pydpst apply gives to other photos of the scene and "
            "to clips: LOOK.safetensors."
        ),
    ] = None,
    export_look: Annotated[
        Path | None,
        typer.Option(
            help="Also write the grade for other programs, as tables and masks: a folder."
        ),
    ] = None,
    **options: Any,
) -> None:
    """Give the photo CONTENT the style of the photo STYLE; Ctrl-C writes the best so far.

    A folder's photos are restyled one by one; stopped and started again, it goes on.
    """
    more = {"style_mask": style_mask, "max_memory": max_memory, "device": device}
    style, arguments = _look(style, recipe, given({**options, **more}))
    from pydpst.video.clip import CLIPS

    is_clip = content.suffix.lower() in CLIPS
    if content.is_dir() or is_clip:
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
        "--content-mask": content_mask,
        "--style-mask": arguments.get("style_mask"),
        "--recipe": recipe,
        "--segmentation-model": model and Path(model),
    }
    if content.is_dir():
        reads.pop("CONTENT")
        restyle_folder(content, style, output, save_recipe, arguments, reads)
        return
    also = {
        "--compare": compare,
        "--save-recipe": save_recipe,
        "--export-cube": export_cube,
        "--export-grid": export_grid,
        "--export-model": export_model,
    }
    check_files(reads, {"--output": output, **also}, {"--export-look": export_look})
    if is_clip:
        stylize_clip(content, style, output, arguments)
        return
    _check_outputs(output, also)
    if export_look is not None:
        _check_look(export_look, arguments)
    if export_model is not None:
        _check_model({"content_mask": content_mask, **arguments})
    start = time.monotonic()
    result, size = restyle(content, style, {"content_mask": content_mask, **arguments})
    result.save(output)
    refused = _write_also(result, style, also, {**arguments, "size": size})
    if export_look is not None:
        result.export_look(export_look)
    height, width = result.image.shape[-2:]
    summary = f"{output}: {width}×{height} pixels, {time.monotonic() - start:.1f} s"
    if result.interrupted:
        say(f"interrupted: wrote the best image so far, {summary}")
        raise typer.Exit(130)
    say(summary)
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
) -> bool:
    """Writes what is asked for beside the result; whether some of it was refused."""
    if not any(also.values()):
        return False

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
    exports = [(path, export) for option, export in asked.items() if (path := also[option])]
    small = result.pair.content.cpu()
    refused = False
    for path, export in exports:
        try:
            rms, percentile = export(small, result.working.cpu(), path)
        except ValueError as error:
            say(f"error: {error}")
            refused = True
            continue
        only = "; for this photo alone, at any size" if export is export_fitted_grid else ""
        say(
            f"{path}: off the result by {rms:.1f} of 255 levels (RMS), 95 % by less than "
            f"{percentile:.1f}{only or verdict(rms)}"
        )
    return refused
