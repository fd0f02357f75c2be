"""The kernels as torch operators: load them, give them fake kernels, autograd and autocast.

Each operator is a thin wrapper; the mathematics is in ``csrc`` and, in plain torch, in
``pydpst.reference``.
"""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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
        from pydpst import _C
    except ImportError as error:
        raise ImportError(
            f"pydpst's kernels, built for {built_for}, do not load with torch {torch.__version__} "
            f"on this Python; rebuild them with {_REBUILD}."
        ) from error
    return _C


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
        torch.ops.load_library(spec.origin)
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


def matting_whitening(image: Tensor, eps: float, radius: int) -> Tensor:
    """The whitening matrix W of each window of a guide image.

    W is the inverse of the Cholesky factor of cov(I) + (eps/n)·Id over the window's n pixels,
    computed in float64.

    Args:
        image: (B, 3, H, W), float32 or float64.
        eps: the regularisation of Levin et al. 2008, eq. 12.
        radius: windows are 2·radius + 1 pixels a side.

    Returns:
        (B, 6, H - 2·radius, W - 2·radius), the lower triangles packed by rows, in image's dtype.
    """
    whitening: Tensor = torch.ops.pydpst.matting_whitening(image, eps, radius)
    return whitening


def matting_matvec(image: Tensor, whitening: Tensor, p: Tensor, radius: int) -> Tensor:
    """L p, differentiable in p to any order, as L is symmetric: the gradient of gᵀL p is L g.

    Args:
        image: the guide, (B, 3, H, W), float32 or float64.
        whitening: what `matting_whitening` gave for it.
        p: (B, C, H, W), of image's dtype.
        radius: as given to `matting_whitening`.

    Returns:
        L p for each channel, shaped like p.
    """
    product: Tensor = torch.ops.pydpst.matting_matvec(image, whitening, p, radius)
    return product


@torch.library.register_fake("pydpst::matting_whitening")
def _(image: Tensor, eps: float, radius: int) -> Tensor:
    batch, _, height, width = image.shape
    return image.new_empty(batch, 6, height - 2 * radius, width - 2 * radius)


@torch.library.register_fake("pydpst::matting_matvec")
def _(image: Tensor, whitening: Tensor, p: Tensor, radius: int) -> Tensor:
    return p.new_empty(p.shape)


def _save_guide(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int], output: Tensor) -> None:
    image, whitening, _, ctx.radius = inputs
    ctx.save_for_backward(image, whitening)


def _matvec_backward(ctx: Any, grad: Tensor) -> tuple[None, None, Tensor | None, None]:
    image, whitening = ctx.saved_tensors
    if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
        raise NotImplementedError(
            "the matting Laplacian's kernels have no gradient in the guide image; "
            "pydpst.reference.matting_matvec has one."
        )
    return None, None, matting_matvec(image, whitening, grad, ctx.radius), None


torch.library.register_autograd(
    "pydpst::matting_matvec", _matvec_backward, setup_context=_save_guide
)
