"""The kernels as torch operators: load them, give them fake kernels, autograd and autocast.

Each operator is a thin wrapper; the mathematics is in ``csrc`` and, in plain torch, in
``pydpst.reference``.
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

from pydpst.differentiable import differentiable, keep, total

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

_whitening: Callable[..., Tensor] = _ops.pydpst.matting_whitening
_matvec: Callable[..., Tensor] = _ops.pydpst.matting_matvec
_free_matvec: Callable[..., Tensor] = _ops.pydpst.matting_free_matvec
_diagonal: Callable[..., Tensor] = _ops.pydpst.matting_diagonal
_image_gradient: Callable[..., Tensor] = _ops.pydpst.matting_image_gradient
_ellpack_matvec: Callable[..., Tensor] = _ops.pydpst.ellpack_matvec
_slice_apply: Callable[..., Tensor] = _ops.pydpst.bilateral_slice_apply
_slice_apply_backward: Callable[..., tuple[Tensor, Tensor, Tensor]] = (
    _ops.pydpst.bilateral_slice_apply_backward
)
_affine_maps_apply: Callable[..., Tensor] = _ops.pydpst.affine_maps_apply


def matting_whitening(image: Tensor, eps: float, radius: int) -> Tensor:
    """The whitening matrix W of each window of a guide image; it has no gradient of its own.

    W is the inverse of the Cholesky factor of cov(I) + (eps/n)·Id over the window's n pixels, in
    the basis of csrc/window.h, computed in float64.

    Args:
        image: (B, G, H, W), G = 1 or 3, float32 or float64.
        eps: the regularisation of Levin et al. 2008, eq. 12.
        radius: windows are 2·radius + 1 pixels a side.

    Returns:
        (B, G(G + 1)/2, H - 2·radius, W - 2·radius), the lower triangles packed by rows, in image's
        dtype.
    """
    return _whitening(image.detach(), eps, radius)


def matting_matvec(image: Tensor, whitening: Tensor, p: Tensor, radius: int) -> Tensor:
    """L p, differentiable in p to any order and in the guide image once.

    Args:
        image: the guide, (B, G, H, W), G = 1 or 3, float32 or float64.
        whitening: what `matting_whitening` gave for it.
        p: (B, C, H, W), of image's dtype.
        radius: as given to `matting_whitening`.

    Returns:
        L p for each channel, shaped like p.
    """
    result: Tensor = _matvec_call(image, whitening, p, radius)
    return result


def matting_free_matvec(
    image: Tensor, whitening: Tensor, slots: Tensor, tiles: Tensor, x: Tensor, radius: int
) -> Tensor:
    """L x for vectors of an image's free pixels, the others being 0; it has no gradient.

    Args:
        image: the guide, (1, G, H, W), G = 1 or 3, float32 or float64.
        whitening: what `matting_whitening` gave for it.
        slots: (H, W), int64: which number of x each pixel is; those not from 0 to N - 1 are not
            free.
        tiles: (T, 4), int64: rectangles that hold all free pixels and do not overlap, as their
            first row, the row after the last, and the columns likewise.
        x: (C, N), of image's dtype.
        radius: as given to `matting_whitening`.

    Returns:
        (C, N); 0 for what no tile holds.
    """
    result: Tensor = _free_matvec_call(image, whitening, slots, tiles, x, radius)
    return result


def matting_diagonal(image: Tensor, whitening: Tensor, radius: int) -> Tensor:
    """The diagonal of L; it has no gradient.

    Args:
        image: the guide, (B, G, H, W), G = 1 or 3, float32 or float64.
        whitening: what `matting_whitening` gave for it.
        radius: as given to `matting_whitening`.

    Returns:
        (B, 1, H, W), in image's dtype.
    """
    return _diagonal(image.detach(), whitening, radius)


def matting_image_gradient(
    image: Tensor, whitening: Tensor, p: Tensor, q: Tensor, radius: int
) -> Tensor:
    """The gradient of qᵀL p, summed over channels, in the guide image.

    Args:
        image: the guide, (B, G, H, W), G = 1 or 3, float32 or float64.
        whitening: what `matting_whitening` gave for it.
        p: (B, C, H, W), of image's dtype.
        q: like p.
        radius: as given to `matting_whitening`.

    Returns:
        The gradient, shaped like image; it has no gradient itself.
    """
    result: Tensor = _image_gradient_call(image, whitening, p, q, radius)
    return result


def ellpack_matvec(blocks: Tensor, columns: Tensor, x: Tensor) -> Tensor:
    """The product of a sparse matrix of small blocks, as many in each row (ELLPACK), and vectors.

    Args:
        blocks: (N, K, a, b), float32 or float64; a and b are 1, 2 or 4.
        columns: (N, K), int64: of which b values of x each block takes; blocks whose column is not
            from 0 to M - 1 count for nothing.
        x: (C, M, b), float64.

    Returns:
        (C, N, a), float64; it has no gradient.
    """
    result: Tensor = _ellpack_matvec_call(blocks, columns, x)
    return result


def bilateral_slice_apply(grid: Tensor, guide: Tensor, image: Tensor) -> Tensor:
    """Slices a bilateral grid of affine colour transforms and applies them, in one pass.

    Each pixel's transform is interpolated trilinearly at its place in the image and at its guide
    (Chen et al. 2007, section 3; Gharbi et al. 2017, eq. 3). The cells lie evenly over the image
    and over the guide's range, values at their middles, and the border is continued, as by
    `torch.nn.functional.grid_sample` with ``align_corners=False, padding_mode="border"``.

    Args:
        grid: (B, 12, D, Gh, Gw), float32 or float64: 3×4 matrices by rows, which map
            (r, g, b, 1); D cells along the guide, Gh × Gw over the image.
        guide: (B, H, W), of grid's dtype; values beyond [0, 1] count as 0 or 1.
        image: (B, 3, H, W), of grid's dtype.

    Returns:
        (B, 3, H, W), differentiable once in all three.
    """
    result: Tensor = _slice_apply_call(grid, guide, image)
    return result


def bilateral_slice_apply_backward(
    grad: Tensor, grid: Tensor, guide: Tensor, image: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of Σ grad · bilateral_slice_apply(grid, guide, image).

    Args:
        grad: (B, 3, H, W), of grid's dtype.
        grid: as for `bilateral_slice_apply`.
        guide: likewise.
        image: likewise.

    Returns:
        The gradients in grid, guide and image, shaped like them; they have none themselves.
    """
    result: tuple[Tensor, Tensor, Tensor] = _slice_backward_call(grad, grid, guide, image)
    return result


def affine_maps_apply(
    maps: Tensor, image: Tensor, top: int = 0, height: int | None = None
) -> Tensor:
    """Enlarges affine colour maps to an image and applies them to it, or to a strip of it.

    What `bilateral_slice_apply` does with a grid of depth 1, for as many cells as there are pixels
    in a small image, and without the rest of the image: strips give the bits of the whole. Maps lie
    and are interpolated as by `torch.nn.functional.interpolate` with ``mode="bilinear"``.

    Args:
        maps: (B, 12, h, w), float32 or float64: 3×4 matrices by rows, which map (r, g, b, 1).
        image: (B, 3, H, W), of maps' dtype.
        top: the row of the whole image that is the strip's first.
        height: how many rows the whole image has; None if image is the whole.

    Returns:
        (B, 3, H, W); it has no gradient.
    """
    whole = image.shape[-2] if height is None else height
    return _affine_maps_apply(maps.detach(), image.detach(), top, whole)


def _whitening_fake(image: Tensor, eps: float, radius: int) -> Tensor:
    batch, channels, height, width = image.shape
    planes = channels * (channels + 1) // 2
    return image.new_empty(batch, planes, height - 2 * radius, width - 2 * radius)


def _matvec_fake(image: Tensor, whitening: Tensor, p: Tensor, radius: int) -> Tensor:
    return p.new_empty(p.shape)


def _free_matvec_fake(
    image: Tensor, whitening: Tensor, slots: Tensor, tiles: Tensor, x: Tensor, radius: int
) -> Tensor:
    return x.new_empty(x.shape)


def _diagonal_fake(image: Tensor, whitening: Tensor, radius: int) -> Tensor:
    return image.new_empty(image.shape[0], 1, *image.shape[2:])


def _image_gradient_fake(
    image: Tensor, whitening: Tensor, p: Tensor, q: Tensor, radius: int
) -> Tensor:
    return image.new_empty(image.shape)


def _ellpack_matvec_fake(blocks: Tensor, columns: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], blocks.shape[0], blocks.shape[2])


def _slice_apply_fake(grid: Tensor, guide: Tensor, image: Tensor) -> Tensor:
    return image.new_empty(image.shape)


def _slice_apply_backward_fake(
    grad: Tensor, grid: Tensor, guide: Tensor, image: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return grid.new_empty(grid.shape), guide.new_empty(guide.shape), image.new_empty(image.shape)


def _affine_maps_apply_fake(maps: Tensor, image: Tensor, top: int, height: int) -> Tensor:
    return image.new_empty(image.shape)


def _save_matvec(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int], output: Tensor) -> None:
    image, whitening, p, ctx.radius = inputs
    keep(ctx, image, whitening, p)


def _matvec_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
    """L is symmetric, so the gradient of gᵀL p in p is L g."""
    image, whitening, p = ctx.saved_tensors
    grad_image = grad_p = None
    if ctx.needs_input_grad[0]:
        grad_image = matting_image_gradient(image, whitening, p, grad, ctx.radius)
    if ctx.needs_input_grad[2]:
        grad_p = matting_matvec(image, whitening, grad, ctx.radius)
    return grad_image, None, grad_p, None


def _matvec_jvp(
    ctx: Any, image: Tensor | None, whitening: Tensor | None, p: Tensor | None, radius: None
) -> Tensor | None:
    if image is not None or whitening is not None:
        raise NotImplementedError(
            "the matting Laplacian has no forward-mode derivative in the guide image; use reverse "
            "mode, or pydpst.reference.matting_matvec."
        )
    its_image, its_whitening, _ = ctx.saved_tensors
    return None if p is None else matting_matvec(its_image, its_whitening, p, ctx.radius)


def _save_image_gradient(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.radius = inputs
    keep(ctx, *tensors)


def _image_gradient_jvp(
    ctx: Any,
    image: Tensor | None,
    whitening: Tensor | None,
    p: Tensor | None,
    q: Tensor | None,
    radius: None,
) -> Tensor | None:
    """It is linear in p and in q."""
    if image is not None or whitening is not None:
        _image_gradient_backward(ctx)
    its_image, its_whitening, its_p, its_q = ctx.saved_tensors
    guide = its_image, its_whitening
    return total(
        None if p is None else matting_image_gradient(*guide, p, its_q, ctx.radius),
        None if q is None else matting_image_gradient(*guide, its_p, q, ctx.radius),
    )


def _image_gradient_backward(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError(
        "the matting Laplacian's gradient in the guide image has no further derivatives; "
        "pydpst.reference.matting_matvec has them."
    )


def _save_slice_apply(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
    keep(ctx, *inputs)


def _slice_apply_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return bilateral_slice_apply_backward(grad, *ctx.saved_tensors)


def _slice_apply_jvp(
    ctx: Any, grid: Tensor | None, guide: Tensor | None, image: Tensor | None
) -> Tensor | None:
    """It is linear in grid and, but for the transforms' offsets, in image."""
    if guide is not None:
        raise NotImplementedError(
            "bilateral_slice_apply has no forward-mode derivative in guide; use reverse mode, or "
            "pydpst.reference.bilateral_slice_apply."
        )
    its_grid, its_guide, its_image = ctx.saved_tensors
    slopes = torch.arange(12, device=its_grid.device) % 4 != 3
    linear = its_grid * slopes[:, None, None, None]
    return total(
        None if grid is None else bilateral_slice_apply(grid, its_guide, its_image),
        None if image is None else bilateral_slice_apply(linear, its_guide, image),
    )


def _slice_backward_jvp(
    ctx: Any, grad: Tensor | None, *others: Tensor | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """It is linear in grad."""
    if any(other is not None for other in others):
        _slice_apply_second(ctx)
    if grad is None:
        return None, None, None
    return bilateral_slice_apply_backward(grad, *ctx.saved_tensors[1:])


def _slice_apply_second(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError(
        "bilateral_slice_apply has first derivatives only; "
        "pydpst.reference.bilateral_slice_apply has more."
    )


def _fold(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    """A vmapped dimension made part of the batch: (V·B, ...)."""
    tensor = tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
    return tensor.flatten(0, 1)


def _unfold(tensor: Tensor, dim: int, size: int) -> Tensor:
    rest = tensor.shape[dim] // size
    return tensor.reshape(*tensor.shape[:dim], size, rest, *tensor.shape[dim + 1 :])


def _vmap_over_batch(op: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        folded = [
            _fold(arg, dim, info.batch_size) if isinstance(arg, Tensor) else arg
            for arg, dim in zip(args, in_dims, strict=True)
        ]
        out = op(*folded)
        if isinstance(out, tuple):
            return tuple(_unfold(one, 0, info.batch_size) for one in out), (0,) * len(out)
        return _unfold(out, 0, info.batch_size), 0

    return rule


def _matvec_vmap(
    info: Any, in_dims: tuple[int | None, ...], image: Tensor, whitening: Tensor, p: Tensor, r: int
) -> tuple[Tensor, int]:
    """With one guide, a vmapped dimension of p is just more channels."""
    if in_dims[0] is not None or in_dims[1] is not None or in_dims[2] is None:
        return _vmap_over_batch(_matvec)(info, in_dims, image, whitening, p, r)
    channels = p.movedim(in_dims[2], 1).flatten(1, 2)
    return _unfold(_matvec(image, whitening, channels, r), 1, info.batch_size), 1


for _name, _fake, _vmap in [
    ("matting_whitening", _whitening_fake, _vmap_over_batch(_whitening)),
    ("matting_matvec", _matvec_fake, _matvec_vmap),
    ("matting_diagonal", _diagonal_fake, _vmap_over_batch(_diagonal)),
    ("matting_image_gradient", _image_gradient_fake, _vmap_over_batch(_image_gradient)),
    ("bilateral_slice_apply", _slice_apply_fake, _vmap_over_batch(_slice_apply)),
    (
        "bilateral_slice_apply_backward",
        _slice_apply_backward_fake,
        _vmap_over_batch(_slice_apply_backward),
    ),
    ("affine_maps_apply", _affine_maps_apply_fake, _vmap_over_batch(_affine_maps_apply)),
]:
    _register.register_fake(f"pydpst::{_name}", _fake)
    _register.register_vmap(f"pydpst::{_name}", _vmap)
    for _device in ("cpu", "cuda"):
        _register.register_autocast(f"pydpst::{_name}", _device, torch.float32)

_register.register_fake("pydpst::matting_free_matvec", _free_matvec_fake)
_register.register_fake("pydpst::ellpack_matvec", _ellpack_matvec_fake)


def _save_nothing(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.set_materialize_grads(False)


def _refuse(name: str) -> Callable[..., Any]:
    def refuse(ctx: Any, *gradients: Any) -> None:
        if any(gradient is not None for gradient in gradients):
            raise NotImplementedError(f"{name} has no derivatives; detach its arguments.")

    return refuse


_matvec_call = differentiable(
    "matting_matvec", _matvec, _save_matvec, _matvec_backward, _matvec_jvp
)
_image_gradient_call = differentiable(
    "matting_image_gradient",
    _image_gradient,
    _save_image_gradient,
    _image_gradient_backward,
    _image_gradient_jvp,
)
_slice_apply_call = differentiable(
    "bilateral_slice_apply",
    _slice_apply,
    _save_slice_apply,
    _slice_apply_gradients,
    _slice_apply_jvp,
)
_slice_backward_call = differentiable(
    "bilateral_slice_apply_backward",
    _slice_apply_backward,
    _save_slice_apply,
    _slice_apply_second,
    _slice_backward_jvp,
)
_free_matvec_call = differentiable(
    "matting_free_matvec",
    _free_matvec,
    _save_nothing,
    _refuse("matting_free_matvec"),
    _refuse("matting_free_matvec"),
)
_ellpack_matvec_call = differentiable(
    "ellpack_matvec",
    _ellpack_matvec,
    _save_nothing,
    _refuse("ellpack_matvec"),
    _refuse("ellpack_matvec"),
)
