"""How the weights of the package's own networks are written."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import nn


def save_weights(network: nn.Module, output: Path, about: str, made_by: str, **more: str) -> None:
    """Writes the weights, float16, beside and renamed.

    Args:
        network: whose counters of batches are left out.
        output: where to.
        about: what it is.
        made_by: the tool that trained it.
        more: what else its file says.
    """
    weights = {
        name: x.half().contiguous()
        for name, x in network.state_dict().items()
        if x.is_floating_point()
    }
    metadata = {
        "network": about,
        "made by": made_by,
        "license": "as pydpst; trained on photos of several terms, see NOTICE",
    }
    save_file(weights, output.with_suffix(".part"), metadata | more)
    output.with_suffix(".part").rename(output)
