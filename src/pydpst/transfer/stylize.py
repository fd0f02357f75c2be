"""Deep photo style transfer (Luan et al. 2017): `stylize`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pydpst.ops import choose_device
from pydpst.photos.decode import Source
from pydpst.photos.photo import Photo, save_photo
from pydpst.regions.labels import MaskPair
from pydpst.regions.masks import Regions
from pydpst.transfer.finish import blended, with_luminance_of
from pydpst.transfer.full_size import carry_to_photo
from pydpst.transfer.look import Look
from pydpst.transfer.options import takes
from pydpst.transfer.pair import Pair, pair_up, read_photos
from pydpst.transfer.pixels import PixelSearch
from pydpst.transfer.planning import Plan, plan


@dataclass(frozen=True)
class Progress:
    """What a callback is told after each step.

    Attributes:
        step: how many steps are done, from 1.
        steps: how many there are.
        losses: the losses of weight above 0, and their weighted sum, total.
        image: gives the best image so far, (3, h, w) in [0, 1], at the working size.
    """

    step: int
    steps: int
    losses: dict[str, float]
    image: Callable[[], Tensor]


@dataclass
class Result:
    """What `stylize` returns.

    Attributes:
        image: (3, H, W), float32, in [0, 1], on the CPU, of the content's own size.
        working: (3, h, w), likewise, at the working size, where the look was found.
        regions: what was styled after what, at the working size.
        photo: the content, with what else its file says.
        losses: for each step the losses of weight above 0, and their weighted sum, total.
        interrupted: whether Ctrl-C ended it before all steps were done.
    """

    image: Tensor
    working: Tensor
    regions: Regions
    photo: Photo
    losses: list[dict[str, float]] = field(default_factory=list)
    interrupted: bool = False

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the image like the content's file (see `pydpst.save_photo`)."""
        save_photo(self.image, path, self.photo)


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

    The look is found at a working size, which memory bounds, and then carried to the photo as it is
    (see `full_size.carry_to_photo`).

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
    look = Look(**options)
    masks = MaskPair.of(content_mask, style_mask)
    target = choose_device(device)
    the_plan = plan(
        content, style, size=look.size, steps=look.steps, max_memory=max_memory, device=target
    )
    photos = read_photos(content, style, masks, the_plan.size, target)
    if planned is not None:
        planned(the_plan)
    pair = pair_up(photos, look)
    search = PixelSearch(pair, look)
    result = Result(pair.content, pair.content, pair.regions, pair.photo)
    try:
        for losses in search.steps():
            result.losses.append(losses)
            if callback is not None:
                image = lambda: search.image().cpu()  # noqa: E731
                callback(Progress(len(result.losses), look.steps, losses, image))
    except KeyboardInterrupt:
        result.interrupted = True
    found = search.smoothed(complete=not result.interrupted)
    result.working = _finished(pair, look, found)
    result.image = result.working
    if pair.photo.pixels.shape != pair.content.shape:
        result.image = _carried(pair, look, found)
    return result


def _finished(pair: Pair, look: Look, found: Tensor) -> Tensor:
    """What was found at the working size, with brightness and strengths as the look has them."""
    bright = with_luminance_of(pair.content, found) if look.preserve_luminance else found
    return blended(pair.content, bright, pair.masks, pair.strengths).cpu()


def _carried(pair: Pair, look: Look, found: Tensor) -> Tensor:
    """The same for the whole photo."""
    return carry_to_photo(
        pair.photo.pixels,
        pair.content,
        found,
        pair.masks,
        pair.strengths,
        recolour=look.photorealism_weight > 0,
        preserve_luminance=look.preserve_luminance,
    )
