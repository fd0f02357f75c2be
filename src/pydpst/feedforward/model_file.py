"""Model files and checkpoints: safetensors, with what else there is to know as JSON beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pydpst.feedforward.bundled import FORMAT_KEY, VERSION, about_of, check_there, damaged
from pydpst.feedforward.grade_net import GradeNet
from pydpst.feedforward.grid import FittedGrid
from pydpst.feedforward.networks import NETWORKS
from pydpst.photos.writing import write_whole
from pydpst.reading.network import LookReader

_KINDS: dict[str, Any] = {**NETWORKS, "fitted": FittedGrid, "grade": GradeNet, "reader": LookReader}


def write_tensors(
    path: str | os.PathLike[str], tensors: dict[str, Tensor], kind: str, about: dict[str, Any]
) -> None:
    """Writes tensors and JSON as one safetensors file; whole or not at all.

    Args:
        path: where to.
        tensors: by name.
        kind: what the file is: "model" or "checkpoint".
        about: whatever else; JSON.

    Raises:
        ValueError: if a tensor holds NaN or infinity.
        OSError: if writing fails.
    """
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError(f"the {kind} holds NaN or infinity; {path} is not written.")
    header = json.dumps({"kind": kind, "version": VERSION, **about})
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(Path(path), save(kept, metadata={FORMAT_KEY: header}))


def read_tensors(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote: the tensors, and the JSON.

    Raises:
        ValueError: if the file is not there, damaged, of another kind or of a newer version.
    """
    path = Path(path)
    check_there(path, kind)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(damaged(path, kind, error)) from None
    return tensors, about_of(metadata, path, kind)


def save_model(network: nn.Module, path: str | os.PathLike[str], about: dict[str, Any]) -> None:
    """Writes a network as a model file.

    Args:
        network: one of `pydpst.feedforward.networks`, a `FittedGrid`, a `GradeNet` or a
            `LookReader`.
        path: where to.
        about: what else to keep, such as the settings of its training and a licence note; JSON.

    Raises:
        OSError: if writing fails.
    """
    (name,) = (name for name, kind in _KINDS.items() if type(network) is kind)
    about = {**about, "network": name, "settings": network.settings}
    write_tensors(path, network.state_dict(), "model", about)


def read_model(path: str | os.PathLike[str]) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a model file, ready to be applied, and what else the file says.

    Raises:
        ValueError: if the file is not there, damaged, not a model or of a newer version, or holds
            NaN.
    """
    tensors, about = read_tensors(path, "model")
    try:
        with torch.device("meta"):  # settings may ask for more memory than there is
            shapes = _KINDS[about["network"]](**about["settings"]).state_dict()
        if _kinds(shapes) != _kinds(tensors):
            raise ValueError
        network: nn.Module = _KINDS[about["network"]](**about["settings"])
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, ArithmeticError):
        raise ValueError(
            f"the model {path} does not fit its own settings; give one that `pydpst train` wrote."
        ) from None
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError(f"the model {path} holds NaN or infinity; train it again.")
    return network.eval(), about


def _kinds(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, bool]]:
    """Shapes, and whether these are floating point: the precision may be any."""
    return {name: (value.shape, value.is_floating_point()) for name, value in tensors.items()}
