"""Every derivative that torch can ask for is right, or an error in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

from pydpst import ops
from pydpst.matting.laplacian import MattingLaplacian
from pydpst.ops import reference
from pydpst.ops.grade import grade_apply

EPS = 1e-3


def rand(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, dtype=torch.float64, generator=generator)


def product(image: Tensor, p: Tensor) -> Tensor:
    return ops.matting_matvec(image, ops.matting_whitening(image, EPS, 1), p, 1)


def want_product(image: Tensor, p: Tensor) -> Tensor:
    return reference.matting_matvec(image, p, EPS)


IMAGE, P = rand(1, 3, 4, 5), rand(1, 2, 4, 5, seed=1)
GRID, GUIDE, PHOTO = rand(1, 12, 2, 2, 3), rand(1, 3, 4, seed=1), rand(1, 3, 3, 4, seed=2)
MAPS, MASKS = rand(1, 2, 7, 3, 12), rand(1, 2, 3, 4, seed=1)

# The operator, its reference, all arguments, and which of them forward mode may differentiate.
CASES = {
    "matting_matvec": (product, want_product, (IMAGE, P), (1,)),
    "bilateral_slice_apply": (
        ops.bilateral_slice_apply,
        reference.bilateral_slice_apply,
        (GRID, GUIDE, PHOTO),
        (0, 2),
    ),
    "grade_apply": (grade_apply, reference.grade_apply, (MAPS, MASKS, PHOTO), (0, 1)),
}
Case = tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[Tensor, ...], tuple[int, ...]]
cases = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


@cases
def test_reverse_mode(case: Case) -> None:
    function, want, arguments, _ = case
    leaves = tuple(argument.clone().requires_grad_() for argument in arguments)
    assert gradcheck(function, leaves, check_batched_grad=True)
    every = tuple(range(len(arguments)))
    have = jacrev(function, argnums=every)(*arguments)
    for one, other in zip(have, jacrev(want, argnums=every)(*arguments), strict=True):
        torch.testing.assert_close(one, other)


@cases
def test_forward_mode(case: Case) -> None:
    function, _, arguments, forward = case

    def of_some(*some: Tensor) -> Tensor:
        every = list(arguments)
        for index, one in zip(forward, some, strict=True):
            every[index] = one
        return function(*every)

    leaves = tuple(arguments[index].clone().requires_grad_() for index in forward)
    assert gradcheck(of_some, leaves, check_forward_ad=True, check_batched_forward_grad=True)
    some = tuple(arguments[index] for index in forward)
    argnums = tuple(range(len(some)))
    for one, other in zip(
        jacfwd(of_some, argnums)(*some), jacrev(of_some, argnums)(*some), strict=True
    ):
        torch.testing.assert_close(one, other)


@cases
def test_forward_mode_is_refused_elsewhere(case: Case) -> None:
    function, _, arguments, forward = case
    tangents = [torch.zeros_like(argument) for argument in arguments]
    for index in set(range(len(arguments))) - set(forward):

        def of_one(one: Tensor, index: int = index) -> Tensor:
            return function(*arguments[:index], one, *arguments[index + 1 :])

        if case[0] is product:  # whose whitening matrices come from the image

            def of_one(one: Tensor, index: int = index) -> Tensor:
                whitening = ops.matting_whitening(arguments[0], EPS, 1)
                return ops.matting_matvec(one, whitening, arguments[1], 1)

        with pytest.raises(NotImplementedError, match=r"pydpst\.ops\.reference"):
            jvp(of_one, (arguments[index],), (tangents[index],))


def test_hessians() -> None:
    def energy(function: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda p: (p * function(IMAGE, p)).sum() + function(IMAGE, p).pow(3).sum()

    want = hessian(energy(want_product))(P)
    torch.testing.assert_close(hessian(energy(product))(P), want)
    torch.testing.assert_close(jacrev(jacrev(energy(product)))(P), want)

    def loss(function: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda maps: function(maps, MASKS, PHOTO).pow(3).sum()

    want = hessian(loss(reference.grade_apply))(MAPS)
    torch.testing.assert_close(hessian(loss(grade_apply))(MAPS), want)
    torch.testing.assert_close(jacrev(jacrev(loss(grade_apply)))(MAPS), want)


def test_forward_over_reverse() -> None:
    maps, p = MAPS.clone().requires_grad_(), P.clone().requires_grad_()
    options = {"check_fwd_over_rev": True, "check_rev_over_rev": True}
    assert gradgradcheck(lambda maps: grade_apply(maps, MASKS, PHOTO), maps, **options)
    assert gradgradcheck(lambda p: product(IMAGE, p), p, **options)


def test_gradients_over_many_guides() -> None:
    images, p = rand(3, 1, 3, 4, 5), P

    def loss(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda image, p: function(image, p).pow(2).sum()

    have = vmap(grad(loss(product), argnums=(0, 1)), in_dims=(0, None))(images, p)
    for i, image in enumerate(images):
        want = grad(loss(want_product), argnums=(0, 1))(image, p)
        torch.testing.assert_close([have[0][i], have[1][i]], list(want))


def test_energies_of_the_laplacian() -> None:
    p, tangent = P[0], rand(2, 4, 5, seed=3)
    laplacian = MattingLaplacian(IMAGE[0], EPS)
    energy, along = jvp(laplacian.energy, (p,), (tangent,))
    torch.testing.assert_close(energy, (p * want_product(IMAGE, P)[0]).sum())
    torch.testing.assert_close(along, 2 * (tangent * want_product(IMAGE, P)[0]).sum())
    want = hessian(lambda p: (p * want_product(IMAGE, p[None])[0]).sum())(p)
    torch.testing.assert_close(hessian(laplacian.energy)(p), want)
    assert gradcheck(laplacian.energy, p.clone().requires_grad_(), check_forward_ad=True)
    with pytest.raises(NotImplementedError, match="no forward-mode derivative in the guide"):
        jvp(lambda image: MattingLaplacian(image, EPS).energy(p), (IMAGE[0],), (IMAGE[0],))


def test_laplacians_of_many_guides() -> None:
    images, p = rand(3, 3, 4, 5), P[0]

    def energy(image: Tensor) -> Tensor:
        return MattingLaplacian(image, EPS).energy(p)

    have = vmap(grad(energy))(images)
    products = vmap(lambda image: MattingLaplacian(image, EPS).matvec(p))(images)
    for i, image in enumerate(images):
        torch.testing.assert_close(have[i], grad(energy)(image))
        torch.testing.assert_close(products[i], want_product(image[None], P)[0])


def test_products_without_derivatives_say_so() -> None:
    blocks, x = rand(5, 2, 2, 2), rand(1, 4, 2, seed=1)
    columns = torch.arange(10).view(5, 2) % 4
    out = ops.ellpack_matvec(blocks, columns, x.clone().requires_grad_())
    with pytest.raises(NotImplementedError, match="ellpack_matvec has no derivatives"):
        out.sum().backward()
    with pytest.raises(NotImplementedError, match="ellpack_matvec has no derivatives"):
        jvp(lambda x: ops.ellpack_matvec(blocks, columns, x), (x,), (x,))
    whitening, slots = ops.matting_whitening(IMAGE, EPS, 1), torch.arange(20).view(4, 5)
    tiles, x = torch.tensor([[0, 4, 0, 5]]), rand(1, 20).requires_grad_()
    out = ops.matting_free_matvec(IMAGE, whitening, slots, tiles, x, 1)
    with pytest.raises(NotImplementedError, match="matting_free_matvec has no derivatives"):
        out.sum().backward()


WHITENING = ops.matting_whitening(IMAGE, EPS, 1)
SLOTS, TILES = torch.arange(20).view(4, 5), torch.tensor([[0, 4, 0, 5]])
RAW = {
    "matting_whitening": (IMAGE, EPS, 1),
    "matting_matvec": (IMAGE, WHITENING, P, 1),
    "matting_free_matvec": (IMAGE, WHITENING, SLOTS, TILES, rand(1, 20), 1),
    "matting_diagonal": (IMAGE, WHITENING, 1),
    "matting_image_gradient": (IMAGE, WHITENING, P, P, 1),
    "bilateral_slice_apply": (GRID, GUIDE, PHOTO),
    "bilateral_slice_apply_backward": (PHOTO, GRID, GUIDE, PHOTO),
    "grade_change": (MAPS, MASKS, PHOTO, True),
    "grade_change_maps_gradient": (PHOTO, MASKS, PHOTO, 7, 3),
    "grade_change_pixel_gradients": (PHOTO, MAPS, MASKS, PHOTO, True),
    "affine_maps_apply": (rand(1, 12, 2, 2), PHOTO, 0, 3),
    "ellpack_matvec": (rand(5, 2, 2, 2), torch.arange(10).view(5, 2) % 4, rand(1, 4, 2)),
}


def test_these_are_all_operators() -> None:
    schemas = torch._C._jit_get_all_schemas()
    assert set(RAW) == {s.name.split("::")[1] for s in schemas if s.name.startswith("pydpst::")}


@pytest.mark.parametrize("name", RAW)
def test_operators_themselves_refuse_forward_mode(name: str) -> None:
    op, arguments = getattr(torch.ops.pydpst, name), list(RAW[name])
    torch.library.opcheck(op, tuple(arguments))
    for index, argument in enumerate(arguments):
        if not (isinstance(argument, Tensor) and argument.is_floating_point()):
            continue

        def of_one(one: Tensor, index: int = index) -> Tensor:
            return op(*arguments[:index], one, *arguments[index + 1 :])

        with pytest.raises(NotImplementedError, match=f"pydpst.{name} has no forward-mode"):
            jvp(of_one, (argument,), (argument,))
        with pytest.raises(NotImplementedError, match=f"pydpst.{name} has no forward-mode"):
            vmap(lambda t, f=of_one, a=argument: jvp(f, (a,), (t,))[1])(argument[None])
        with (
            forward_ad.dual_level(),
            pytest.raises(NotImplementedError, match=f"pydpst.{name} has no forward-mode"),
        ):
            of_one(forward_ad.make_dual(argument, argument))


def test_forward_mode_in_a_compiled_graph() -> None:
    laplacian = MattingLaplacian(IMAGE[0])

    def derivative(p: Tensor) -> Tensor:
        return jvp(laplacian.matvec, (p,), (p,))[1]

    compiled = torch.compile(derivative, backend="aot_eager")
    torch.testing.assert_close(compiled(P[0]), laplacian.matvec(P[0]))
    torch._dynamo.reset()
    with pytest.raises(Exception, match="has no forward-mode derivative"):
        torch.compile(derivative, backend="aot_eager", fullgraph=True)(P[0])


def test_a_guide_that_changes_is_noticed() -> None:
    image, p = rand(3, 6, 7), rand(2, 6, 7)
    laplacian = MattingLaplacian(image)
    laplacian.matvec(p)
    image.mul_(0.5)
    for use in (laplacian.matvec, laplacian.energy, lambda _: laplacian.diagonal()):
        with pytest.raises(RuntimeError, match="changed in place"):
            use(p)
    copied = MattingLaplacian(image.half())  # which keeps one of its own
    copied.image.mul_(0.5)
    copied.matvec(p.float())
    with torch.inference_mode():
        MattingLaplacian(image.clone()).matvec(p)
    compiled = torch.compile(MattingLaplacian(image).matvec, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(p), MattingLaplacian(image).matvec(p))
