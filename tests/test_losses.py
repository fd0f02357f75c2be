"""The losses against their definitions, and what they are on the untouched content."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.losses.content import ContentLoss
from pydpst.losses.gram import RegionPixels, gram_matrix, pixel_features
from pydpst.losses.photorealism import PhotorealismLoss
from pydpst.losses.remembered import Remembered
from pydpst.losses.style import STYLE_LAYERS, StyleLoss
from pydpst.losses.total_variation import tv_loss


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def features(seed: int) -> dict[str, Tensor]:
    """Features of five layers whose sizes halve, as VGG's do."""
    return {
        layer: random(1, 4, 32 >> level, 48 >> level, seed=seed + level)
        for level, layer in enumerate(STYLE_LAYERS)
    }


def halves(height: int = 32, width: int = 48) -> Tensor:
    left = torch.zeros(1, height, width)
    left[..., : width // 2] = 1
    return torch.cat([left, 1 - left])


def test_gram_matrix_is_the_weighted_mean_of_products() -> None:
    rows, weight = random(20, 3), random(20, 1, seed=1)
    want = sum(w**2 * torch.outer(f, f) for f, w in zip(rows, weight[:, 0], strict=True))
    torch.testing.assert_close(gram_matrix(rows, weight), want / weight.square().sum())


def test_regions_see_only_their_pixels() -> None:
    layer = random(1, 4, 32, 48)
    grams = RegionPixels(halves(), layer).gram_matrices(layer)
    changed = layer.clone()
    changed[..., 24:] = 0
    left, right = RegionPixels(halves(), changed).gram_matrices(changed)
    torch.testing.assert_close(left, grams[0])
    assert right.norm() == 0
    rows = layer[0, :, :, :24].flatten(1)
    torch.testing.assert_close(grams[0], rows @ rows.T / rows.shape[1])


def test_the_gradient_of_the_gram_matrices_is_that_of_their_definition() -> None:
    """Three soft regions, one of them tiny, and pixels of none."""
    masks = random(3, 32, 48) * torch.tensor([1.0, 0.6, 0.0])[:, None, None]
    masks[:, 2:4, 2:4] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    masks[..., 40:] = 0.01
    layer = random(1, 4, 16, 24, seed=1).requires_grad_()
    pixels = RegionPixels(masks, layer)
    weights = F.avg_pool2d(masks, 2)
    strongest, region = weights.max(0)
    region[strongest < 0.05] = 3
    wanted = [
        gram_matrix(layer[0, :, region == r].T, weights[r, region == r, None]) for r in (0, 1, 2)
    ]
    grams = pixels.gram_matrices(layer)
    torch.testing.assert_close(list(grams), wanted)
    factors = [random(4, 4, seed=r) for r in (2, 3, 4)]
    losses = [
        sum((gram * factor).sum() for gram, factor in zip(found, factors, strict=True))
        for found in (grams, wanted)
    ]
    gradients = [torch.autograd.grad(loss, layer, retain_graph=True)[0] for loss in losses]
    torch.testing.assert_close(*gradients)
    assert (gradients[0][..., 20:] == 0).all()


def test_a_region_of_one_pixel_survives_every_layer() -> None:
    masks = torch.zeros(2, 32, 48)
    masks[1] = 1
    masks[:, 5, 7] = torch.tensor([1.0, 0.0])
    for layer in features(0).values():
        for gram in RegionPixels(masks, layer).gram_matrices(layer):
            assert torch.isfinite(gram).all()
            assert gram.norm() > 0


def test_style_loss_is_one_on_the_content_and_zero_on_the_style() -> None:
    content, style = features(0), {k: 3 * v for k, v in features(9).items()}
    loss = StyleLoss(content, style, halves(), halves())
    assert 0.9 < loss(content).item() <= 1
    assert loss(style).item() == pytest.approx(0, abs=1e-9)


def test_regions_may_take_the_style_of_one_place() -> None:
    style, left, all_of_it = features(20), halves()[:1], torch.ones(1, 32, 48)
    thirds = torch.zeros(3, 32, 48)
    for third in range(3):
        thirds[third, :, 16 * third : 16 * (third + 1)] = 1
    loss = StyleLoss(features(0), style, thirds, torch.cat([left, left, all_of_it]))
    for layer, targets in loss.targets.items():
        want, _ = RegionPixels(halves(), style[layer]).gram_matrices(style[layer])
        torch.testing.assert_close(targets[0], want)
        torch.testing.assert_close(targets[1], want)
        (want,) = RegionPixels(all_of_it, style[layer]).gram_matrices(style[layer])
        torch.testing.assert_close(targets[2], want)


def test_style_loss_for_another_content_is_that_of_its_own() -> None:
    content, other, style, result = (features(seed) for seed in (0, 40, 9, 20))
    loss = StyleLoss(content, style, halves(), halves())
    have = loss.for_content(other)(result)
    torch.testing.assert_close(have, StyleLoss(other, style, halves(), halves())(result))
    assert have.item() != pytest.approx(loss(result).item())


def test_style_loss_does_not_depend_on_resolution_or_contrast() -> None:
    content, style, result = features(0), features(9), features(20)
    want = StyleLoss(content, style, halves(), halves())(result)

    def doubled(layers: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: 5 * v.repeat(1, 1, 1, 2) for k, v in layers.items()}

    masks = halves().repeat(1, 1, 2)
    loss = StyleLoss(doubled(content), doubled(style), masks, masks)(doubled(result))
    torch.testing.assert_close(loss, want)


def test_content_loss_is_relative() -> None:
    content = {"conv4_2": random(1, 4, 8, 8)}
    loss = ContentLoss(content)
    assert loss(content) == 0
    assert loss({"conv4_2": 2 * content["conv4_2"]}).item() == pytest.approx(1)


def test_photorealism_loss_accepts_a_recolouring_and_nothing_else() -> None:
    image = random(3, 24, 32)
    loss = PhotorealismLoss(image)
    recoloured = torch.einsum("dc,chw->dhw", random(3, 3, seed=2), image) + 0.1
    noise = recoloured + 0.1 * random(3, 24, 32, seed=3)
    assert loss(recoloured) < 0.05 * loss(noise)


def test_tv_loss_is_the_mean_squared_difference() -> None:
    image = torch.zeros(3, 4, 5)
    image[..., 2:] = 0.5
    assert tv_loss(torch.ones(3, 4, 5)) == 0
    assert tv_loss(image).item() == pytest.approx(0.25 / 4)


@pytest.mark.parametrize("name", ["style", "content", "photorealism", "tv"])
def test_gradients_are_those_of_the_loss(name: str) -> None:
    """Along one direction, against a difference quotient."""
    content = {**features(0), "conv4_2": random(1, 4, 8, 8)}
    losses = {
        "style": (StyleLoss(content, features(9), halves(), halves()), STYLE_LAYERS),
        "content": (ContentLoss(content), ("conv4_2",)),
    }
    if name in losses:
        loss, layers = losses[name]
        point = {layer: content[layer].double() + 0.3 for layer in layers}
        call = loss
    else:
        point = {"image": random(3, 16, 16, seed=4)}
        photorealism = PhotorealismLoss(random(3, 16, 16))
        call = (
            (lambda at: photorealism(at["image"]))
            if name == "photorealism"
            else (lambda at: tv_loss(at["image"]))
        )
    for value in point.values():
        value.requires_grad_()
    call(point).backward()
    direction = {k: torch.randn_like(v) for k, v in point.items()}
    step = 1e-2
    there = call({k: (v + step * direction[k]).detach() for k, v in point.items()})
    back = call({k: (v - step * direction[k]).detach() for k, v in point.items()})
    slope = sum((v.grad * direction[k]).sum() for k, v in point.items())
    torch.testing.assert_close(
        slope.float(), ((there - back) / (2 * step)).float(), rtol=2e-2, atol=1e-4
    )


def test_colours_are_a_layer_of_the_style_if_they_are_given() -> None:
    """Right features with wrong colours are a style that is not there yet."""
    day, night = random(3, 32, 48), 0.2 * random(3, 32, 48, seed=1)
    content, style = features(0), {k: 3 * v for k, v in features(9).items()}
    loss = StyleLoss(
        content | pixel_features(day), style | pixel_features(night), halves(), halves()
    )
    assert loss(style | pixel_features(night)).item() == pytest.approx(0, abs=1e-9)
    assert loss(style | pixel_features(day)).item() == pytest.approx(1, rel=0.1)


def test_a_share_of_the_loss_takes_all_regions_as_one() -> None:
    """Halves with each other's style are wrong by region and right as a whole."""
    style = {k: 3 * v for k, v in features(9).items()}
    swapped = {k: v.flip(3) for k, v in style.items()}
    by_region, mixed, whole = (
        StyleLoss(features(0), style, halves(), halves(), share)(swapped).item()
        for share in (0.0, 0.4, 1.0)
    )
    assert mixed == pytest.approx(0.6 * by_region + 0.4 * whole)
    assert whole < 0.2 * by_region  # at the last layer, three pixels wide, the halves differ


def test_what_was_computed_for_a_photo_is_kept_and_not_for_another() -> None:
    asked = []

    def mean(photo: Tensor) -> float:
        asked.append(photo)
        return float(photo.mean())

    remembered = Remembered[float](2)
    photos = [torch.full((3, 4, 5), value) for value in (0.1, 0.2, 0.3)]
    found = [
        remembered(mean, photo.clone(), "a") for photo in [*photos[:2], *photos[:2], photos[2]]
    ]
    assert found == pytest.approx([0.1, 0.2, 0.1, 0.2, 0.3])
    assert len(asked) == 3
    # Other pixels, another shape and another way are other photos; the oldest is forgotten.
    remembered(mean, photos[2].view(3, 5, 4), "a")
    remembered(mean, photos[2], "b")
    remembered(mean, photos[0], "a")
    assert len(asked) == 6
