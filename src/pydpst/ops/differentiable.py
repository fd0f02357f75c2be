"""Operators with derivatives of every kind that torch can ask for: right, or an error in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Untyped parts of torch.
_library: Any = torch.library
_autocast: Any = torch.is_autocast_enabled


def differentiable(
    name: str,
    op: Callable[..., Any],
    save: Callable[..., None],
    backward: Callable[..., Any],
    jvp: Callable[..., Any],
) -> Callable[..., Any]:
    """Gives an operator its derivatives; what it returns is how the operator is to be called.

    An operator's own autograd formula knows neither forward mode, where it would drop tangents in
    silence, nor nested torch.func transforms; a `torch.autograd.Function` around it knows both,
    but not torch.compile where it has a jvp. So the formula is for graphs, the function otherwise.

    Args:
        name: the operator's, within pydpst's.
        op: the operator.
        save: (ctx, inputs, output); it must save the tensors that both modes need by `keep`.
        backward: (ctx, *grads), as for `torch.library.register_autograd`.
        jvp: (ctx, *tangents), one for each input or None, made of such operators themselves.

    Returns:
        A function of the operator's arguments.
    """

    def vjp(ctx: Any, *grads: Tensor | None) -> Any:
        if all(grad is None for grad in grads):
            return (None,) * len(ctx.needs_input_grad)
        return backward(ctx, *grads)

    _library.register_autograd(f"pydpst::{name}", vjp, setup_context=save)
    function: Any = type(
        name,
        (torch.autograd.Function,),
        {
            "generate_vmap_rule": True,
            "forward": staticmethod(op),
            "setup_context": staticmethod(save),
            "backward": staticmethod(vjp),
            "jvp": staticmethod(jvp),
        },
    )

    def call(*arguments: Any) -> Any:
        if torch.compiler.is_compiling():
            return op(*arguments)
        # What is kept for the derivatives must have the dtype that the kernels had.
        return function.apply(*(_as_autocast(argument) for argument in arguments))

    return call


def keep(ctx: Any, *tensors: Tensor) -> None:
    """Keeps tensors for both modes; a gradient or tangent that is 0 is then None."""
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors)
    if hasattr(ctx, "save_for_forward"):
        ctx.save_for_forward(*tensors)


def total(*terms: Tensor | None) -> Tensor | None:
    """The sum of what there is."""
    present = [term for term in terms if term is not None]
    return sum(present[1:], present[0]) if present else None


def refused(name: str, op: Callable[..., Any]) -> Callable[..., Any]:
    """How an operator is to be called that has no derivatives: asked for one, it says so."""

    def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.set_materialize_grads(False)

    def refuse(ctx: Any, *gradients: Any) -> None:
        if any(gradient is not None for gradient in gradients):
            raise NotImplementedError(f"{name} has no derivatives; detach its arguments.")

    return differentiable(name, op, save, refuse, refuse)


def _as_autocast(argument: Any) -> Any:
    """What `torch.library.register_autocast` makes of an argument."""
    is_cast = (
        isinstance(argument, Tensor)
        and argument.is_floating_point()
        and argument.dtype != torch.float64
        and _autocast(argument.device.type)
    )
    return argument.float() if is_cast else argument
