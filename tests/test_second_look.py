"""The network looks at what it made, and both grades become one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import pydpst
from pydpst.feedforward.search_criterion import SearchCriterion
from pydpst.ops.reference import grade_apply
from pydpst.reading import reader
from pydpst.reading.second_look import composed
from pydpst.transfer.grade import KNOTS, identity_maps


def some_maps(seed: int, differ: float) -> torch.Tensor:
    """Maps (1, 8, 12) near the identity, float64; with differ they are others at each knot."""
    generator = torch.Generator().manual_seed(seed)
    changes = torch.randn(2, KNOTS, 12, generator=generator, dtype=torch.float64)
    changes[0] = changes[0, :1]
    smooth = changes[1].cumsum(0)
    return identity_maps(1)[0, :1].double() + 0.05 * changes[:1] + differ * smooth


def applied(maps: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    return grade_apply(maps[:, None], torch.ones_like(image[:, :1]), image)


def test_after_one_grade_the_same_map_everywhere_is_exact() -> None:
    image = torch.rand(1, 3, 9, 11, dtype=torch.float64)
    first, second = some_maps(0, 0.02), some_maps(1, 0.0)
    whole = composed(second, first, torch.rand(1, KNOTS, 3, dtype=torch.float64))
    torch.testing.assert_close(applied(whole, image), applied(second, applied(first, image)))


def test_at_knots_two_grades_are_exact() -> None:
    """Where all colours lie on knots, and are their means, nothing is between."""
    generator = torch.Generator().manual_seed(2)
    grey = torch.linspace(0, 1, KNOTS, dtype=torch.float64)
    chroma = 0.1 * torch.randn(3, KNOTS, generator=generator, dtype=torch.float64)
    colors = grey + chroma - chroma.mean(0)
    image = colors[None, :, None]
    first, second = some_maps(3, 0.01), some_maps(4, 0.02)
    whole = composed(second, first, colors.T[None])
    torch.testing.assert_close(applied(whole, image), applied(second, applied(first, image)))


def test_the_second_look_is_nearer_to_the_style(
    city_day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the style loss of `stylize`, over all pairs of three photos."""
    names = ("city_day", "city_night", "autumn_meadow")
    photos = [pydpst.load_image(city_day.with_name(f"{name}.jpg")) for name in names]
    small = [F.interpolate(photo[None], (80, 112), mode="area")[0] for photo in photos]
    criterion = SearchCriterion(torch.device("cpu"))

    def style_loss() -> float:
        losses = 0.0
        for content in small:
            for style in small:
                maps = reader.read_looks(content, style)
                losses += float(criterion(maps, content[None], style[None])["style"])
        return losses

    twice = style_loss()
    monkeypatch.setattr(reader, "look_twice", lambda network, photos, *both: network.compare(*both))
    assert twice < 0.98 * style_loss()
