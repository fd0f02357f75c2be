"""Slicing a bilateral grid: against the reference, against numbers, and as a torch operator."""

from __future__ import annotations

import pytest
import torch
from conftest import threads
from torch import Tensor

from pydpst import ops
from pydpst.ops import reference


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, dtype=torch.float64, generator=generator).to(dtype)


def inputs(
    batch: int, cells: tuple[int, int, int], height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """A grid, a guide that also leaves [0, 1], and an image."""
    grid = random(batch, 12, *cells) - 0.5
    guide = 1.4 * random(batch, height, width, seed=1) - 0.2
    return grid, guide, random(batch, 3, height, width, seed=2)


def results(function: object, arguments: tuple[Tensor, ...]) -> list[Tensor]:
    """The result and its gradients in all arguments."""
    leaves = [argument.detach().clone().requires_grad_() for argument in arguments]
    out = function(*leaves)  # type: ignore[operator]
    weight = random(*out.shape, seed=3).to(out.dtype)
    return [out.detach(), *torch.autograd.grad((out * weight).sum(), leaves)]


CASES = [
    # batch, (depth, rows, columns), height, width
    (1, (8, 16, 16), 45, 77),
    (2, (8, 4, 5), 33, 64),
    (1, (1, 1, 1), 9, 20),
    (2, (2, 3, 1), 70, 17),
    (1, (20, 2, 3), 150, 8),  # a depth of several vectors
    (1, (5, 9, 30), 7, 12),  # more cells than pixels
    (1, (3, 2, 2), 1, 1),
    (1, (4, 16, 4), 48, 20),  # pixels at which rows of cells meet
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equals_the_reference(
    case: tuple[int, tuple[int, int, int], int, int], dtype: torch.dtype
) -> None:
    exact = inputs(*case)
    want = results(reference.bilateral_slice_apply, exact)
    have = results(ops.bilateral_slice_apply, tuple(argument.to(dtype) for argument in exact))
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    for one, other in zip(have, want, strict=True):
        assert one.dtype == dtype
        assert (one.double() - other).norm() <= tolerance * max(1, other.norm())


def test_gradcheck() -> None:
    arguments = tuple(argument.requires_grad_() for argument in inputs(2, (3, 2, 3), 5, 6))
    assert torch.autograd.gradcheck(ops.bilateral_slice_apply, arguments)


def test_one_transform_everywhere_is_that_transform() -> None:
    matrix, image = random(3, 4), random(1, 3, 11, 13, seed=1)
    grid = matrix.view(1, 12, 1, 1, 1).expand(1, 12, 6, 3, 2)
    have = ops.bilateral_slice_apply(grid, random(1, 11, 13, seed=2), image)
    want = torch.einsum("ij,bjhw->bihw", matrix[:, :3], image) + matrix[:, 3].view(3, 1, 1)
    torch.testing.assert_close(have, want)


def test_a_guide_that_is_not_a_number_counts_as_0() -> None:
    grid, guide, image = inputs(1, (4, 2, 2), 5, 40)
    guide[0, 2, 3], guide[0, 3, 20] = torch.nan, torch.inf
    have = ops.bilateral_slice_apply(grid, guide, image)
    want = ops.bilateral_slice_apply(grid, guide.nan_to_num(0, 1), image)
    assert torch.equal(have, want)


def test_opcheck_and_layouts() -> None:
    arguments = [argument.requires_grad_() for argument in inputs(2, (3, 2, 4), 7, 9)]
    library = torch.ops.pydpst
    torch.library.opcheck(library.bilateral_slice_apply, arguments)
    plain = [argument.detach() for argument in arguments]
    grad = random(2, 3, 7, 9, seed=5)
    torch.library.opcheck(library.bilateral_slice_apply_backward, (grad, *plain))
    strided = [argument.transpose(-1, -2).contiguous().transpose(-1, -2) for argument in plain]
    for one, other in zip(
        results(ops.bilateral_slice_apply, tuple(strided)),
        results(ops.bilateral_slice_apply, tuple(plain)),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_vmap_and_autocast() -> None:
    stacked = inputs(6, (3, 2, 4), 7, 9)
    want = ops.bilateral_slice_apply(*stacked)
    have = torch.vmap(ops.bilateral_slice_apply)(*(x.unflatten(0, (3, 2)) for x in stacked))
    assert torch.equal(have.flatten(0, 1), want)
    with torch.autocast("cpu", torch.bfloat16):
        single = tuple(argument.float() for argument in stacked)
        have = ops.bilateral_slice_apply(*(argument.bfloat16() for argument in single))
        assert have.dtype == torch.float32


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    arguments = tuple(x.float() for x in inputs(1, (8, 16, 16), 300, 100))
    want = results(ops.bilateral_slice_apply, arguments)
    with threads(3):
        have = results(ops.bilateral_slice_apply, arguments)
    for one, other in zip(have, want, strict=True):
        assert torch.equal(one, other)


def test_arguments_are_checked() -> None:
    grid, guide, image = inputs(2, (3, 2, 4), 7, 9)
    for arguments, match in [
        ((grid, guide, image[:, :2]), r"image must have the shape \(B, 3, H, W\)"),
        ((grid.half(), guide.half(), image.half()), "float32 or float64"),
        ((grid[:, :9], guide, image), r"grid must have the shape"),
        ((grid[:, :, :0], guide, image), r"grid must have the shape"),
        ((grid[:1], guide, image), "batch size"),
        ((grid, guide[:, 1:], image), "guide must have the shape"),
        ((grid.float(), guide, image), "same dtype"),
    ]:
        with pytest.raises(RuntimeError, match=match):
            torch.ops.pydpst.bilateral_slice_apply(*arguments)
