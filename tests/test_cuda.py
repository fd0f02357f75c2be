"""The CUDA kernels on a GPU, where there is one; tests/test_cuda_kernels.py runs them without."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import pydpst
from pydpst import MattingLaplacian, ops
from pydpst.metrics import edge_ssim, photorealism_residual
from pydpst.photos.resizing import resize

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() or ops.build_info["cuda"] is None,
    reason="needs a GPU and a build with CUDA",
)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, dtype=torch.float64, generator=generator).to(dtype)


def distance(have: Tensor, want: Tensor) -> float:
    have, want = have.double().cpu(), want.double().cpu()
    return float((have - want).norm() / want.norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [1, 2, 3, 9])
@pytest.mark.parametrize("guide_channels", [1, 3])
def test_equals_the_cpu(dtype: torch.dtype, radius: int, guide_channels: int) -> None:
    guide, p = random(2, guide_channels, 61, 83), random(2, 4, 61, 83, seed=1)
    want = MattingLaplacian(guide, 1e-5, radius).matvec(p)
    laplacian = MattingLaplacian(guide.to("cuda", dtype), 1e-5, radius)
    have = laplacian.matvec(p.to("cuda", dtype))
    assert have.is_cuda
    assert distance(have, want) < (1e-9 if dtype == torch.float64 else 1e-4)
    assert torch.equal(have, laplacian.matvec(p.to("cuda", dtype)))


def test_gradients_equal_the_cpus() -> None:
    gradients = []
    for device in ("cpu", "cuda"):
        guide = random(3, 40, 50).to(device).requires_grad_()
        p = random(3, 40, 50, seed=1).to(device).requires_grad_()
        MattingLaplacian(guide, 1e-4).energy(p).backward()
        gradients.append((guide.grad, p.grad))
    for have, want in zip(gradients[1], gradients[0], strict=True):
        assert distance(have, want) < 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slicing_equals_the_cpu(dtype: torch.dtype) -> None:
    arguments = [random(2, 12, 8, 5, 6), random(2, 61, 83, seed=1), random(2, 3, 61, 83, seed=2)]
    results = []
    for device, kind in (("cpu", torch.float64), ("cuda", dtype), ("cuda", dtype)):
        leaves = [argument.to(device, kind).requires_grad_() for argument in arguments]
        out = ops.bilateral_slice_apply(*leaves)
        weight = random(*out.shape, seed=3).to(out)
        results.append([out.detach(), *torch.autograd.grad((out * weight).sum(), leaves)])
    for want, have, again in zip(*results, strict=True):
        assert distance(have, want) < (1e-12 if dtype == torch.float64 else 1e-5)
        assert torch.equal(have, again)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_affine_maps_apply(dtype: torch.dtype) -> None:
    maps, image = random(2, 12, 5, 7).to(dtype), random(2, 3, 40, 70, seed=1).to(dtype)
    want = ops.affine_maps_apply(maps.double(), image.double())
    whole = ops.affine_maps_apply(maps.cuda(), image.cuda())
    assert distance(whole, want) < (1e-12 if dtype == torch.float64 else 1e-5)
    strip = ops.affine_maps_apply(maps.cuda(), image[:, :, 9:21].cuda(), 9, 40)
    assert torch.equal(strip, whole[:, :, 9:21])


def test_the_current_stream_is_used() -> None:
    """The kernel waits for what was queued on the stream before it."""
    guide = random(3, 512, 512, dtype=torch.float32).cuda()
    laplacian = MattingLaplacian(guide)
    want = laplacian.matvec(guide)
    p = torch.zeros_like(guide)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda._sleep(100_000_000)
        p.copy_(guide)
        have = laplacian.matvec(p)
    torch.cuda.synchronize()
    assert torch.equal(have, want)


def test_a_graph_captures_it() -> None:
    guide = random(3, 64, 64, dtype=torch.float32).cuda()
    laplacian, p = MattingLaplacian(guide), guide.clone()
    laplacian.matvec(p)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        product = laplacian.matvec(p)
    p.copy_(guide.square())
    graph.replay()
    assert torch.equal(product, laplacian.matvec(p))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_another_gpu_than_the_current_one() -> None:
    guide = random(3, 64, 64)
    want = MattingLaplacian(guide).matvec(guide)
    assert distance(MattingLaplacian(guide.to("cuda:1")).matvec(guide.to("cuda:1")), want) < 1e-9


def test_more_elements_than_int32_counts() -> None:
    channels, side = 3, 27_000  # 3·27000² is more than 2³¹
    if torch.cuda.mem_get_info()[0] < 24 * 4 * side**2:
        pytest.skip("needs 70 GB of GPU memory")
    guide = torch.rand(channels, side, side, device="cuda")
    product = MattingLaplacian(guide, 1e-5).matvec(guide.square())
    corner = guide[:, -64:, -64:].cpu()
    want = MattingLaplacian(corner, 1e-5).matvec(corner.square())
    # Two pixels from the crop's border no window is missing.
    assert distance(product[:, -60:, -60:], want[:, 4:, 4:]) < 1e-3


def test_stylize_on_the_gpu(city_day: Path, city_night: Path) -> None:
    result = pydpst.stylize(city_day, city_night, size=256, steps=20, device="cuda")
    content = resize(pydpst.load_image(city_day), 256)
    assert not result.image.is_cuda
    assert result.losses[-1]["total"] < result.losses[0]["total"]
    assert photorealism_residual(result.working, content) < 1e-3
    assert result.image.shape == (3, 360, 720)
    assert edge_ssim(resize(result.image, 256), result.working) > 0.95


def test_train_universal_on_the_gpu(tmp_path: Path) -> None:
    """Looks, then what `stylize` looks for; twice, the second time from the first's network."""
    coarse = random(6, 3, 6, 8, dtype=torch.float32)
    photos = list(F.interpolate(coarse, (72, 96), mode="bilinear"))
    start = None
    for number in range(2):
        losses: list[dict[str, float]] = []
        start = pydpst.train_universal(
            photos,
            output=tmp_path / f"{number}.safetensors",
            start=start,
            steps=3,
            batch=4,
            held_out=1,
            log=tmp_path / str(number),
            device="cuda",
            callback=lambda progress: losses.append(progress.losses),  # noqa: B023
        )
        steps = [of for of in losses if of]
        assert len(steps) == 3
        assert "search" in steps[-1]
        assert all(math.isfinite(value) for of in steps for value in of.values())
        assert all(not weight.is_cuda for weight in start.state_dict().values())
