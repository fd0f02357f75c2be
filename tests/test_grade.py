"""A grade is what its formula says, never NaN, never upside down, and nothing for one photo."""

import pytest
import torch

from pydpst.losses.content import CONTENT_LAYERS
from pydpst.losses.style import STYLE_LAYERS
from pydpst.losses.vgg import VGGFeatures
from pydpst.ops import knot_weights
from pydpst.photos.image import load_image
from pydpst.photos.resizing import resize
from pydpst.transfer.grade import KNOTS, Grade
from pydpst.transfer.grade_costs import BlackPoint, GradeCosts, flat_noise, held_back
from pydpst.transfer.grade_maps import RegionMaps, knot_colors
from pydpst.transfer.grade_search import find_grade
from pydpst.transfer.look import Look
from pydpst.transfer.near_reading import NearReading


@pytest.fixture(scope="module")
def vgg():
    return VGGFeatures(CONTENT_LAYERS + STYLE_LAYERS)


def photo(seed, height=48, width=64):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0]
    return (smooth + 0.02 * torch.randn(3, height, width, generator=generator)).clamp(0, 1)


def halves(image):
    left = torch.zeros_like(image[0])
    left[:, : image.shape[2] // 2] = 1
    return torch.stack([left, 1 - left])


def found(vgg, content, style, masks, style_masks, **options):
    *_, (grade, losses) = find_grade(
        content, style, masks, style_masks, vgg, weights=Look().weights(), **options
    )
    assert all(torch.isfinite(torch.tensor(list(losses.values()))))
    return grade.apply(content, masks)


def test_knot_weights_interpolate():
    luminance = torch.tensor([-0.5, 0.0, 0.3, 1.0, 1.5])
    weights = knot_weights(luminance, KNOTS)
    torch.testing.assert_close(weights.sum(0), torch.ones(5))
    torch.testing.assert_close(torch.linspace(0, 1, KNOTS) @ weights, luminance.clamp(0, 1))


def test_what_no_region_has_keeps_its_colours():
    image = photo(0)
    grade = Grade(torch.randn(1, KNOTS, 12))
    assert torch.equal(grade.apply(image, torch.zeros_like(image[:1])), image)


def test_the_same_photo_comes_back(vgg):
    image = photo(1, 96, 160)
    result = found(vgg, image, image, halves(image), halves(image), whole_share=0.4)
    assert (result - image).abs().max() <= 1 / 255


def test_the_loss_falls(vgg):
    content, style = photo(1, 96, 160), photo(2, 96, 128)
    steps = list(
        find_grade(content, style, halves(content), halves(style), vgg, weights=Look().weights())
    )
    totals = [losses["total"] for _, losses in steps]
    assert min(totals) < 0.9 * totals[0]
    result = steps[-1][0].apply(content, halves(content))
    assert (result.mean((1, 2)) - style.mean((1, 2))).abs().max() < 0.1


def three_pixels(image):
    masks = torch.stack([torch.ones_like(image[0]), torch.zeros_like(image[0])])
    masks[:, 10, 10:13] = torch.tensor([[0.0], [1.0]])
    return masks


@pytest.mark.parametrize(
    ("content", "style", "masks"),
    [
        (photo(1), photo(2), three_pixels),
        (photo(1), torch.full((3, 48, 64), 0.6), halves),
        (torch.zeros(3, 48, 64), photo(2), halves),
        (torch.ones(3, 48, 64), photo(2), halves),
        (photo(1), torch.zeros(3, 48, 64), halves),
        (photo(1), photo(2), lambda image: torch.full((2, *image.shape[1:]), 0.4)),
        (photo(1, 16, 400), photo(2), halves),
    ],
    ids=["three pixels", "one colour", "black", "white", "black style", "soft", "panorama"],
)
def test_hostile_photos_give_no_nan(vgg, content, style, masks):
    result = found(vgg, content, style, masks(content), masks(style))
    assert torch.isfinite(result).all()


def test_luminance_does_not_fall(vgg):
    """A style whose dark is light and whose light is dark would like it to."""
    ramp = torch.linspace(0.05, 0.95, 96).expand(3, 64, 96)
    masks = torch.ones(1, 64, 96)
    *_, (grade, _) = find_grade(ramp, photo(3, 64, 96), masks, masks, vgg, weights=Look().weights())
    grey = torch.linspace(0.05, 0.95, 200).expand(3, 1, 200)
    luminance = grade.apply(grey, torch.ones(1, 1, 200)).mean((0, 1))
    assert luminance.diff().min() > -2e-3


def test_costs_of_the_identity_are_nothing():
    image = photo(1)
    maps = RegionMaps(image, image, halves(image), halves(image))
    theta = maps.zeros()
    costs = GradeCosts(maps.shares, image, halves(image))(theta, maps(theta))
    assert all(cost < 1e-6 for cost in costs.values())


def test_noise_of_flat_areas_is_seen():
    flat = 0.5 + 0.01 * torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    covariances, shares = flat_noise(flat, torch.ones(1, 64, 64))
    near = int(shares[0, -1].argmax())
    torch.testing.assert_close(
        covariances[0, -1, near].diagonal().sqrt(), torch.full((3,), 0.01), rtol=0.2, atol=0
    )


def test_knots_have_the_colours_of_their_hue_and_luminance():
    red, grey, dark = torch.tensor([[0.9, 0.3, 0.3], [0.5, 0.5, 0.5], [0.1, 0.1, 0.1]])
    image = torch.stack([red, red, grey, dark]).T[:, :, None].expand(3, 4, 8).contiguous()
    colors, amounts = knot_colors(image, torch.ones(1, 4, 8))
    assert colors.shape == (1, 7, 8, 3)
    assert amounts.sum().item() == pytest.approx(1, abs=1e-5)
    # The red pixels have 0.6 of red over 0.6, and nothing of another hue.
    assert amounts[0, 0].sum().item() == pytest.approx(0.5, abs=1e-5)
    assert amounts[0, 6].sum().item() == pytest.approx(0.5, abs=1e-5)
    near = int(amounts[0, 0].argmax())
    torch.testing.assert_close(colors[0, 0, near], red, atol=5e-3, rtol=0)
    near = int(amounts[0, 6, :3].argmax())
    torch.testing.assert_close(colors[0, 6, near], dark, atol=5e-3, rtol=0)


@pytest.mark.parametrize(("guessed", "most"), [(False, 0.05), (True, 0.06)])
def test_a_hue_is_graded_apart(vgg, guessed, most):
    """Leaves turn, and the equally bright stones beside them do not: no map of all hues can.

    Nor can the network's reading, and so a search that keeps near it turns them a little less.
    """
    generator = torch.Generator().manual_seed(4)
    colors = torch.tensor([[0.2, 0.55, 0.15], [0.3, 0.3, 0.3], [0.5, 0.2, 0.2], [0.2, 0.3, 0.4]])
    kinds = torch.randint(0, 4, (12, 18), generator=generator).repeat_interleave(8, 0)
    content = colors[kinds.repeat_interleave(8, 1)].permute(2, 0, 1)
    content = content + 0.02 * torch.randn(content.shape, generator=generator)
    colors[0] = torch.tensor([0.55, 0.3, 0.05])
    style = colors[kinds.flip(1).repeat_interleave(8, 1)].permute(2, 0, 1)
    everywhere = torch.ones_like(content[:1])
    photos = content.clamp(0, 1).contiguous(), style.contiguous(), everywhere, everywhere
    *_, (grade, _) = find_grade(*photos, vgg, weights=Look().weights(), guessed=guessed)
    wanted, colors[0] = colors.clone(), torch.tensor([0.2, 0.55, 0.15])
    graded = grade.apply(colors.T[:, None].contiguous(), torch.ones(1, 1, 4))[:, 0].T
    assert (graded - wanted).abs().mean() < most


def test_a_grade_is_held_back_where_it_turns_light_to_dark_or_lifts_noise() -> None:
    ramp = torch.linspace(0, 1, 96).expand(3, 64, 96).contiguous()
    grain = 0.01 * torch.randn(3, 64, 96, generator=torch.Generator().manual_seed(0))
    identity = torch.eye(3, 4).repeat(8, 1, 1)
    mild = identity.clone()
    mild[..., :3] *= 0.8
    # Greys above the middle fall, from 0.57 to 0.
    falling = identity.clone()
    falling[4:, :, 3] = -torch.linspace(0.0, 1.0, 4)[:, None]
    steep = identity.clone()
    steep[..., :3] *= 3
    content = (ramp + grain).clamp(0, 1)
    assert torch.equal(held_back(mild.flatten(1), content), mild.flatten(1))
    for maps in (falling, steep):
        held = held_back(maps.flatten(1), content)
        share = (held - identity.flatten(1)).norm() / (maps - identity).norm()
        assert 0.1 < share < 0.9
    greys = torch.linspace(0, 1, 8).expand(3, 1, 8).contiguous()
    rendered = Grade(held_back(falling.flatten(1), content)[None, None]).apply(
        greys, torch.ones(1, 1, 8)
    )
    assert (rendered.mean((0, 1)).diff() > 0).all()


def test_blacks_may_be_as_light_as_those_of_the_style_and_no_lighter() -> None:
    content = torch.linspace(0, 1, 40).expand(3, 20, 40)
    black, hazy = content, 0.3 + 0.7 * content
    veiled = 0.2 + 0.8 * content
    costs = BlackPoint(content, black, 0.0), BlackPoint(content, hazy, 0.0)
    assert costs[0](content) == 0
    assert costs[0](veiled) > 0.02
    assert costs[1](veiled) == 0
    # What was light may become lighter.
    assert costs[0](content.sqrt().where(content > 0.2, content)) == 0


def test_blacks_follow_deeper_ones_of_the_style_as_far_as_is_said() -> None:
    black = torch.linspace(0, 1, 40).expand(3, 20, 40)
    hazy = 0.3 + 0.7 * black
    for deepened in (0.0, 0.5, 1.0):
        cost = BlackPoint(hazy, black, deepened)
        assert cost(hazy - 0.3 * deepened) == 0
        assert (cost(hazy) > 0.01) == (deepened > 0)


def test_a_style_region_without_black_lays_no_veil(vgg, city_day, city_night) -> None:
    """A city by night is to look like the sky by day; 0.73 without the cost of blacks."""
    content, style = (resize(load_image(path), 96) for path in (city_night, city_day))
    everywhere, sky = torch.ones_like(content[:1]), torch.zeros_like(style[:1])
    sky[:, : style.shape[1] // 4] = 1
    weights = Look().weights()
    for grade, _ in find_grade(content, style, everywhere, sky, vgg, weights=weights):
        result = grade.apply(content, everywhere)
    dark = content.mean(0) < content.mean(0).quantile(0.1)
    assert result[:, dark].mean() < 0.27
    assert result[:, ~dark].mean() > 0.6


def test_hues_are_kept_near_the_reading_where_the_photo_has_colours() -> None:
    content = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(5))
    everywhere = torch.ones_like(content[:1])
    identity = torch.eye(3, 4).repeat(1, KNOTS, 1, 1).flatten(2)
    near = NearReading(identity, content, everywhere)
    assert near(content) < 1e-8
    luminance = content.mean(0, keepdim=True)
    duller, darker = content.lerp(luminance, 0.3), 0.9 * content
    assert near(duller) > 3e-4
    assert near(darker) < 0.3 * near(duller)
    # What is far away is meant: squares alone would come to eleven times as much.
    assert near(luminance.expand_as(content)) < 8 * near(duller)
    grey = luminance.expand_as(content).contiguous()
    assert NearReading(identity, grey, everywhere)(content) == 0
    black = torch.zeros_like(content).requires_grad_()
    near(black).backward()
    assert torch.isfinite(black.grad).all()
