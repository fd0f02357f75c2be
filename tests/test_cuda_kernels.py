"""The CUDA kernels, run on the CPU under sanitizers: no index, halo or barrier is wrong."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pydpst import ops
from pydpst.ops import reference

ROOT = Path(__file__).parents[1]
WHITENING, SMALL_WINDOWS, WINDOW_SUMS, DIAGONAL, IMAGE_GRADIENT = range(5)
EPS = 1e-3

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


def build(source: str, folder: Path) -> Path:
    """Kernels as a program that stops at the first index or conversion out of range."""
    program = folder / "kernels"
    command = ["g++", "-std=c++20", "-O1", "-DPYDPST_THREADS=64", f"-I{ROOT / 'csrc' / 'cuda'}"]
    command += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    source_file = ROOT / "tests" / "cuda_shim" / source
    subprocess.run([*command, source_file, "-o", program], check=True)
    return program


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("laplacian.cpp", tmp_path_factory.mktemp("cuda_shim"))


@pytest.fixture(scope="module")
def slice_kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("slice.cpp", tmp_path_factory.mktemp("cuda_shim"))


@pytest.fixture(scope="module")
def affine_maps_kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("affine_maps.cpp", tmp_path_factory.mktemp("cuda_shim"))


def run(program: Path, request: bytes, dtype: torch.dtype, *arrays: Tensor) -> Tensor:
    """The result of both orders of a block's threads, which must not differ in one bit."""
    results = []
    for falling in (False, True):
        message = struct.pack("2q", dtype == torch.float64, falling) + request
        message += b"".join(array.detach().contiguous().numpy().tobytes() for array in arrays)
        done = subprocess.run([program], input=message, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        results.append(done.stdout)
    assert results[0] == results[1]
    return torch.frombuffer(bytearray(results[0]), dtype=torch.uint8)


def run_laplacian(
    program: Path, operation: int, radius: int, *arrays: Tensor, channels: int = 0
) -> Tensor:
    batch, guide_channels, height, width = arrays[0].shape
    request = struct.pack(
        "7qd", operation, guide_channels, batch, channels, height, width, radius, EPS
    )
    return run(program, request, arrays[0].dtype, *arrays).view(arrays[0].dtype)


# Images of several tiles and of less than one, with borders within, at and beyond a tile's.
CASES = [
    # batch, guide channels, channels, height, width, radius
    (1, 3, 3, 3, 3, 1),
    (1, 3, 4, 6, 35, 1),
    (2, 1, 2, 5, 33, 1),
    (1, 3, 1, 5, 70, 2),
    (2, 1, 3, 7, 31, 2),
    (1, 3, 3, 8, 34, 2),
    (1, 3, 2, 20, 13, 4),
    (2, 1, 1, 13, 12, 5),
    (1, 1, 1, 7, 130, 3),
    (1, 1, 1, 290, 7, 3),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_equal_the_reference(
    kernels: Path, case: tuple[int, ...], dtype: torch.dtype
) -> None:
    batch, guide_channels, channels, height, width, radius = case
    generator = torch.Generator().manual_seed(0)

    def rand(planes: int) -> Tensor:
        shape = (batch, planes, height, width)
        return torch.rand(shape, dtype=torch.float64, generator=generator).to(dtype)

    image, p, q = rand(guide_channels), rand(channels), rand(channels)
    guide = image.double().clone().requires_grad_()
    want = reference.matting_matvec(guide, p.double(), EPS, radius)
    whitening = ops.matting_whitening(image, EPS, radius)
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4

    def check(have: Tensor, want: Tensor) -> None:
        error = torch.linalg.vector_norm(have.double().view(want.shape) - want)
        assert error <= tolerance * torch.linalg.vector_norm(want)

    check(run_laplacian(kernels, WHITENING, radius, image), whitening.double())
    if radius <= 2:
        have = run_laplacian(kernels, SMALL_WINDOWS, radius, image, whitening, p, channels=channels)
        check(have, want.detach())
    have = run_laplacian(kernels, WINDOW_SUMS, radius, image, whitening, p, channels=channels)
    check(have, want.detach())
    have = run_laplacian(kernels, DIAGONAL, radius, image, whitening)
    check(have, ops.matting_diagonal(image.double(), whitening.double(), radius))
    (gradient,) = torch.autograd.grad((want * q.double()).sum(), guide)
    have = run_laplacian(kernels, IMAGE_GRADIENT, radius, image, whitening, p, q, channels=channels)
    check(have, gradient)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "shape",
    [
        # batch, height, width, depth, rows, columns
        (2, 13, 70, 8, 3, 4),
        (1, 9, 5, 1, 1, 1),
        (1, 4, 3, 5, 6, 7),  # more cells than pixels
        (1, 40, 9, 9, 2, 1),
    ],
    ids=str,
)
def test_slice_kernels_equal_the_reference(
    slice_kernels: Path, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    batch, height, width, depth, rows, columns = shape
    generator = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, dtype=torch.float64, generator=generator).to(dtype)

    arguments = [rand(batch, 12, depth, rows, columns), 1.4 * rand(batch, height, width) - 0.2]
    arguments.append(rand(batch, 3, height, width))
    grad = rand(batch, 3, height, width)
    leaves = [argument.double().requires_grad_() for argument in arguments]
    out = reference.bilateral_slice_apply(*leaves)
    want = [out.detach(), *torch.autograd.grad(out, leaves, grad.double())]
    have = run(slice_kernels, struct.pack("6q", *shape), dtype, *arguments, grad).view(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for one, other in zip(have.split([other.numel() for other in want]), want, strict=True):
        assert (one.double() - other.flatten()).norm() <= tolerance * max(1, other.norm())


@pytest.fixture(scope="module")
def sparse_kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sparse.cpp", tmp_path_factory.mktemp("cuda_shim"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sides", [(1, 4), (4, 1), (2, 2), (4, 4)])
def test_sparse_kernels_equal_the_reference(
    sparse_kernels: Path, sides: tuple[int, int], dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand(70, 3, *sides, generator=generator).to(dtype)
    columns = torch.arange(210).view(70, 3) % 23 - 1
    x = torch.rand(2, 20, sides[1], generator=generator, dtype=torch.float64)
    request = struct.pack("7q", 0, *sides, 70, 3, 2, 20)
    have = run(sparse_kernels, request, dtype, blocks, columns, x).view(torch.float64)
    want = reference.ellpack_matvec(blocks, columns, x)
    torch.testing.assert_close(have.view(want.shape), want)


def test_vectors_of_free_pixels_become_planes_and_return(sparse_kernels: Path) -> None:
    slots = torch.arange(150) - 20
    slots[::3] = -1
    x = torch.rand(2, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    request = struct.pack("7q", 1, 1, 1, 150, 1, 2, 100)
    have = run(sparse_kernels, request, torch.float64, slots, x).view(torch.float64)
    free = (slots >= 0) & (slots < 100)
    planes, back = torch.zeros(2, 150, dtype=torch.float64), torch.zeros_like(x)
    planes[:, free] = x[:, slots[free]]
    back[:, slots[free]] = x[:, slots[free]]
    torch.testing.assert_close(have, torch.cat([planes.flatten(), back.flatten()]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "shape",
    [
        # batch, top, height, strip, width, rows, columns
        (2, 0, 13, 13, 70, 3, 4),
        (1, 5, 40, 9, 31, 7, 6),
        (1, 3, 4, 1, 3, 6, 7),  # more maps than pixels
        (1, 1, 9, 8, 5, 1, 1),
    ],
    ids=str,
)
def test_the_affine_maps_kernel_equals_the_reference(
    affine_maps_kernel: Path, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    batch, top, height, strip, width, rows, columns = shape
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(batch, 12, rows, columns, dtype=torch.float64, generator=generator).to(dtype)
    image = torch.rand(batch, 3, height, width, dtype=torch.float64, generator=generator).to(dtype)
    want = reference.affine_maps_apply(maps.double(), image.double())[:, :, top : top + strip]
    strip_of_image = image[:, :, top : top + strip]
    have = run(affine_maps_kernel, struct.pack("7q", *shape), dtype, maps, strip_of_image)
    have = have.view(dtype).view(want.shape)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    assert (have.double() - want).norm() <= tolerance * want.norm()


@pytest.fixture(scope="module")
def grade_kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("grade.cpp", tmp_path_factory.mktemp("cuda_shim"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "shape",
    [
        # batch, regions, hues, knots, height, width, whether to add the image
        (2, 3, 1, 8, 13, 11, 1),
        (1, 2, 1, 5, 70, 67, 0),  # pixels of a second part
        (1, 1, 1, 1, 9, 5, 1),
        (1, 2, 1, 2, 1, 1, 0),
        (2, 0, 1, 3, 4, 3, 1),
        (2, 3, 7, 8, 13, 11, 1),
        (1, 2, 7, 5, 70, 67, 0),
    ],
    ids=str,
)
def test_grade_kernels_equal_the_reference(
    grade_kernels: Path, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    batch, regions, hues, knots, height, width, add = shape
    generator = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, dtype=torch.float64, generator=generator).to(dtype)

    arguments = [rand(batch, regions, hues, knots, 12), rand(batch, regions, height, width)]
    arguments.append(1.4 * rand(batch, 3, height, width) - 0.2)
    grad = rand(batch, 3, height, width)
    leaves = [argument.double().requires_grad_() for argument in arguments]
    out = reference.grade_apply(leaves[0] + torch.eye(3, 4).flatten(), *leaves[1:])
    if not add:
        out = out - leaves[2]
    want = [out.detach(), *torch.autograd.grad(out, leaves, grad.double())]
    request = struct.pack("6q", batch, regions, hues, knots, height * width, add)
    have = run(grade_kernels, request, dtype, *arguments, grad).view(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for one, other in zip(have.split([other.numel() for other in want]), want, strict=True):
        assert (one.double() - other.flatten()).norm() <= tolerance * max(1, other.norm())
