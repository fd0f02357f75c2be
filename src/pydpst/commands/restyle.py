"""Restyling for `pydpst stylize`: one photo under a bar, or a folder that can be resumed."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydpst.commands import say
from pydpst.commands.batch import (
    FAILURES,
    Outcome,
    finish_batch,
    outputs_for,
    reason_of,
)
from pydpst.commands.cluster import restyle_on
from pydpst.commands.files import Files, check_files
from pydpst.commands.journal import NAME, Journal, Pairs, Restyle, recorded
from pydpst.commands.progress import Many, progress_bar
from pydpst.commands.stores import StorePath

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
    ray: str | None = None,
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
        ray: the address of a cluster that is to do it.
        as_json: whether what was done is also to be printed for programs.

    Raises:
        ValueError: for bad options, or if the output folder holds results of another look, or
            other files in their places.
    """
    import torch

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
    here = None if isinstance(output, StorePath) else output
    journal = Journal(output, recipe_of(style, given, here))
    journal.check(results)
    start = time.monotonic()
    done = journal.done_of(pairs)
    left = [(photo, result) for photo, result in pairs if result not in done]
    with journal:
        if ray is None:
            outcome = _one_by_one(example, given, left, journal)
        else:
            load = partial(_on_worker, example, _for_elsewhere(given))
            threads = torch.get_num_threads()
            outcome = restyle_on(ray, given.get("device"), threads, load, left, journal)
    failures, interrupted = outcome
    if len(failures) == len(pairs) > 1 and len(set(failures.values())) == 1:
        raise ValueError(failures.popitem()[1])  # of an option, not of a photo
    if save_recipe is not None and interrupted is None:
        write_recipe(save_recipe, style, given)
    finish_batch(output, pairs, done, outcome, start, as_json)


def _one_by_one(style: Tensor, given: dict[str, Any], pairs: Pairs, journal: Journal) -> Outcome:
    """Restyles photos, each under a bar."""
    failures: dict[Path, str] = {}
    photos = Many(len(pairs))

    def restyle_file(photo: Path, result: Path) -> None:
        restyled, _ = restyle(photo, style, given, photos)
        if restyled.interrupted:  # half-done ones would pass for done when it goes on
            raise KeyboardInterrupt
        journal.begin(result)
        restyled.save(result)

    for photos.done, (photo, result) in enumerate(pairs):
        try:
            journal.finish({result: recorded(restyle_file, photo, result)})
        except KeyboardInterrupt:
            return failures, photo
        except FAILURES as error:
            failures[photo] = reason_of(error)
    return failures, None


def _for_elsewhere(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments for processes that work in other folders."""
    model = given.get("segmentation_model")
    if model is None or not os.path.isdir(model):
        return given
    return {**given, "segmentation_model": os.path.abspath(model)}


def _on_worker(style: Tensor, given: dict[str, Any], device: str) -> Restyle:
    """What restyles photos elsewhere."""
    import pydpst

    arguments = {**given, "device": device}

    def restyle_file(photo: Path, result: Path) -> None:
        pydpst.stylize(photo, style, **arguments).save(result)

    return restyle_file
