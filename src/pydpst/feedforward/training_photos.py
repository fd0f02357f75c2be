"""The photos of a training: found, read, held out, and cut at random."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.photos.decode import Source
from pydpst.photos.image import load_image
from pydpst.photos.opening import HEIC
from pydpst.photos.resizing import resize

_SUFFIXES = (".bmp", ".jp2", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp", *HEIC)

# Photos are kept this much larger than they are trained at, so that cuts of them still have detail.
_MARGIN = 1.5
# Width by height of what the network is trained on.
_SHAPES = (2.0, 1.5, 4 / 3, 1.0, 0.75)
# Of the longer side asked for.
_SCALES = (1.0, 0.75)


def find_photos(photos: str | os.PathLike[str] | Sequence[Source]) -> list[Source]:
    """The photos of a folder, with those in its folders; or those of a list.

    Raises:
        ValueError: if there are none.
    """
    if not isinstance(photos, str | os.PathLike):
        if not photos:
            raise ValueError("the list of photos is empty; give at least one photo.")
        return list(photos)
    folder = Path(photos)
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        problem = "are no folder" if os.path.lexists(folder) else "do not exist"
        raise ValueError(f"the photos {folder} {problem}; give a folder of photos.")
    found = sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=_warn_of_folder)
        for name in names
        if is_photo(Path(name))
    )
    if not found:
        raise ValueError(f"the folder {folder} holds no photos; give one that does.")
    return list(found)


def is_photo(path: Path) -> bool:
    """Whether a folder's file is taken for a photo, by its name."""
    return path.suffix.lower() in _SUFFIXES


def _warn_of_folder(error: OSError) -> None:
    warnings.warn(f"the folder {error.filename} may not be read; it is left out.", stacklevel=2)


def _read(photo: Source, size: int) -> Tensor | str:
    """The photo as (3, H, W), uint8; or what is wrong with it."""
    try:
        image = resize(load_image(photo, "training"), round(_MARGIN * size))
    except ValueError as error:
        return str(error)
    return (image * 255).round().to(torch.uint8)


def read_photos(photos: Sequence[Source], size: int) -> Iterator[Tensor | None]:
    """Reads photos, scaled down to what training at a size needs; names unreadable ones.

    Args:
        photos: as for `load_image`.
        size: pixels of the longer side.

    Yields:
        For each photo (3, H, W), uint8, on the CPU; None with a warning for one that is unreadable.
    """
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for read in pool.map(lambda photo: _read(photo, size), photos):
            if isinstance(read, str):
                warnings.warn(f"skipped: {read}", stacklevel=2)
                yield None
            else:
                yield read


def random_generator(*numbers: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A source of random numbers that depends on nothing but a few small numbers.

    Those of another kind of device are others.
    """
    state = 0
    for number in numbers:  # splitmix64 (Steele et al. 2014)
        state = (state + number + 0x9E3779B97F4A7C15) % 2**64
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        state ^= state >> 31
    return torch.Generator(device).manual_seed(state % 2**63)


def step_shape(seed: int, step: int, size: int) -> tuple[int, int]:
    """The height and width that all photos of a step are trained at."""
    generator = random_generator(seed, 0, step)
    shape = _SHAPES[int(torch.randint(len(_SHAPES), (), generator=generator))]
    longer = size * _SCALES[int(torch.randint(len(_SCALES), (), generator=generator))]
    height, width = (longer / shape, longer) if shape > 1 else (longer, longer * shape)
    return max(16, round(height / 16) * 16), max(16, round(width / 16) * 16)


def sample(photos: Sequence[Tensor], seed: int, index: int, shape: tuple[int, int]) -> Tensor:
    """The photo that is number `index` of a training: each comes once before any comes again.

    It is cut to the shape, at random to 60 to 100 % of what would fit, and mirrored half the time.

    Args:
        photos: (3, H, W), uint8.
        seed: of the training.
        index: from 0; the result depends on nothing else.
        shape: height and width of the result.

    Returns:
        (3, *shape), float32, in [0, 1].
    """
    epoch, place = divmod(index, len(photos))
    order = torch.randperm(len(photos), generator=random_generator(seed, 1, epoch))
    photo = photos[int(order[place])]
    chance = torch.rand(4, generator=random_generator(seed, 2, index)).tolist()
    scale = min(photo.shape[1] / shape[0], photo.shape[2] / shape[1]) * (1 - 0.4 * chance[0])
    height, width = (max(1, int(side * scale)) for side in shape)
    top = int(chance[1] * (photo.shape[1] - height + 1))
    left = int(chance[2] * (photo.shape[2] - width + 1))
    cut = photo[None, :, top : top + height, left : left + width].float() / 255
    if chance[3] < 0.5:
        cut = cut.flip(-1)
    return F.interpolate(cut, shape, mode="bilinear", antialias=True)[0].clamp(0, 1)
