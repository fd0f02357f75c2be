"""What `pydpst apply` gives photos and clips: the look of a model, or of a photo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pydpst.feedforward.grade_net import GradeNet
    from pydpst.photos.photo import Photo
    from pydpst.video.smooth_look import FrameLook


@dataclass(frozen=True)
class OnePass:
    """A look that is given in one pass.

    Attributes:
        restyle: gives a photo its new pixels, (3, H, W) in [0, 1], on the CPU.
        frames: begins a clip.
    """

    restyle: Callable[[Photo], Tensor]
    frames: Callable[[], FrameLook]


def restyle_file(
    look: OnePass, photo: Path, result: Path, begin: Callable[[str], None] = lambda stage: None
) -> None:
    """Gives the look to the photo of a file; begin is told what is begun."""
    from pydpst.photos.photo import open_photo, save_photo

    begin("reading")
    original = open_photo(photo, "input")
    begin("restyling")
    image = look.restyle(original)
    begin("writing")
    save_photo(image, result, original)


def of_model(files: Sequence[Path], strength: float, device: torch.device) -> OnePass:
    """The look of a model file."""
    import pydpst
    from pydpst.feedforward.grade_net import GradeNet
    from pydpst.reading.network import LookReader
    from pydpst.video.shot_grade import ShotGrade
    from pydpst.video.smooth_look import SteadyNetwork

    network = pydpst.load_model(*files).to(device)
    if isinstance(network, LookReader):
        raise ValueError(f"{files[0]} reads the look of a photo; give that photo by --style.")

    def restyle(photo: Photo) -> Tensor:
        return pydpst.apply_model(network, photo.pixels, strength=strength).cpu()

    if isinstance(network, GradeNet):
        return OnePass(restyle, lambda: ShotGrade(lambda frame: network))
    return OnePass(restyle, lambda: SteadyNetwork(network))


def of_photo(
    files: Sequence[Path], strength: float, device: torch.device, regions: str = "none"
) -> OnePass:
    """The look of a style photo, as the bundled network, or that of a second file, reads it."""
    from pydpst.feedforward.grade_net import net_of
    from pydpst.feedforward.models import load_model
    from pydpst.photos.image import load_image
    from pydpst.transfer.match import check_reader, matched
    from pydpst.transfer.read_look import looks_of
    from pydpst.video.shot_grade import ShotGrade

    style = load_image(files[0], "style")
    network = check_reader(load_model(files[1])) if len(files) > 1 else None

    def find(frame: Tensor) -> GradeNet:
        grade, _, parts = looks_of(frame, style, regions, network)
        return net_of(grade.maps, parts)

    def restyle(photo: Photo) -> Tensor:
        return matched(photo, style, strength, device, regions, network).image

    return OnePass(restyle, lambda: ShotGrade(find))
