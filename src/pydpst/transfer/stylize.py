"""Deep photo style transfer (Luan et al. 2017): `stylize`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pydpst.ops import choose_device
from pydpst.photos.decode import Source
from pydpst.photos.photo import Photo, save_photo
from pydpst.regions.border_order import swaps_brightness
from pydpst.regions.labels import MaskPair
from pydpst.regions.masks import Regions
from pydpst.transfer.export_look import check_look_folder, export_look, full_masks
from pydpst.transfer.finish import blended, with_luminance_of
from pydpst.transfer.full_size import Colours, given_to_photo
from pydpst.transfer.grade import Grade
from pydpst.transfer.grade_search import GradeSearch
from pydpst.transfer.look import Look
from pydpst.transfer.options import takes
from pydpst.transfer.pair import Pair, as_one, may_be_one, pair_up, read_photos
from pydpst.transfer.pixels import PixelSearch
from pydpst.transfer.planning import Plan, after_steps, plan, step_works, work_after_steps
from pydpst.transfer.time_left import TimeLeft


@dataclass(frozen=True)
class Progress:
    """What a callback is told after each step.

    Attributes:
        step: how many steps are done, from 1.
        steps: how many there are.
        losses: the losses of weight above 0, and their weighted sum, total.
        image: gives the best image so far, (3, h, w) in [0, 1], at the working size.
        seconds_left: until the result is there, by what the steps have taken so far; None after
            the first.
    """

    step: int
    steps: int
    losses: dict[str, float]
    image: Callable[[], Tensor]
    seconds_left: float | None = None


class Search(Protocol):
    """A look that is being found; what is no grade has None for one."""

    @property
    def grade(self) -> Grade | None:
        """The grade, if it is one."""

    def steps(self) -> Iterator[dict[str, float]]:
        """Yields the losses before each step; the best so far is kept."""

    def finish(self, complete: bool) -> None:
        """Does what comes after the steps; complete is whether all of them were done."""

    def image(self) -> Tensor:
        """The best so far at the working size, (3, h, w) in [0, 1], at full strength."""

    def colours(self) -> Colours:
        """The same for the photo as it is, strip by strip."""


@dataclass
class Result:
    """What `stylize` returns.

    Attributes:
        image: (3, H, W), float32, in [0, 1], on the CPU, of the content's own size.
        working: (3, h, w), likewise, at the working size, where the look was found.
        pair: both photos at the working size, and their regions.
        look: how the photo was restyled.
        grade: what was found, of the regions that both photos have; None for pixels.
        losses: for each step the losses of weight above 0, and their weighted sum, total.
        interrupted: whether Ctrl-C ended it before all steps were done.
    """

    image: Tensor
    working: Tensor
    pair: Pair
    look: Look
    grade: Grade | None = None
    losses: list[dict[str, float]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def regions(self) -> Regions:
        """What was styled after what, at the working size."""
        return self.pair.regions

    @property
    def photo(self) -> Photo:
        """The content, with what else its file says."""
        return self.pair.photo

    def export_look(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Writes the grade as tables and masks for other programs (see `export_look`).

        Raises:
            ValueError: if what was found is no grade, or the folder is refused.
            OSError: if writing fails.
        """
        check_look_folder(folder)
        if self.grade is None:
            raise ValueError("a look of pixels is no grade; find one by the method grade.")
        pair, count = self.pair, self.regions.shared
        weights = torch.tensor(pair.strengths[:count])[:, None, None]
        masks = full_masks(pair.photo.pixels, pair.content, pair.masks, count)
        levels = (  # one after the other: they are of the photo's size
            (weight * mask.float() * 65535).round().numpy().astype(np.uint16)
            for weight, mask in zip(weights, masks, strict=True)
        )
        return export_look(
            folder,
            self.grade.maps,
            self.regions.names[:count],
            levels,
            preserve_luminance=self.look.preserve_luminance,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the image like the content's file (see `pydpst.save_photo`)."""
        save_photo(self.image, path, self.photo)


SEARCHES: dict[str, Callable[[Pair, Look], Search]] = {
    "grade": GradeSearch,
    "pixels": PixelSearch,
}


@takes(Look)
def stylize(
    content: Source,
    style: Source,
    *,
    content_mask: Source | None = None,
    style_mask: Source | None = None,
    device: str | torch.device | None = None,
    max_memory: int | str | None = None,
    planned: Callable[[Plan], None] | None = None,
    callback: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Result:
    """Gives a photo the style of another and keeps it a photo (Luan et al. 2017).

    The look is found at a working size, which memory bounds, and then given to the photo as it is
    (see `full_size.given_to_photo`). By default it is a grade: one small colour map a region (see
    `grade_search.GradeSearch`); the paper's optimisation of all pixels is there by ``method``.

    Args:
        content: the photo to restyle: a path, PIL image, array or tensor, as for `load_image`.
        style: the photo whose style it gets, likewise.
        content_mask: a label map of the content's regions, in the paper's colours or any flat
            colours or integers: a path, PIL image, array or tensor. Each region takes the style of
            the region of the same label.
        style_mask: the style's; both masks or none.
        device: such as "cpu", "cuda" or "cuda:1"; None is the GPU if there is one.
        max_memory: what the process may hold, in bytes or such as "4GB" or "4GiB"; None is what is
            free.
        planned: called with the plan once the photos are read, before the work begins.
        callback: called after each step. Ctrl-C (KeyboardInterrupt), also from within it, ends the
            run with the best image so far.
        **options: how to restyle it, the fields of `Look`:
        {options}

    Returns:
        The result's image, of the content's own size, and losses.

    Raises:
        ValueError: for an argument that is not as above, with a sentence that names it; also if
            max_memory is too little for the photo.
    """
    look = Look(**options).settled()
    masks = MaskPair.of(content_mask, style_mask)
    target = choose_device(device)
    the_plan = plan(
        content,
        style,
        size=look.size,
        method=look.method,
        steps=look.steps,
        max_memory=max_memory,
        device=target,
    )
    photos = read_photos(content, style, masks, the_plan.size, target)
    if planned is not None:
        planned(the_plan)
    pair = pair_up(photos, look)
    result, search = _searched(pair, look, callback)
    if search.grade is not None and not result.interrupted and may_be_one(pair, look):
        shared = pair.masks[: pair.regions.shared]
        style_regions = (pair.style, pair.style_masks)
        if swaps_brightness(pair.content, search.image(), shared, style_regions):
            pair = as_one(pair)
            result, search = _searched(pair, look, callback)
    result.grade = search.grade
    result.working = _at_working_size(pair, look, search.image())
    result.image = result.working
    if pair.photo.pixels.shape != pair.content.shape:
        result.image = given_to_photo(
            pair.photo.pixels,
            pair.content,
            search.colours(),
            pair.masks,
            pair.strengths,
            preserve_luminance=look.preserve_luminance,
        )
    return result


def _searched(
    pair: Pair, look: Look, callback: Callable[[Progress], None] | None
) -> tuple[Result, Search]:
    """Finds the look of a pair; the result has its losses, and no image yet."""
    search = SEARCHES[look.method](pair, look)
    result = Result(pair.content, pair.content, pair, look)
    height, width = pair.photo.pixels.shape[-2:]
    works = step_works(look.method, look.most_steps, (height, width), max(pair.content.shape[-2:]))
    pixels = height * width
    time_left = TimeLeft(works, after_steps(pixels), work_after_steps(pixels))
    try:
        for losses in search.steps():
            result.losses.append(losses)
            if callback is not None:
                image = lambda: search.image().cpu()  # noqa: E731
                left = time_left.after_step(time.monotonic())
                callback(Progress(len(result.losses), look.most_steps, losses, image, left))
    except KeyboardInterrupt:
        result.interrupted = True
    search.finish(complete=not result.interrupted)
    return result, search


def _at_working_size(pair: Pair, look: Look, found: Tensor) -> Tensor:
    """What was found, with brightness and strengths as the look has them."""
    bright = with_luminance_of(pair.content, found) if look.preserve_luminance else found
    return blended(pair.content, bright, pair.masks, pair.strengths).cpu()
