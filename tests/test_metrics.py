"""The metrics at their fixed points, and on what they must tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import pydpst
from pydpst.image import resize
from pydpst.metrics import edge_ssim, photorealism_residual, style_distance


@pytest.fixture(scope="module")
def photos(city_day: Path, city_night: Path) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(resize(pydpst.load_image(path), 160) for path in (city_day, city_night))


def test_style_distance_is_one_for_the_content_and_zero_for_the_style(
    photos: tuple[torch.Tensor, torch.Tensor],
) -> None:
    content, style = photos
    assert style_distance(content, content, style) == pytest.approx(1)
    assert style_distance(style, content, style) == pytest.approx(0, abs=1e-5)
    assert 0.1 < style_distance((content + style) / 2, content, style) < 1


def test_edge_ssim_ignores_a_brightness_shift_and_sees_a_blur(
    photos: tuple[torch.Tensor, torch.Tensor],
) -> None:
    content, _ = photos
    assert edge_ssim(content, content) == pytest.approx(1)
    assert edge_ssim(content + 0.1, content) == pytest.approx(1, abs=1e-4)
    blurred = torch.nn.functional.avg_pool2d(content[None], 3, 1, 1)[0]
    assert edge_ssim(blurred, content) < 0.9
    assert edge_ssim(content.flip(2), content) < 0.5


def test_edge_ssim_equals_scipys_gaussian() -> None:
    """The whole measure again, from scipy's filters."""
    from scipy import ndimage

    generator = np.random.default_rng(0)
    x, y = generator.random((2, 3, 40, 50))

    def edges(image: np.ndarray) -> np.ndarray:
        luminance = np.tensordot([0.299, 0.587, 0.114], image, 1)
        return (
            np.hypot(
                ndimage.sobel(luminance, 0, mode="nearest"),
                ndimage.sobel(luminance, 1, mode="nearest"),
            )
            / 4
        )

    def blur(image: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(image, 1.5, radius=5)[5:-5, 5:-5]

    a, b = edges(x), edges(y)
    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    ssim = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
    ssim /= (mean_a**2 + mean_b**2 + 1e-4) * (variance_a + variance_b + 9e-4)
    result = edge_ssim(torch.from_numpy(x), torch.from_numpy(y))
    assert result == pytest.approx(ssim.mean(), rel=1e-6)


def test_residual_is_zero_for_a_recolouring_only(
    photos: tuple[torch.Tensor, torch.Tensor],
) -> None:
    content, style = photos
    assert photorealism_residual(0.5 * content + 0.2, content) < 1e-6
    assert photorealism_residual(style, content) > 1e-3
