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

from pydpst.feedforward.grade_net import GradeNet
from pydpst.feedforward.grid import FittedGrid
from pydpst.feedforward.networks import NETWORKS
from pydpst.photos.writing import write_whole

_FORMAT_KEY, _VERSION = "pydpst", 1

_KINDS: dict[str, Any] = {**NETWORKS, "fitted": FittedGrid, "grade": GradeNet}


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
    header = json.dumps({"kind": kind, "version": _VERSION, **about})
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(Path(path), save(kept, metadata={_FORMAT_KEY: header}))


def _read(path: Path, kind: str, with_tensors: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise ValueError(f"the {kind} {path} does not exist; give the path of a {kind} file.")
    tensors = {}
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_FORMAT_KEY)
            if with_tensors:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"the {kind} {path} is damaged or no safetensors file ({error}); give one that "
            "`pydpst train` wrote."
        ) from None
    try:
        about = json.loads(header or "")
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or about.get("kind") != kind:
        raise ValueError(f"{path} is no {kind} of pydpst; give one that `pydpst train` wrote.")
    version = about.get("version")
    if type(version) is not int or version > _VERSION:
        raise ValueError(
            f"the {kind} {path} has version {version}, but this pydpst knows versions up to "
            f"{_VERSION}; upgrade pydpst."
        )
    return tensors, about


def read_tensors(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote: the tensors, and the JSON.

    Raises:
        ValueError: if the file is not there, damaged, of another kind or of a newer version.
    """
    return _read(Path(path), kind, with_tensors=True)


def read_about(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """The JSON of `read_tensors` alone.

    Raises:
        ValueError: likewise.
    """
    return _read(Path(path), kind, with_tensors=False)[1]


def save_model(network: nn.Module, path: str | os.PathLike[str], about: dict[str, Any]) -> None:
    """Writes a network as a model file.

    Args:
        network: one of `pydpst.feedforward.networks`, a `FittedGrid` or a `GradeNet`.
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
        if {k: v.shape for k, v in shapes.items()} != {k: v.shape for k, v in tensors.items()}:
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
