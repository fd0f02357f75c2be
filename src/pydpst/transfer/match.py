"""Matching a photo to the look of another, in one pass of a network: `match`."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pydpst.matting.guided import EnlargedPlanes
from pydpst.ops import choose_device
from pydpst.photos.decode import Source
from pydpst.photos.image import load_image
from pydpst.photos.photo import Photo, open_photo, save_photo
from pydpst.photos.resizing import resize
from pydpst.reading.network import LookReader
from pydpst.transfer.cube import check_cube_size, identity_cube, write_cube
from pydpst.transfer.export_look import table_of
from pydpst.transfer.finish import check_strength
from pydpst.transfer.full_size import given_to_photo, graded
from pydpst.transfer.grade import Grade
from pydpst.transfer.read_look import READ_SIZE, check_read_regions, looks_of


@dataclass(frozen=True, eq=False)
class Match:
    """What `match` returns.

    Attributes:
        image: (3, H, W), float32, in [0, 1], on the CPU, of the photo's own size.
        grade: what it was given, of one region or several.
        photo: the photo, with what else its file says.
        strength: how much of the grade.
    """

    image: Tensor
    grade: Grade
    photo: Photo
    strength: float

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the image like the photo's file (see `pydpst.save_photo`)."""
        save_photo(self.image, path, self.photo)

    def save_cube(self, path: str | os.PathLike[str], size: int = 33) -> None:
        """Writes the look as a 3-D look-up table, for programs that grade photos and film.

        Args:
            path: where to, ending in .cube.
            size: entries a side, from 2 to 129.

        Raises:
            ValueError: for another path or size, or a look of several regions.
            OSError: if writing fails.
        """
        check_cube_size(size)
        if len(self.grade.maps) > 1:
            raise ValueError(
                f"a table has one look, and this has {len(self.grade.maps)} regions; match without "
                "regions."
            )
        entries = identity_cube(size).float()
        table = entries.lerp(table_of(self.grade.maps[0], entries), self.strength)
        write_cube(table, path, "pydpst")


def match(
    photo: Source,
    style: Source,
    *,
    strength: float = 1.0,
    regions: str = "none",
    network: nn.Module | None = None,
    device: str | torch.device | None = None,
) -> Match:
    """Gives a photo the look of another, as a network reads it, in one pass.

    The network sees small copies of both; what it finds is a grade for the whole photo, or for each
    region of it (see `reading.network.LookReader`), and so the photo keeps all its detail.

    Args:
        photo: a path, PIL image, array or tensor, as for `load_image`.
        style: the photo whose look it gets, likewise.
        strength: 0 leaves the photo as it is, 1 is the network's look; what lies between is mixed.
        regions: none is one look for the whole photo; auto finds regions by what both photos show,
            and grades sky like sky and ground like ground, which takes longer.
        network: what `train_universal` gave, or `load_model` of its file; None is the bundled one.
        device: such as "cpu" or "cuda"; None is the GPU if there is one.

    Returns:
        The photo with that look, and the grade.

    Raises:
        ValueError: for a photo, strength, regions or network that are not as above.
    """
    check_strength(strength)
    check_read_regions(regions)
    original = open_photo(photo, "photo")
    example, on = load_image(style, "style"), choose_device(device)
    return matched(original, example, strength, on, regions, check_reader(network))


def check_reader(network: nn.Module | None) -> LookReader | None:
    """A network that reads looks, as it is.

    Raises:
        ValueError: for a network of another kind.
    """
    if network is None or isinstance(network, LookReader):
        return network
    raise ValueError("the network has one style of its own; give one of train --universal.")


def matched(
    photo: Photo,
    style: Tensor,
    strength: float,
    device: torch.device,
    regions: str = "none",
    network: LookReader | None = None,
) -> Match:
    """As `match`, of photos that are read already."""
    content = resize(photo.pixels, READ_SIZE).to(device)
    grade, masks, _ = looks_of(content, style, regions, network)

    def everywhere(strip: Tensor, top: int) -> Tensor:
        return strip.new_ones(1, *strip.shape[1:])

    shown = EnlargedPlanes(content, masks, photo.pixels.shape[1]) if len(masks) > 1 else everywhere
    colours = graded(grade.maps, shown)
    one = torch.ones_like(content[:1])
    image = given_to_photo(photo.pixels, content, colours, one, [strength])
    return Match(image, grade, photo, strength)
