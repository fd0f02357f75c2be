"""Applying a trained network to photos: `load_model` and `apply_model`."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from pydpst.feedforward.bundled import model_path
from pydpst.feedforward.model_file import read_model
from pydpst.photos.decode import Source
from pydpst.photos.image import load_image
from pydpst.reading.network import LookReader
from pydpst.transfer.finish import check_strength
from pydpst.transfer.match import match


def load_model(model: str | os.PathLike[str]) -> nn.Module:
    """The network of a model file, for `apply_model` or, if it reads looks, for `match`.

    Args:
        model: the path of a file that `train` or `train_universal` wrote, or the name of a bundled
            style.

    Returns:
        The network, on the CPU; one of `train` maps (B, 3, H, W) to the same.

    Raises:
        ValueError: if there is no such model, or the file is damaged, no model or of a newer
            version.
    """
    return read_model(model_path(model))[0]


@torch.no_grad()
def apply_model(
    model: nn.Module | str | os.PathLike[str], photo: Source, *, strength: float = 1.0
) -> Tensor:
    """Restyles a photo at its full resolution.

    Args:
        model: what `load_model` or `train` gave, or what `load_model` takes.
        photo: as for `load_image`.
        strength: 0 leaves the photo as it is, 1 is the model's result; what lies between is mixed,
            up to 2 is extrapolated.

    Returns:
        (3, H, W), float32, in [0, 1], on the model's device.

    Raises:
        ValueError: for a model, photo or strength that is not as above.
    """
    check_strength(strength, 2)
    network = model if isinstance(model, nn.Module) else load_model(model)
    if isinstance(network, LookReader):
        raise ValueError("the network reads the look of a photo; give that photo, too, as style.")
    device = next(network.parameters()).device
    image = load_image(photo).to(device)
    result: Tensor = network(image[None])[0]
    if strength != 1:
        result = torch.lerp(image, result, strength)
    return result.clamp_(0, 1)


def apply(*given: nn.Module | Source, style: Source | None = None, strength: float = 1.0) -> Tensor:
    """Restyles a photo at its full resolution, in one pass.

    ``apply(photo, style=other)`` gives it the look of another photo (see `match`), as
    ``apply(model, photo, style=other)`` does by a model that reads looks, and
    ``apply(model, photo)`` the look of a model (see `apply_model`).

    Args:
        given: the photo, as for `load_image`; before it the model.
        style: the photo whose look it gets, likewise.
        strength: as for `match` and `apply_model`.

    Returns:
        (3, H, W), float32, in [0, 1].

    Raises:
        ValueError: for arguments that are not as above.
    """
    if not 2 - (style is not None) <= len(given) <= 2:
        raise ValueError(
            f"apply takes a model and a photo, or a photo and style; it was given {len(given)} "
            f"and {'no' if style is None else 'a'} style."
        )
    model, photo = given if len(given) == 2 else (None, *given)
    if style is None:
        return apply_model(model, photo, strength=strength)  # type: ignore[arg-type]
    network = model if model is None or isinstance(model, nn.Module) else load_model(model)  # type: ignore[arg-type]
    return match(photo, style, strength=strength, network=network).image  # type: ignore[arg-type]
