"""Affine maps, enlarged and applied: against the reference, strips, and as a torch operator."""

from __future__ import annotations

import pytest
import torch
from conftest import threads
from torch import Tensor

from pydpst import ops
from pydpst.ops import reference

CASES = [
    # batch, rows and columns of the maps, height and width of the image
    (1, 9, 16, 45, 77),
    (2, 3, 5, 33, 64),
    (1, 1, 1, 9, 20),
    (1, 30, 9, 7, 12),  # more maps than pixels
    (1, 6, 7, 6, 7),
    (1, 2, 2, 1, 1),
]


def inputs(batch: int, rows: int, columns: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(batch, 12, rows, columns, dtype=torch.float64, generator=generator) - 0.5
    return maps, torch.rand(batch, 3, height, width, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equals_the_reference(case: tuple[int, ...], dtype: torch.dtype) -> None:
    maps, image = inputs(*case)
    want = reference.affine_maps_apply(maps, image)
    have = ops.affine_maps_apply(maps.to(dtype), image.to(dtype))
    assert have.dtype == dtype
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    assert (have.double() - want).norm() <= tolerance * want.norm()


def test_the_identity_keeps_every_bit() -> None:
    _, image = inputs(1, 1, 1, 37, 53)
    maps = torch.eye(3, 4).view(1, 12, 1, 1).expand(1, 12, 5, 6)
    assert torch.equal(ops.affine_maps_apply(maps, image.float()), image.float())


def test_strips_give_the_bits_of_the_whole() -> None:
    maps, image = (x.float() for x in inputs(2, 9, 16, 45, 77))
    whole = ops.affine_maps_apply(maps, image)
    for rows in (1, 7, 44):
        strips = [
            ops.affine_maps_apply(maps, image[:, :, top : top + rows], top, 45)
            for top in range(0, 45, rows)
        ]
        assert torch.equal(torch.cat(strips, 2), whole)


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    maps, image = (x.float() for x in inputs(1, 16, 16, 300, 100))
    want = ops.affine_maps_apply(maps, image)
    with threads(3):
        assert torch.equal(ops.affine_maps_apply(maps, image), want)


def test_opcheck_layouts_and_vmap() -> None:
    maps, image = inputs(6, 4, 5, 7, 9)
    torch.library.opcheck(torch.ops.pydpst.affine_maps_apply, (maps, image, 2, 12))
    want = ops.affine_maps_apply(maps, image)
    strided = [x.transpose(-1, -2).contiguous().transpose(-1, -2) for x in (maps, image)]
    assert torch.equal(ops.affine_maps_apply(*strided), want)
    stacked = (x.unflatten(0, (3, 2)) for x in (maps, image))
    assert torch.equal(torch.vmap(ops.affine_maps_apply)(*stacked).flatten(0, 1), want)


def test_arguments_are_checked() -> None:
    maps, image = inputs(2, 4, 5, 7, 9)
    for arguments, match in [
        ((maps, image[:, :2], 0, 7), r"image must have the shape \(B, 3, H, W\)"),
        ((maps.half(), image.half(), 0, 7), "float32 or float64"),
        ((maps[:, :9], image, 0, 7), r"maps must have the shape"),
        ((maps[:1], image, 0, 7), "batch size"),
        ((maps.float(), image, 0, 7), "image's dtype"),
        ((maps, image, -1, 7), "rows from -1 on"),
        ((maps, image, 1, 7), "rows from 1 on must lie within height, got 7"),
    ]:
        with pytest.raises(RuntimeError, match=match):
            torch.ops.pydpst.affine_maps_apply(*arguments)
