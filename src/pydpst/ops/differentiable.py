"""Operators with derivatives of every kind that torch can ask for: right, or an error in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._library.autograd import Info, make_autograd_impl
from torch.autograd import forward_ad

from pydpst.ops.library import fragment, kernels

# Untyped parts of torch.
_forward_mode: Any = torch._C._is_fwd_grad_enabled
_unpack: Any = forward_ad.unpack_dual
_autocast: Any = torch.is_autocast_enabled


def differentiable(
    name: str,
    op: Callable[..., Any],
    save: Callable[..., None],
    backward: Callable[..., Any],
    jvp: Callable[..., Any],
) -> Callable[..., Any]:
    """Gives an operator its derivatives; what it returns is how the operator is to be called.

    An operator's own autograd formula knows neither forward mode, which it refuses, nor nested
    torch.func transforms; a `torch.autograd.Function` around it knows both,
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

    _register_autograd(name, vjp, save)
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


def _register_autograd(name: str, vjp: Callable[..., Any], save: Callable[..., None]) -> None:
    """`torch.library.register_autograd`, whose formulas would drop tangents in silence.

    Args:
        name: the operator's, within pydpst's.
        vjp: (ctx, *grads).
        save: (ctx, inputs, output).
    """
    formula: Any = make_autograd_impl(getattr(kernels, name).default, Info(vjp, save))

    def kernel(keys: Any, *arguments: Any, **options: Any) -> Any:
        if forward_ad._current_level >= 0 and _forward_mode():
            tensors = (argument for argument in arguments if isinstance(argument, Tensor))
            if any(_unpack(tensor).tangent is not None for tensor in tensors):
                raise NotImplementedError(
                    f"torch.ops.pydpst.{name} has no forward-mode derivative; the functions of "
                    "pydpst.ops have one where there is one, and pydpst.ops.reference has all."
                )
        return formula(keys, *arguments, **options)

    fragment.impl(name, kernel, "Autograd", with_keyset=True)


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
