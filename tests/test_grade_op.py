"""Rendering a grade by region: against the reference, against numbers, and as a torch operator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conftest import threads
from torch import Tensor

from pydpst.ops import reference
from pydpst.ops.grade import grade_apply, grade_change

Function = Callable[..., Tensor]

CASES = [
    # batch, regions, hues, knots, height, width
    (1, 3, 1, 8, 45, 77),
    (2, 2, 1, 5, 33, 64),
    (1, 4, 1, 1, 9, 20),  # maps that do not depend on the mean
    (1, 1, 1, 2, 150, 130),  # a second part
    (1, 2, 1, 40, 17, 31),  # knots of several vectors
    (2, 0, 1, 3, 5, 7),
    (1, 2, 1, 8, 1, 1),
    (0, 2, 1, 8, 3, 4),
    (2, 3, 7, 8, 45, 77),
    (1, 2, 7, 1, 150, 130),
    (1, 2, 7, 40, 17, 31),
    (2, 0, 7, 3, 5, 7),
    (0, 2, 7, 8, 3, 4),
]


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, dtype=torch.float64, generator=generator).to(dtype)


def inputs(
    batch: int, regions: int, hues: int, knots: int, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Maps, masks that need not sum to 1, and an image that also leaves [0, 1]."""
    maps = 2 * random(batch, regions, hues, knots, 12) - 1
    masks = random(batch, regions, height, width, seed=1)
    masks = masks * (masks > 0.4)
    return maps, masks, 2 * random(batch, 3, height, width, seed=2) - 0.5


def results(function: Function, arguments: tuple[Tensor, ...]) -> list[Tensor]:
    """The result and its gradients in all arguments."""
    leaves = [argument.detach().clone().requires_grad_() for argument in arguments]
    out = function(*leaves)
    weight = random(*out.shape, seed=3).to(out.dtype) - 0.5
    return [out.detach(), *torch.autograd.grad((out * weight).sum(), leaves)]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equals_the_reference(case: tuple[int, ...], dtype: torch.dtype) -> None:
    exact = inputs(*case)
    want = results(reference.grade_apply, exact)
    have = results(grade_apply, tuple(argument.to(dtype) for argument in exact))
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    for one, other in zip(have, want, strict=True):
        assert one.dtype == dtype
        assert (one.double() - other).norm() <= tolerance * max(1, other.norm())


@pytest.mark.parametrize("hues", [1, 7])
def test_gradcheck(hues: int) -> None:
    arguments = tuple(argument.requires_grad_() for argument in inputs(2, 2, hues, 3, 3, 4))
    assert torch.autograd.gradcheck(grade_apply, arguments)


def test_second_derivatives_in_maps() -> None:
    maps, masks, image = inputs(1, 2, 7, 3, 3, 4)
    maps.requires_grad_()
    assert torch.autograd.gradgradcheck(lambda maps: grade_apply(maps, masks, image), maps)

    def loss(function: Function) -> Function:
        return lambda maps: function(maps, masks, image).pow(3).sum()

    have = torch.autograd.functional.hessian(loss(grade_apply), maps)
    want = torch.autograd.functional.hessian(loss(reference.grade_apply), maps)
    torch.testing.assert_close(have, want)


def test_one_map_is_the_same_map_for_all_hues() -> None:
    maps, masks, image = inputs(2, 3, 1, 8, 21, 34)
    want = grade_apply(maps[:, :, 0], masks, image)
    assert torch.equal(grade_apply(maps, masks, image), want)
    torch.testing.assert_close(grade_apply(maps.expand(-1, -1, 7, -1, -1), masks, image), want)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("knots", [1, 8, 40])
def test_hues_that_differ_by_offsets_only(knots: int, dtype: torch.dtype) -> None:
    maps, masks, image = inputs(2, 3, 7, knots, 21, 34)
    slopes = torch.arange(12) % 4 != 3
    maps[..., slopes] = maps[:, :, :1, :, slopes]
    want = reference.grade_apply(maps, masks, image)
    have = grade_apply(maps.to(dtype), masks.to(dtype), image.to(dtype))
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    assert (have.double() - want).norm() <= tolerance * want.norm()


def test_each_hue_has_its_own_map() -> None:
    hues = torch.tensor(
        [[1.0, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [0.3, 0.3, 0.3]]
    )
    maps = torch.zeros(1, 1, 7, 2, 3, 4)
    maps[..., 3] = torch.arange(7.0).view(7, 1, 1)  # a flat colour, the number of the hue
    image = torch.cat([hues, torch.tensor([[0.8, 0.5, 0.4], [0.6, 0.4, 0.35]])]).T[None, :, None]
    have = grade_apply(maps.flatten(-2), torch.ones(1, 1, 1, 9), image)[0, :, 0]
    # of the last two: 0.3 of red, 0.1 of yellow and 0.1 of grey; 0.2, 0.05 and 0.25
    mixed = torch.tensor([0 + 0.1 + 6 * 0.1, 0 + 0.05 + 6 * 0.25]) / 0.5
    torch.testing.assert_close(have, torch.cat([torch.arange(7.0), mixed]).expand(3, -1))


def test_mixed_second_derivatives_are_right_or_refused() -> None:
    maps, masks, image = (argument.requires_grad_() for argument in inputs(1, 2, 7, 3, 3, 4))
    for function in (grade_apply, reference.grade_apply):
        (gradient,) = torch.autograd.grad(
            function(maps, masks, image).pow(2).sum(), maps, create_graph=True
        )
        mixed = torch.autograd.grad(gradient.pow(2).sum(), (maps, masks, image))
        if function is grade_apply:
            have = mixed
    for one, other in zip(have, mixed, strict=True):
        torch.testing.assert_close(one, other)
    out = grade_apply(maps, masks, image).sum()
    (gradient,) = torch.autograd.grad(out, image, create_graph=True)
    with pytest.raises(NotImplementedError, match=r"reference\.grade_apply"):
        gradient.sum().backward()


@pytest.mark.parametrize("hues", [1, 7])
@pytest.mark.parametrize("knots", [1, 2, 8])
def test_identities_and_empty_masks_keep_every_bit(hues: int, knots: int) -> None:
    maps, masks, image = (argument.float() for argument in inputs(1, 2, hues, knots, 37, 53))
    identity = torch.eye(3, 4).flatten().expand_as(maps)
    assert torch.equal(grade_apply(identity, masks, image), image)
    assert torch.equal(grade_apply(maps, masks * 0, image), image)


def test_numbers_of_two_regions() -> None:
    double = torch.zeros(3, 4)
    double[:, :3] = 2 * torch.eye(3)
    maps = torch.stack([torch.stack([torch.eye(3, 4), double]), torch.zeros(2, 3, 4)])
    image = torch.tensor([0.0, 0.5, 1.0, 1.5]).expand(1, 3, 1, 4)
    masks = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.0]]).view(1, 2, 1, 4)
    have = grade_apply(maps.view(1, 2, 2, 12), masks, image)
    # once as bright at 0 and twice from 1 on; of the third pixel the black region takes half
    want = torch.tensor([0.0, 0.75, 1.5, 3.0])
    torch.testing.assert_close(have, want.expand(1, 3, 1, 4))


def test_gradient_at_white_and_black_is_that_of_the_inside() -> None:
    maps, masks, _ = inputs(1, 2, 1, 4, 1, 2)
    image = torch.tensor([0.0, 1.0], dtype=torch.float64).expand(1, 3, 1, 2)
    have, want = (results(f, (maps, masks, image)) for f in (grade_apply, reference.grade_apply))
    for one, other in zip(have, want, strict=True):
        torch.testing.assert_close(one, other)


def test_only_the_change() -> None:
    maps, masks, image = inputs(1, 2, 7, 4, 9, 8)
    identity = torch.eye(3, 4, dtype=torch.float64).flatten()
    want = results(reference.grade_apply, (maps + identity, masks, image))
    have = results(lambda *arguments: grade_change(*arguments, add=False), (maps, masks, image))
    weight = random(1, 3, 9, 8, seed=3) - 0.5
    torch.testing.assert_close(have[0], want[0] - image)
    torch.testing.assert_close(have[1:3], want[1:3])
    torch.testing.assert_close(have[3], want[3] - weight)


def test_opcheck_and_layouts() -> None:
    arguments = [argument.requires_grad_() for argument in inputs(2, 2, 7, 3, 7, 9)]
    plain = [argument.detach() for argument in arguments]
    grad = random(2, 3, 7, 9, seed=5)
    library = torch.ops.pydpst
    for add in (False, True):
        torch.library.opcheck(library.grade_change, (*arguments, add))
        torch.library.opcheck(library.grade_change_pixel_gradients, (grad, *plain, add))
    with_grad = (grad.requires_grad_(), *arguments[1:], 7, 3)
    torch.library.opcheck(library.grade_change_maps_gradient, with_grad)
    strided = [argument.transpose(-1, -2).contiguous().transpose(-1, -2) for argument in plain]
    for one, other in zip(
        results(grade_apply, tuple(strided)), results(grade_apply, tuple(plain)), strict=True
    ):
        assert torch.equal(one, other)


def test_vmap_compile_and_autocast() -> None:
    stacked = inputs(6, 2, 7, 3, 7, 9)
    want = grade_apply(*stacked)
    have = torch.vmap(grade_apply)(*(x.unflatten(0, (3, 2)) for x in stacked))
    assert torch.equal(have.flatten(0, 1), want)
    one_photo = torch.vmap(grade_apply, in_dims=(0, None, None))(
        stacked[0].unflatten(0, (3, 2)), stacked[1][:2], stacked[2][:2]
    )
    assert torch.equal(one_photo[0], want[:2])
    compiled = torch.compile(grade_apply, fullgraph=True, dynamic=True, backend="aot_eager")
    for one, other in zip(results(compiled, stacked), results(grade_apply, stacked), strict=True):
        assert torch.equal(one, other)
    with torch.autocast("cpu", torch.bfloat16):
        assert grade_apply(*(argument.bfloat16() for argument in stacked)).dtype == torch.float32


@pytest.mark.parametrize("hues", [1, 7])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_bits_do_not_depend_on_the_number_of_threads(dtype: torch.dtype, hues: int) -> None:
    arguments = tuple(x.to(dtype) for x in inputs(1, 3, hues, 8, 300, 211))
    with threads(1):
        want = results(grade_apply, arguments)
    with threads(3):
        have = results(grade_apply, arguments)
    for one, other in zip(have, want, strict=True):
        assert torch.equal(one, other)


def test_arguments_are_checked() -> None:
    maps, masks, image = inputs(2, 3, 7, 4, 7, 9)
    for arguments, match in [
        ((maps, masks, image[:, :2]), r"image must have the shape \(B, 3, H, W\)"),
        ((maps.half(), masks.half(), image.half()), "float32 or float64"),
        ((maps[..., :9], masks, image), r"maps must have the shape"),
        ((maps[:, :, :0], masks, image), r"maps must have the shape"),
        ((maps[:, :, :3], masks, image), r"maps must have the shape"),
        ((maps[:, :, :, :0], masks, image), r"maps must have the shape"),
        ((maps[:, :2], masks, image), r"maps must have the shape"),
        ((maps[:1], masks, image), r"maps must have the shape"),
        ((maps, masks[:1], image), r"masks must have the shape"),
        ((maps, masks[:, :, 1:], image), r"masks must have the shape"),
        ((maps, masks.float(), image), "masks must have the image's dtype"),
        ((maps.float(), masks, image), "maps must have the image's dtype"),
    ]:
        with pytest.raises(RuntimeError, match=match):
            torch.ops.pydpst.grade_change(*arguments, True)
    with pytest.raises(RuntimeError, match="knots must be at least 1, got 0"):
        torch.ops.pydpst.grade_change_maps_gradient(image, masks, image, 7, 0)
    with pytest.raises(RuntimeError, match="hues must be 1 or 7, got 3"):
        torch.ops.pydpst.grade_change_maps_gradient(image, masks, image, 3, 4)
    with pytest.raises(RuntimeError, match="grad must have the image's shape"):
        torch.ops.pydpst.grade_change_maps_gradient(image[:, :2], masks, image, 7, 4)
