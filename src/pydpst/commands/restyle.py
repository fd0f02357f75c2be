"""Restyling for `pydpst stylize`: one photo under a bar, or a folder that can be resumed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pydpst.commands import say
from pydpst.commands.batch import FAILURES, outputs_for, print_failures, reason_of
from pydpst.commands.progress import progress_bar

if TYPE_CHECKING:
    from torch import Tensor

    from pydpst.transfer.planning import Plan
    from pydpst.transfer.stylize import Progress, Result

# In the output folder: what its photos were made with.
_RECIPE = "recipe.json"


def restyle(
    content: Path, style: Path | Tensor, given: dict[str, Any], label: str = ""
) -> tuple[Result, int]:
    """Calls `pydpst.stylize` under a progress bar, if somebody is there to look at one.

    Args:
        content: the photo.
        style: the style photo, or its pixels.
        given: other arguments of `pydpst.stylize`.
        label: what to put before the step.

    Returns:
        The result, and the working size that was planned.
    """
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    import pydpst

    sizes: list[int] = []

    def planned(plan: Plan) -> None:
        say(f"{content}: {plan}")
        sizes.append(plan.size)

    columns = (f"{label}step", MofNCompleteColumn(), "{task.fields[losses]}", TimeRemainingColumn())
    with progress_bar(*columns, too_large="give a smaller --size") as bar:
        task = bar.add_task("", total=None, losses="")

        def show(progress: Progress) -> None:
            losses = " ".join(f"{name} {loss:.3g}" for name, loss in progress.losses.items())
            bar.update(task, completed=progress.step, total=progress.steps, losses=losses)

        result = pydpst.stylize(content, style, planned=planned, callback=show, **given)
    return result, sizes[0]


def restyle_folder(
    folder: Path, style: Path, output: Path, save_recipe: Path | None, given: dict[str, Any]
) -> None:
    """Restyles the photos of a folder; those that an earlier run with the same look made stay.

    The output folder keeps the recipe, which tells whether the look is the same.

    Raises:
        ValueError: for bad options, or if the output folder holds results of another look.
    """
    from pydpst.photos.image import load_image
    from pydpst.photos.writing import check_output, write_whole
    from pydpst.transfer.recipe import recipe_text

    example = load_image(style, "style")
    recipe = recipe_text(style, given)
    if save_recipe is not None:
        check_output(save_recipe, (".json",))
    resumed = _is_resumed(output, recipe)
    pairs = outputs_for([folder], output)
    write_whole(output / _RECIPE, recipe.encode())
    if save_recipe is not None:
        write_whole(save_recipe, recipe.encode())
    start = time.monotonic()
    ready = [result for _, result in pairs if resumed and result.is_file()]
    failures: dict[Path, str] = {}
    for number, (photo, result) in enumerate(pairs, start=1):
        if result in ready:
            continue
        interrupted = False
        try:
            restyled, _ = restyle(photo, example, given, f"photo {number} of {len(pairs)}, ")
            interrupted = restyled.interrupted
            if not interrupted:  # half-done ones would pass for done when it goes on
                restyled.save(result)
        except KeyboardInterrupt:
            interrupted = True
        except FAILURES as error:
            failures[photo] = reason_of(error)
        if interrupted:
            say(f"interrupted before {photo}; the same command goes on from there")
            raise typer.Exit(130)
    if len(failures) == len(pairs) > 1 and len(set(failures.values())) == 1:
        raise ValueError(failures.popitem()[1])  # of an option, not of a photo
    done = len(pairs) - len(ready) - len(failures)
    before = f", {len(ready)} were there" if ready else ""
    say(f"{output}: {done} of {len(pairs)} photos{before}, {time.monotonic() - start:.1f} s")
    if failures:
        print_failures(failures)
        raise typer.Exit(1)


def _is_resumed(output: Path, recipe: str) -> bool:
    """Whether an earlier run with this recipe began; what it left half-written is deleted."""
    path = output / _RECIPE
    if not path.is_file():
        return False
    if path.read_text(encoding="utf-8") != recipe:
        raise ValueError(
            f"the folder {output} holds results of another look (see {path}); choose another."
        )
    for part in output.rglob(".pydpst-*.part"):
        part.unlink(missing_ok=True)
    return True
