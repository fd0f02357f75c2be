"""What `pydpst apply` gives photos and clips: the look of a model, or of a photo."""

from __future__ import annotations

from collections.abc import Callable
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


def of_model(path: Path, strength: float, device: torch.device) -> OnePass:
    """The look of a model file."""
    import pydpst
    from pydpst.feedforward.grade_net import GradeNet
    from pydpst.video.shot_grade import ShotGrade
    from pydpst.video.smooth_look import SteadyNetwork

    network = pydpst.load_model(path).to(device)

    def restyle(photo: Photo) -> Tensor:
        return pydpst.apply_model(network, photo.pixels, strength=strength).cpu()

    if isinstance(network, GradeNet):
        return OnePass(restyle, lambda: ShotGrade(lambda frame: network))
    return OnePass(restyle, lambda: SteadyNetwork(network))


def of_photo(path: Path, strength: float, device: torch.device) -> OnePass:
    """The look of a style photo, as the network reads it beside each photo."""
    from pydpst.feedforward.grade_net import whole_net
    from pydpst.photos.image import load_image
    from pydpst.transfer.match import matched
    from pydpst.transfer.read_look import look_of
    from pydpst.video.shot_grade import ShotGrade

    style = load_image(path, "style")

    def find(frame: Tensor) -> GradeNet:
        return whole_net(look_of(frame, style).maps)

    return OnePass(
        lambda photo: matched(photo, style, strength, device).image, lambda: ShotGrade(find)
    )
