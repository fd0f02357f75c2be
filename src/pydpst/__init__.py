"""Photo style transfer that stays a photo."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydpst.feedforward.models import apply, apply_model, load_model
    from pydpst.feedforward.models import load_model as load
    from pydpst.feedforward.networks import BilateralGridNet, TransformerNet
    from pydpst.feedforward.training import train
    from pydpst.feedforward.universal import train_universal
    from pydpst.matting.alpha import estimate_alpha
    from pydpst.matting.conjugate_gradients import Convergence, ConvergenceError
    from pydpst.matting.foreground import estimate_foreground
    from pydpst.matting.laplacian import MattingLaplacian
    from pydpst.photos.image import load_image, save_image
    from pydpst.photos.photo import Photo, open_photo, save_photo
    from pydpst.transfer.look import Look
    from pydpst.transfer.match import Match, match
    from pydpst.transfer.planning import Plan, plan
    from pydpst.transfer.stylize import Result, stylize

_MODULES = {
    "BilateralGridNet": "feedforward.networks",
    "Convergence": "matting.conjugate_gradients",
    "ConvergenceError": "matting.conjugate_gradients",
    "Look": "transfer.look",
    "MattingLaplacian": "matting.laplacian",
    "Match": "transfer.match",
    "Photo": "photos.photo",
    "Plan": "transfer.planning",
    "Result": "transfer.stylize",
    "TransformerNet": "feedforward.networks",
    "apply": "feedforward.models",
    "apply_model": "feedforward.models",
    "estimate_alpha": "matting.alpha",
    "estimate_foreground": "matting.foreground",
    "load_image": "photos.image",
    "load_model": "feedforward.models",
    "match": "transfer.match",
    "open_photo": "photos.photo",
    "plan": "transfer.planning",
    "save_image": "photos.image",
    "save_photo": "photos.photo",
    "stylize": "transfer.stylize",
    "train": "feedforward.training",
    "train_universal": "feedforward.universal",
}
# Names of before 0.2.
_OLD_NAMES = {"load": "load_model"}

__all__ = [
    "BilateralGridNet",
    "Convergence",
    "ConvergenceError",
    "Look",
    "Match",
    "MattingLaplacian",
    "Photo",
    "Plan",
    "Result",
    "TransformerNet",
    "apply",
    "apply_model",
    "estimate_alpha",
    "estimate_foreground",
    "load",
    "load_image",
    "load_model",
    "match",
    "open_photo",
    "plan",
    "save_image",
    "save_photo",
    "stylize",
    "train",
    "train_universal",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `pydpst --help` needs no torch."""
    name = _OLD_NAMES.get(name, name)
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
