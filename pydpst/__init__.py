"""Photo style transfer that stays a photo."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydpst.image import load_image, save_image
    from pydpst.laplacian import MattingLaplacian
    from pydpst.matting import estimate_alpha, estimate_foreground
    from pydpst.models import apply, load
    from pydpst.networks import BilateralGridNet, TransformerNet
    from pydpst.optimize import Result, stylize
    from pydpst.photo import Photo, open_photo, save_photo
    from pydpst.planning import Plan, plan
    from pydpst.solver import Convergence, ConvergenceError
    from pydpst.training import train

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
    "BilateralGridNet": "networks",
    "Convergence": "solver",
    "ConvergenceError": "solver",
    "MattingLaplacian": "laplacian",
    "Photo": "photo",
    "Plan": "planning",
    "Result": "optimize",
    "TransformerNet": "networks",
    "apply": "models",
    "estimate_alpha": "matting",
    "estimate_foreground": "matting",
    "load": "models",
    "load_image": "image",
    "open_photo": "photo",
    "plan": "planning",
    "save_image": "image",
    "save_photo": "photo",
    "stylize": "optimize",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `pydpst --help` needs no torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
