"""Loads the kernels as torch operators, and gives operators what all of them have.

Each operator is a thin wrapper in a file of its own, with its fake kernel, its derivatives and its
rule for vmap beside it; the mathematics is in ``csrc`` and, in plain torch, in
``pydpst.ops.reference``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Untyped parts of torch.
_ops: Any = torch.ops
_register: Any = torch.library

_MINIMUM_TORCH = (2, 11)
_REBUILD = "`pip install --no-build-isolation --force-reinstall --no-deps pydpst`"


def _load_cpu_kernels() -> Any:
    built_for = f"torch {_MINIMUM_TORCH[0]}.{_MINIMUM_TORCH[1]} or later"
    found = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if found < _MINIMUM_TORCH:
        raise ImportError(
            f"pydpst's kernels are built for {built_for}, but torch {torch.__version__} is "
            "installed; run `pip install --upgrade torch`."
        )
    try:
        kernels = import_module("pydpst._C")
    except ImportError as error:
        raise ImportError(
            f"pydpst's kernels, built for {built_for}, do not load with torch {torch.__version__} "
            f"on this Python; rebuild them with {_REBUILD}."
        ) from error
    return kernels


def _load_cuda_kernels() -> str | None:
    """Loads the CUDA kernels where both this build and torch have CUDA; says what they contain."""
    spec = find_spec("pydpst._cuda")
    if spec is None or spec.origin is None or torch.version.cuda is None:
        return None
    # The kernels were linked without libtorch_cuda where the build's torch had none, so its
    # symbols must be visible to them.
    libtorch_cuda = Path(torch.__file__).parent / "lib" / "libtorch_cuda.so"
    try:
        ctypes.CDLL(str(libtorch_cuda), mode=ctypes.RTLD_GLOBAL)
        _ops.load_library(spec.origin)
        contents = ctypes.CDLL(spec.origin).pydpst_cuda_contents
    except (OSError, AttributeError) as error:
        raise ImportError(
            f"pydpst's CUDA kernels do not load with torch {torch.__version__}; rebuild them with "
            f"{_REBUILD}, or without CUDA by PYDPST_CUDA=0."
        ) from error
    contents.restype = ctypes.c_char_p
    return str(contents().decode())


build_info: dict[str, str | None] = dict(_load_cpu_kernels().build_info())
build_info["cuda"] = _load_cuda_kernels()

kernels: Any = _ops.pydpst
fragment: Any = _register.Library("pydpst", "FRAGMENT")


def fold(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    """A vmapped dimension made part of the batch: (V·B, ...)."""
    tensor = tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
    return tensor.flatten(0, 1)


def unfold(tensor: Tensor, dim: int, size: int) -> Tensor:
    """The vmapped dimension of this size taken out of another again."""
    rest = tensor.shape[dim] // size
    return tensor.reshape(*tensor.shape[:dim], size, rest, *tensor.shape[dim + 1 :])


def vmap_over_batch(op: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """The vmap rule of an operator all of whose tensors have a batch: it grows."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        folded = [
            fold(arg, dim, info.batch_size) if isinstance(arg, Tensor) else arg
            for arg, dim in zip(args, in_dims, strict=True)
        ]
        out = op(*folded)
        if isinstance(out, tuple):
            return tuple(unfold(one, 0, info.batch_size) for one in out), (0,) * len(out)
        return unfold(out, 0, info.batch_size), 0

    return rule


def register_fake(name: str, fake: Callable[..., Any]) -> None:
    """Gives an operator a kernel that only knows shapes."""
    _register.register_fake(f"pydpst::{name}", fake)


def register(name: str, fake: Callable[..., Any], vmap: Callable[..., Any]) -> None:
    """Gives an operator a fake kernel, a rule for vmap and, under autocast, float32."""
    register_fake(name, fake)
    _register.register_vmap(f"pydpst::{name}", vmap)
    for device in ("cpu", "cuda"):
        _register.register_autocast(f"pydpst::{name}", device, torch.float32)
