"""The matting Laplacian: right, accurate in float32, differentiable, and repeatable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import threads
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pymatting import cf_laplacian
from torch import Tensor

from pydpst.matting.laplacian import MattingLaplacian
from pydpst.ops import reference

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
EPS = [1e-5, 1e-7]
RADII = [1, 2, 3, 9]


def photo(height: int, width: int, name: str = "city_day") -> Tensor:
    """A crop of a real photo, with edges, texture and flat sky: (3, height, width), float64."""
    with Image.open(PHOTOS / f"{name}.jpg") as image:
        pixels = np.asarray(image.convert("RGB"))
    crop = pixels[60 : 60 + height, 100 : 100 + width]
    return torch.from_numpy(crop.astype(np.float64) / 255).permute(2, 0, 1).contiguous()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def distance(have: Tensor, want: Tensor) -> float:
    """The relative L2 distance."""
    have, want = have.double(), want.double()
    return float(torch.linalg.vector_norm(have - want) / torch.linalg.vector_norm(want))


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("radius", [1, 2])
def test_equals_pymatting(eps: float, radius: int) -> None:
    guide = photo(60, 83)
    p = random(2, 60, 83)
    matrix = cf_laplacian(guide.permute(1, 2, 0).numpy(), epsilon=eps, radius=radius)
    want = torch.from_numpy((matrix @ p.reshape(2, -1).numpy().T).T.reshape(2, 60, 83))
    assert distance(MattingLaplacian(guide, eps, radius).matvec(p), want) < 1e-9


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("guide_channels", [1, 3])
def test_equals_reference(eps: float, radius: int, guide_channels: int) -> None:
    guide, p = photo(40, 57)[:guide_channels], random(4, 40, 57)
    want = reference.matting_matvec(guide[None], p[None], eps, radius)[0]
    assert distance(MattingLaplacian(guide, eps, radius).matvec(p), want) < 1e-9


def test_tiles_fit_together() -> None:
    """An image of several tiles; the windows at the borders of a crop are the same."""
    guide, p = photo(290, 600), random(1, 290, 600)
    for radius in (1, 5):
        whole = MattingLaplacian(guide, radius=radius).matvec(p)
        crop = MattingLaplacian(guide[:, 200:280, 230:300], radius=radius)
        inside = slice(2 * radius, -2 * radius)
        torch.testing.assert_close(
            crop.matvec(p[:, 200:280, 230:300])[:, inside, inside],
            whole[:, 200:280, 230:300][:, inside, inside],
            rtol=1e-7,
            atol=1e-7,
        )


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("radius", [1, 2, 15])
@pytest.mark.parametrize("signal", ["random", "smooth"])
def test_float32_is_accurate(eps: float, radius: int, signal: str) -> None:
    guide = photo(240, 300).float()
    p = random(3, 240, 300).float() if signal == "random" else guide**1.5
    want = MattingLaplacian(guide.double(), eps, radius).matvec(p.double())
    assert distance(MattingLaplacian(guide, eps, radius).matvec(p), want) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_computes_in_float32(dtype: torch.dtype) -> None:
    guide, p = photo(20, 30).to(dtype), random(2, 20, 30).to(dtype)
    want = MattingLaplacian(guide.float()).matvec(p.float()).to(dtype)
    assert torch.equal(MattingLaplacian(guide).matvec(p), want)
    assert MattingLaplacian(guide).energy(p).dtype == torch.float32


def test_energy_is_the_quadratic_form() -> None:
    guide, p = photo(30, 41).expand(2, 3, 30, 41), random(2, 4, 30, 41)
    laplacian = MattingLaplacian(guide)
    energy = laplacian.energy(p)
    assert energy.shape == (2,)
    torch.testing.assert_close(energy, (p * laplacian.matvec(p)).sum((1, 2, 3)))
    torch.testing.assert_close(MattingLaplacian(guide[0]).energy(p[0]), energy[0])


def test_energy_and_gradient_cost_one_product() -> None:
    laplacian, p = MattingLaplacian(photo(20, 30)), random(3, 20, 30).requires_grad_()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        laplacian.energy(p).backward()
    products = [event for event in profile.events() if event.name == "pydpst::matting_matvec"]
    assert len(products) == 1
    torch.testing.assert_close(p.grad, 2 * laplacian.matvec(p.detach()))


def test_energy_of_an_affine_recolouring_vanishes() -> None:
    guide = photo(50, 50)
    p = torch.einsum("gh,hyx->gyx", random(3, 3), guide) + 0.3
    laplacian = MattingLaplacian(guide, eps=1e-7)
    assert laplacian.energy(p) < 1e-4 * laplacian.energy(random(3, 50, 50))


@pytest.mark.parametrize("radius", [1, 2])
def test_gradients(radius: int) -> None:
    laplacian = MattingLaplacian(random(2, 3, 5, 6), eps=1e-3, radius=radius)
    p = random(2, 2, 5, 6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(laplacian.matvec, p)
    assert torch.autograd.gradcheck(laplacian.energy, p)
    assert torch.autograd.gradgradcheck(laplacian.matvec, p)
    assert torch.autograd.gradgradcheck(laplacian.energy, p)


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("guide_channels", [1, 3])
def test_gradients_in_the_image(radius: int, guide_channels: int) -> None:
    guide = random(2, guide_channels, 5, 6).requires_grad_()
    p = random(2, 2, 5, 6, seed=1).requires_grad_()
    for product in (MattingLaplacian.matvec, MattingLaplacian.energy):
        assert torch.autograd.gradcheck(
            lambda image, p, product=product: product(MattingLaplacian(image, 1e-3, radius), p),
            (guide, p),
        )


@pytest.mark.parametrize("radius", RADII)
def test_image_gradient_equals_reference(radius: int) -> None:
    guide, p, q = photo(40, 50)[None], random(1, 3, 40, 50), random(1, 3, 40, 50, seed=1)
    have, want = guide.clone().requires_grad_(), guide.clone().requires_grad_()
    (MattingLaplacian(have, 1e-5, radius).matvec(p) * q).sum().backward()
    (reference.matting_matvec(want, p, 1e-5, radius) * q).sum().backward()
    assert have.grad is not None
    assert want.grad is not None
    assert distance(have.grad, want.grad) < 1e-7


def test_second_derivative_in_the_image_is_refused() -> None:
    guide, p = random(3, 8, 8).requires_grad_(), random(1, 8, 8)
    energy = MattingLaplacian(guide).energy(p)
    (grad,) = torch.autograd.grad(energy, guide, create_graph=True)
    with pytest.raises(NotImplementedError, match=r"pydpst\.ops\.reference"):
        grad.sum().backward()


sides = st.integers(3, 40)


@settings(max_examples=25, deadline=None)
@given(
    height=sides,
    width=sides,
    seed=st.integers(0, 1000),
    eps=st.sampled_from([*EPS, 1e-2]),
    radius=st.integers(1, 12),
)
def test_null_space_symmetry_and_sign(
    height: int, width: int, seed: int, eps: float, radius: int
) -> None:
    radius = min(radius, (min(height, width) - 1) // 2)
    laplacian = MattingLaplacian(random(3, height, width, seed=seed), eps, radius)
    p, q = random(2, 1, height, width, seed=seed + 1)
    product = laplacian.matvec(p)
    scale = float((p * product).sum())
    assert torch.all(laplacian.matvec(torch.ones_like(p)).abs() < 1e-9)
    torch.testing.assert_close((q * product).sum(), (p * laplacian.matvec(q)).sum())
    assert scale >= 0


@pytest.mark.parametrize("channels", range(1, 8))
def test_channels_are_independent(channels: int) -> None:
    laplacian = MattingLaplacian(photo(21, 37))
    p = random(channels, 21, 37)
    want = torch.cat([laplacian.matvec(one[None]) for one in p])
    torch.testing.assert_close(laplacian.matvec(p), want, rtol=1e-9, atol=1e-9)


def test_samples_of_a_batch_are_independent() -> None:
    guides = torch.stack([photo(21, 37), photo(21, 37, "lake")])
    p = random(2, 3, 21, 37)
    want = [MattingLaplacian(guide).matvec(one) for guide, one in zip(guides, p, strict=True)]
    assert torch.equal(MattingLaplacian(guides).matvec(p), torch.stack(want))


def test_one_guide_serves_a_batch() -> None:
    laplacian, p = MattingLaplacian(photo(21, 37)), random(4, 3, 21, 37)
    want = torch.stack([laplacian.matvec(one) for one in p])
    torch.testing.assert_close(laplacian.matvec(p), want, rtol=1e-9, atol=1e-9)
    want = torch.stack([laplacian.energy(one) for one in p])
    torch.testing.assert_close(laplacian.energy(p), want)


def test_empty_batch() -> None:
    laplacian = MattingLaplacian(torch.zeros(0, 3, 8, 9))
    assert laplacian.matvec(torch.zeros(0, 2, 8, 9)).shape == (0, 2, 8, 9)
    assert laplacian.energy(torch.zeros(0, 2, 8, 9)).shape == (0,)
    assert MattingLaplacian(torch.zeros(3, 8, 9)).energy(torch.zeros(0, 8, 9)) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_strides_do_not_matter(dtype: torch.dtype) -> None:
    guide, p = photo(24, 30).to(dtype)[None], random(1, 3, 24, 30).to(dtype)
    want = MattingLaplacian(guide).matvec(p)
    channels_last = guide.contiguous(memory_format=torch.channels_last)
    transposed = p.transpose(2, 3).contiguous().transpose(2, 3)
    spread = torch.zeros(1, 3, 48, 60, dtype=dtype)[:, :, ::2, ::2].copy_(p)
    assert torch.equal(MattingLaplacian(channels_last).matvec(transposed), want)
    assert torch.equal(MattingLaplacian(guide).matvec(spread), want)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [1, 4])
def test_thread_count_does_not_matter(dtype: torch.dtype, radius: int) -> None:
    guide, p = photo(290, 600).to(dtype), random(3, 290, 600).to(dtype)
    products = []
    for count in (1, 2, 5):
        with threads(count):
            products.append(MattingLaplacian(guide, radius=radius).matvec(p))
    assert torch.equal(products[0], products[1])
    assert torch.equal(products[0], products[2])


@pytest.mark.parametrize("size", [(3, 3), (3, 40), (40, 3), (4, 5), (33, 18), (34, 17)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("largest", [False, True])
def test_small_images(size: tuple[int, int], dtype: torch.dtype, largest: bool) -> None:
    radius = (min(size) - 1) // 2 if largest else 1
    guide, p = random(3, *size, seed=1), random(2, *size, seed=2)
    want = reference.matting_matvec(guide[None], p[None], 1e-5, radius)[0]
    have = MattingLaplacian(guide.to(dtype), 1e-5, radius).matvec(p.to(dtype))
    assert distance(have, want) < (1e-9 if dtype == torch.float64 else 1e-4)


def test_errors_name_the_value() -> None:
    guide = torch.rand(3, 8, 9)
    for wrong, match in [
        (guide[:2], r"\(2, 8, 9\)"),
        (guide.int(), "int32"),
        (guide[:, :2], "9×2"),
        (guide / 0, "NaN"),
    ]:
        with pytest.raises(ValueError, match=match):
            MattingLaplacian(wrong)
    with pytest.raises(ValueError, match="eps is 0"):
        MattingLaplacian(guide, eps=0)
    with pytest.raises(ValueError, match="radius is 0"):
        MattingLaplacian(guide, radius=0)
    with pytest.raises(ValueError, match=r"\(3, 8, 8\).*\(C, 8, 9\)"):
        MattingLaplacian(guide).matvec(torch.rand(3, 8, 8))
    with pytest.raises(ValueError, match="float64"):
        MattingLaplacian(guide).matvec(torch.rand(3, 8, 9, dtype=torch.float64))


@pytest.mark.parametrize("guide_channels", [1, 3])
@pytest.mark.parametrize("size", [(3, 3), (4, 40), (131, 1030), (129, 19)], ids=str)
def test_single_precision_over_the_borders_of_tiles(
    guide_channels: int, size: tuple[int, int]
) -> None:
    guide, p = random(guide_channels, *size, seed=1), random(4, *size, seed=2)
    want = MattingLaplacian(guide, 1e-5).matvec(p)
    have = MattingLaplacian(guide.float(), 1e-5).matvec(p.float())
    assert distance(have, want) < 1e-5
    worst = (have - want).abs().amax(0)
    assert worst.max() < 1e-3 * want.abs().max()  # nowhere is much worse than elsewhere
