"""Photo style transfer that stays a photo."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydpst.feedforward.models import apply, load
    from pydpst.feedforward.networks import BilateralGridNet, TransformerNet
    from pydpst.feedforward.training import train
    from pydpst.matting.alpha import estimate_alpha
    from pydpst.matting.conjugate_gradients import Convergence, ConvergenceError
    from pydpst.matting.foreground import estimate_foreground
    from pydpst.matting.laplacian import MattingLaplacian
    from pydpst.photos.image import load_image, save_image
    from pydpst.photos.photo import Photo, open_photo, save_photo
    from pydpst.transfer.optimize import Result, stylize
    from pydpst.transfer.planning import Plan, plan

__all__ = [
    "BilateralGridNet",
    "Convergence",
    "ConvergenceError",
    "MattingLaplacian",
    "Photo",
    "Plan",
    "Result",
    "TransformerNet",
    "apply",
    "estimate_alpha",
    "estimate_foreground",
    "load",
    "load_image",
    "open_photo",
    "plan",
    "save_image",
    "save_photo",
    "stylize",
    "train",
]

_MODULES = {
    "BilateralGridNet": "feedforward.networks",
    "Convergence": "matting.conjugate_gradients",
    "ConvergenceError": "matting.conjugate_gradients",
    "MattingLaplacian": "matting.laplacian",
    "Photo": "photos.photo",
    "Plan": "transfer.planning",
    "Result": "transfer.optimize",
    "TransformerNet": "feedforward.networks",
    "apply": "feedforward.models",
    "estimate_alpha": "matting.alpha",
    "estimate_foreground": "matting.alpha",
    "load": "feedforward.models",
    "load_image": "photos.image",
    "open_photo": "photos.photo",
    "plan": "transfer.planning",
    "save_image": "photos.image",
    "save_photo": "photos.photo",
    "stylize": "transfer.optimize",
    "train": "feedforward.training",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `pydpst --help` needs no torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
