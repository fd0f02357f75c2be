"""The metrics at their fixed points, and on what they must tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import pydpst
from pydpst.metrics import (
    Comparison,
    color_distances,
    edge_ssim,
    photorealism_residual,
    residual_map,
    style_distances,
)
from pydpst.metrics.style import STYLE_LAYERS
from pydpst.metrics.wasserstein import sliced_quantiles
from pydpst.photos.color_spaces import lab
from pydpst.photos.resizing import resize


@pytest.fixture(scope="module")
def photos(city_day: Path, city_night: Path) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(resize(pydpst.load_image(path), 160) for path in (city_day, city_night))


def test_style_distance_is_one_for_the_content_and_zero_for_the_style(
    photos: tuple[torch.Tensor, torch.Tensor],
) -> None:
    content, style = photos
    assert style_distances(Comparison(content, content, style)).total == pytest.approx(1)
    assert style_distances(Comparison(style, content, style)).total == pytest.approx(0, abs=1e-5)
    assert 0.1 < style_distances(Comparison((content + style) / 2, content, style)).total < 1


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


def test_the_residual_map_is_the_residual_in_places(
    photos: tuple[torch.Tensor, torch.Tensor],
) -> None:
    content, style = photos
    heat = residual_map(style, content)
    assert heat.shape == content.shape[1:]
    assert heat.min() >= 0
    assert heat.mean().item() == pytest.approx(photorealism_residual(style, content), rel=1e-8)
    spotted = 0.5 * content + 0.2
    spotted[:, 40, 60] += 0.2
    heat = residual_map(spotted, content)
    near = torch.zeros_like(heat, dtype=torch.bool)
    near[38:43, 58:63] = True  # the windows that hold the spot
    assert heat[near].min() > 1e-6
    assert heat[~near].max() < 1e-6


def halves(photo: torch.Tensor) -> torch.Tensor:
    masks = torch.zeros(2, *photo.shape[1:])
    masks[0, :, : photo.shape[2] // 2], masks[1, :, photo.shape[2] // 2 :] = 1, 1
    return masks


def test_style_distances_add_up_and_tell_regions_apart(
    photos: tuple[torch.Tensor, torch.Tensor],
) -> None:
    content, style = photos
    masks, style_masks = halves(content), halves(style)
    whole = style_distances(Comparison((content + style) / 2, content, style))
    assert list(whole.layers) == list(STYLE_LAYERS)
    assert whole.total == pytest.approx(sum(whole.layers.values()) / 5)
    assert whole.regions == [pytest.approx(whole.layers)]
    result = content * masks[0] + style * masks[1]
    left, right = style_distances(Comparison(result, content, style, masks, style_masks)).regions
    assert left["conv1_1"] == pytest.approx(1, abs=0.05)
    assert right["conv1_1"] == pytest.approx(0, abs=0.05)


def test_color_distance_is_one_for_the_content_and_zero_for_the_style(
    photos: tuple[torch.Tensor, torch.Tensor],
) -> None:
    content, style = photos
    assert color_distances(Comparison(content, content, style)).total == pytest.approx(1)
    assert color_distances(Comparison(style, content, style)).total == 0
    assert 0.1 < color_distances(Comparison((content + style) / 2, content, style)).total < 0.9
    shuffled = style.flip(2).transpose(1, 2).reshape(style.shape)  # only the colours count
    assert color_distances(Comparison(shuffled, content, style)).total == pytest.approx(0, abs=1e-6)
    masks, style_masks = halves(content), halves(style)
    result = content * masks[0] + style * masks[1]
    distances = color_distances(Comparison(result, content, style, masks, style_masks))
    assert distances.regions == [pytest.approx(1), 0]
    assert 0 < distances.total < 1


def test_lab_of_known_colours() -> None:
    rgb = torch.tensor([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1], [0.02, 0.02, 0.02]]).T
    want = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]]
    got = lab(rgb.double()).T
    torch.testing.assert_close(got[:4], torch.tensor(want).double(), atol=0.02, rtol=0)
    assert got[4, 0] == pytest.approx(0.02 / 12.92 * 903.3, rel=1e-3)


def test_sliced_quantiles_give_the_wasserstein_distance() -> None:
    """Of a shift by v the distance is |v·direction|; of shuffled points, none; weights repeat."""
    points = torch.randn(3, 1024, generator=torch.Generator().manual_seed(0)).double()
    weight = torch.ones(1024)
    quantiles = sliced_quantiles(points, weight)
    shift = torch.tensor([3.0, -2.0, 1.0]).double()
    moved = (sliced_quantiles(points + shift[:, None], weight) - quantiles).square().mean()
    # Over the sphere the mean of (v·direction)² is |v|² / 3.
    assert moved.item() == pytest.approx(shift.square().sum().item() / 3, rel=0.02)
    assert torch.equal(sliced_quantiles(points.flip(1), weight), quantiles)
    doubled = torch.cat([points, points[:, :512]], 1)
    torch.testing.assert_close(
        sliced_quantiles(doubled, torch.ones(1536)),
        sliced_quantiles(points, torch.cat([torch.full((512,), 2.0), torch.ones(512)])),
    )


def test_shapes_that_do_not_agree_are_named(photos: tuple[torch.Tensor, torch.Tensor]) -> None:
    content, style = photos
    with pytest.raises(ValueError, match="the same \\(3, H, W\\)"):
        style_distances(Comparison(content[:, 1:], content, style))
    with pytest.raises(ValueError, match="one photo only"):
        color_distances(Comparison(content, content, style, halves(content)))
    with pytest.raises(ValueError, match="style masks have the shape"):
        Comparison(content, content, style, halves(content), halves(style)[:1])
    empty = torch.stack([torch.ones_like(style[0]), torch.zeros_like(style[0])])
    with pytest.raises(ValueError, match="region 1 of the style masks is empty"):
        style_distances(Comparison(content, content, style, halves(content), empty))
