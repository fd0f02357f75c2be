"""The networks that come with the package: their files, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from safetensors.torch import load_file
from torch import nn

N = TypeVar("N", bound=nn.Module)


def weights_file(name: str) -> Path:
    """Where the weights of that name are."""
    return Path(__file__).parent.parent / "weights" / f"{name}.safetensors"


def trained(network: N, name: str) -> N:
    """A network with the weights of that name, float32, for inference.

    Raises:
        RuntimeError: if they are of another network.
    """
    path = weights_file(name)
    weights = {key: x.float() for key, x in load_file(path).items()}
    # These are for training only.
    counters = {key for key in network.state_dict() if key.endswith("num_batches_tracked")}
    if network.state_dict().keys() - counters != weights.keys() - counters:
        raise RuntimeError(f"{path.name} is of another version of pydpst; install pydpst anew.")
    network.load_state_dict(weights, strict=False)
    return network.eval()
