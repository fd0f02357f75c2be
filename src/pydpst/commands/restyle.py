"""Restyling for `pydpst stylize`: one photo under a bar, or a folder that can be resumed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pydpst.commands import say
from pydpst.commands.batch import FAILURES, finish_batch, outputs_for, reason_of
from pydpst.commands.files import Files, check_files
from pydpst.commands.journal import NAME, Journal
from pydpst.commands.progress import Many, progress_bar

if TYPE_CHECKING:
    from torch import Tensor

    from pydpst.transfer.planning import Plan
    from pydpst.transfer.stylize import Progress, Result


def restyle(
    content: Path, style: Path | Tensor, given: dict[str, Any], photos: Many | None = None
) -> tuple[Result, int]:
    """Calls `pydpst.stylize` under a progress bar, if somebody is there to look at one.

    How long it will take is said when the first steps have told.

    Args:
        content: the photo.
        style: the style photo, or its pixels.
        given: other arguments of `pydpst.stylize`.
        photos: those that this is one of.

    Returns:
        The result, and the working size that was planned.
    """
    import pydpst
    from pydpst.transfer.time_left import in_words

    sizes: list[int] = []

    def planned(plan: Plan) -> None:
        say(f"{content}: {plan}")
        sizes.append(plan.size)

    many = photos or Many(1)
    label = f"photo {many.done + 1} of {many.count}, " if photos else ""
    fields = ("{task.description}", "{task.fields[count]}", "{task.fields[losses]}")
    columns = (*fields, "{task.fields[left]}")
    with progress_bar(*columns, too_large="give a smaller --size") as bar:
        task = bar.add_task(
            f"{label}before the first step", total=None, count="", losses="", left=""
        )

        def show(progress: Progress) -> None:
            losses = " ".join(f"{name} {loss:.3g}" for name, loss in progress.losses.items())
            left = ""
            if progress.seconds_left is not None:
                left = in_words(many.seconds_left(progress.seconds_left))
                if not many.told:
                    many.told = True
                    say(f"{left} left" + (f" for {many.count} photos" if photos else ""))
                left += " left"
            bar.update(
                task,
                description=f"{label}step",
                count=f"{progress.step}/{progress.steps}",
                completed=progress.step,
                total=progress.steps,
                losses=losses,
                left=left,
            )

        result = pydpst.stylize(content, style, planned=planned, callback=show, **given)
    return result, sizes[0]


def restyle_folder(
    folder: Path,
    style: Path,
    output: Path,
    save_recipe: Path | None,
    given: dict[str, Any],
    reads: Files | None = None,
    as_json: bool = False,
) -> None:
    """Restyles the photos of a folder; those that an earlier run with the same look made stay.

    The output folder keeps the recipe, with what each result was made of.

    Args:
        folder: of photos.
        style: the style photo.
        output: a folder.
        save_recipe: where to write the recipe, too.
        given: other arguments of `pydpst.stylize`.
        reads: other files that are read.
        as_json: whether what was done is also to be printed for programs.

    Raises:
        ValueError: for bad options, or if the output folder holds results of another look, or
            other files in their places.
    """
    from pydpst.photos.image import load_image
    from pydpst.photos.writing import check_output
    from pydpst.transfer.recipe import recipe_of
    from pydpst.transfer.recipe import save_recipe as write_recipe

    pairs = outputs_for([folder], output)
    photos, results = zip(*pairs, strict=True)
    reads = {"CONTENT": photos, "STYLE": style, **(reads or {})}
    written = {"--output": [*results, output / NAME], "--save-recipe": save_recipe}
    check_files(reads, written)
    if save_recipe is not None:
        check_output(save_recipe, (".json",))
    example = load_image(style, "style")
    journal = Journal(output, recipe_of(style, given, output))
    journal.check(results)
    start = time.monotonic()
    done = {result for photo, result in pairs if journal.is_done(photo, result)}
    failures: dict[Path, str] = {}
    left = [pair for pair in pairs if pair[1] not in done]
    photos_left = Many(len(left))
    for photos_left.done, (photo, result) in enumerate(left):
        interrupted = False
        try:
            restyled, _ = restyle(photo, example, given, photos_left)
            interrupted = restyled.interrupted
            if not interrupted:  # half-done ones would pass for done when it goes on
                journal.begin(photo, result)
                restyled.save(result)
                journal.finish(result)
        except KeyboardInterrupt:
            interrupted = True
        except FAILURES as error:
            failures[photo] = reason_of(error)
        if interrupted:
            say(f"interrupted before {photo}; the same command goes on from there")
            raise typer.Exit(130)
    if len(failures) == len(pairs) > 1 and len(set(failures.values())) == 1:
        raise ValueError(failures.popitem()[1])  # of an option, not of a photo
    if save_recipe is not None:
        write_recipe(save_recipe, style, given)
    finish_batch(output, pairs, done, failures, start, as_json)
