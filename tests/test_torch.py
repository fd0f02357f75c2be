"""The operators are at home in torch: opcheck, compile, export, vmap, autocast, determinism."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from pydpst import ops
from pydpst.matting.laplacian import MattingLaplacian
from pydpst.ops import reference


def rand(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


LAYOUTS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("guide_channels", [1, 3])
def test_opcheck(dtype: torch.dtype, layout: str, guide_channels: int) -> None:
    image = LAYOUTS[layout](rand(2, guide_channels, 7, 9, dtype=dtype))
    p, q = (LAYOUTS[layout](rand(2, 2, 7, 9, dtype=dtype)) for _ in range(2))
    whitening = ops.matting_whitening(image, 1e-3, 2)
    p.requires_grad_()
    library = torch.ops.pydpst
    torch.library.opcheck(library.matting_whitening, (image, 1e-3, 2))
    torch.library.opcheck(library.matting_matvec, (image, whitening, p, 2))
    guide = image.detach().clone().requires_grad_()
    torch.library.opcheck(library.matting_matvec, (guide, whitening, p, 2))
    torch.library.opcheck(library.matting_image_gradient, (image, whitening, p.detach(), q, 2))
    torch.library.opcheck(library.matting_diagonal, (image, whitening, 2))
    slots = torch.arange(63).view(7, 9).where(rand(7, 9) > 0.5, -1)
    tiles, x = torch.tensor([[0, 7, 0, 4], [0, 7, 4, 9]]), rand(2, 63, dtype=dtype)
    torch.library.opcheck(
        library.matting_free_matvec, (image[:1], whitening[:1], slots, tiles, x, 2)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sides", [(1, 1), (1, 4), (4, 1), (2, 2), (4, 4)])
def test_ellpack_matvec(dtype: torch.dtype, sides: tuple[int, int]) -> None:
    blocks = rand(50, 3, *sides, dtype=dtype)
    x = rand(2, 20, sides[1], dtype=torch.float64)
    columns = torch.arange(150).view(50, 3) % 23 - 1  # of which -1, 20 and 21 are nowhere
    torch.library.opcheck(torch.ops.pydpst.ellpack_matvec, (blocks, columns, x))
    have, want = (module.ellpack_matvec(blocks, columns, x) for module in (ops, reference))
    torch.testing.assert_close(have, want)


def test_compiles_to_one_graph() -> None:
    def value_and_gradient(image: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        laplacian = MattingLaplacian(image, 1e-5, 2)
        return laplacian.energy(p), laplacian.matvec(p)

    compiled = torch.compile(value_and_gradient, fullgraph=True, dynamic=True, backend="aot_eager")
    for height, width in [(8, 9), (13, 7)]:
        image = rand(3, height, width)
        have, want = (rand(2, height, width).requires_grad_() for _ in range(2))
        results = compiled(image, have)
        torch.testing.assert_close(results, value_and_gradient(image, want))
        results[0].backward()
        value_and_gradient(image, want)[0].backward()
        torch.testing.assert_close(have.grad, want.grad)


def test_exports() -> None:
    class Penalty(nn.Module):
        def forward(self, image: Tensor, p: Tensor) -> Tensor:
            return MattingLaplacian(image).energy(p)

    image, p = rand(2, 3, 12, 10), rand(2, 1, 12, 10)
    program = torch.export.export(Penalty(), (image, p))
    torch.testing.assert_close(program.module()(image, p), Penalty()(image, p))


def test_vmap() -> None:
    images, p = rand(4, 2, 3, 8, 9, dtype=torch.float64), rand(4, 2, 5, 8, 9, dtype=torch.float64)
    laplacian = MattingLaplacian(images[0])
    torch.testing.assert_close(
        torch.vmap(laplacian.matvec)(p), torch.stack([laplacian.matvec(one) for one in p])
    )
    torch.testing.assert_close(
        torch.vmap(laplacian.matvec, in_dims=1, out_dims=1)(p.transpose(0, 1)),
        torch.stack([laplacian.matvec(one) for one in p], 1),
    )
    torch.testing.assert_close(
        torch.vmap(laplacian.energy)(p), torch.stack([laplacian.energy(one) for one in p])
    )

    def product(image: Tensor, p: Tensor) -> Tensor:
        return ops.matting_matvec(image, ops.matting_whitening(image, 1e-5, 1), p, 1)

    want = torch.stack([product(image, p[0]) for image in images])
    torch.testing.assert_close(torch.vmap(product, in_dims=(0, None))(images, p[0]), want)


def test_autocast_computes_in_float32() -> None:
    image, p = rand(1, 3, 8, 9), rand(1, 2, 8, 9)
    want = MattingLaplacian(image).matvec(p)
    with torch.autocast("cpu", torch.bfloat16):
        whitening = ops.matting_whitening(image, 1e-7, 1)
        have = ops.matting_matvec(image, whitening, p.bfloat16(), 1)
        assert torch.equal(MattingLaplacian(image).matvec(p), want)
    assert have.dtype == torch.float32
    assert torch.equal(have, MattingLaplacian(image).matvec(p.bfloat16().float()[0][None]))


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("deterministic")
def test_deterministic_algorithms() -> None:
    image = rand(3, 300, 40).requires_grad_()
    p = rand(3, 300, 40).requires_grad_()
    runs = [
        torch.autograd.grad(MattingLaplacian(image).matvec(p).square().sum(), (image, p))
        for _ in range(2)
    ]
    assert torch.equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][1], runs[1][1])


def test_kernels_check_their_arguments() -> None:
    image, p = rand(1, 3, 8, 9), rand(1, 2, 8, 9)
    whitening = ops.matting_whitening(image, 1e-7, 1)
    for arguments, match in [
        ((image[:, :2], whitening, p, 1), "shape"),
        ((image.half(), whitening, p, 1), "float32 or float64"),
        ((image, whitening, p, 0), "radius"),
        ((image, whitening, p, 2**62), "one window"),
        ((image, whitening, p, 2), "same guide image and radius"),
        ((image, whitening, p.double(), 1), "dtype"),
        ((image, whitening, p[:, :, 1:], 1), "height and width"),
        ((image, whitening, p.expand(2, -1, -1, -1), 1), "batch size"),
    ]:
        with pytest.raises(RuntimeError, match=match):
            torch.ops.pydpst.matting_matvec(*arguments)
