"""The state of a training as tensors of a checkpoint: its networks, and Adam's moments."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

# Networks by the names that they have in the checkpoint; the first is the one that learns.
Networks = Mapping[str, nn.Module]


def steps_taken(network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """How many steps were taken: the optimiser's own count, so that they cannot differ."""
    first = next(network.parameters())
    return int(optimizer.state[first]["step"]) if optimizer.state else 0


def check_finite(step: int, losses: Mapping[str, float], norm: float, remedy: str) -> None:
    """Stops a training before a step that would spoil it.

    Raises:
        FloatingPointError: if losses or the gradients' norm are not finite.
    """
    if not all(map(math.isfinite, [*losses.values(), norm])):
        words = ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
        raise FloatingPointError(
            f"the training diverged at step {step}: its losses ({words}) or gradients are not "
            f"finite; {remedy}."
        )


def state_tensors(networks: Networks, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors of a checkpoint, after the first step."""
    tensors = {
        f"{prefix}.{name}": value
        for prefix, network in networks.items()
        for name, value in network.state_dict().items()
    }
    for name, parameter in _learning(networks).named_parameters():
        state = optimizer.state[parameter]
        tensors[f"mean.{name}"] = state["exp_avg"]
        tensors[f"square.{name}"] = state["exp_avg_sq"]
    return tensors


def state_fits(tensors: Mapping[str, Tensor], networks: Networks) -> bool:
    """Whether these are the tensors of a checkpoint of such networks, and finite."""
    kinds = {
        f"{prefix}.{name}": (value.shape, value.dtype)
        for prefix, network in networks.items()
        for name, value in network.state_dict().items()
    }
    for name, parameter in _learning(networks).named_parameters():
        kind = (parameter.shape, parameter.dtype)
        kinds |= {f"mean.{name}": kind, f"square.{name}": kind}
    return {name: (value.shape, value.dtype) for name, value in tensors.items()} == kinds and all(
        bool(torch.isfinite(value).all()) for value in tensors.values()
    )


def restore_state(
    tensors: Mapping[str, Tensor], networks: Networks, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Puts tensors that fit where they came from, as after so many steps."""
    for prefix, network in networks.items():
        names = network.state_dict()
        network.load_state_dict({name: tensors[f"{prefix}.{name}"] for name in names})
    for name, parameter in _learning(networks).named_parameters():
        optimizer.state[parameter] = {
            "step": torch.tensor(float(step)),
            "exp_avg": tensors[f"mean.{name}"].to(parameter.device),
            "exp_avg_sq": tensors[f"square.{name}"].to(parameter.device),
        }


def _learning(networks: Networks) -> nn.Module:
    return next(iter(networks.values()))
