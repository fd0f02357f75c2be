"""Regions whose looks do not go together become one."""

from __future__ import annotations

import pytest
import torch

from pydpst.regions.border_order import swaps_brightness

SIDE = 64


def halves(above: float, below: float) -> torch.Tensor:
    image = torch.full((3, SIDE, SIDE), above)
    image[:, SIDE // 2 :] = below
    return image


def masks() -> torch.Tensor:
    upper = torch.zeros(SIDE, SIDE)
    upper[: SIDE // 2] = 1
    return torch.stack([upper, 1 - upper])


@pytest.mark.parametrize(
    ("result", "style", "swaps"),
    [
        (halves(0.6, 0.2), halves(0.6, 0.2), False),  # as it was
        (halves(0.2, 0.6), halves(0.6, 0.2), True),  # a hill brighter than the sky
        (halves(0.2, 0.6), halves(0.1, 0.7), False),  # façades before the sky of a night
        (halves(0.2, 0.6), halves(0.30, 0.32), True),  # the style hardly has that order
        (halves(0.40, 0.41), halves(0.6, 0.2), False),  # alike, and not swapped
    ],
)
def test_brightness_that_swaps_at_a_border(
    result: torch.Tensor, style: torch.Tensor, swaps: bool
) -> None:
    assert swaps_brightness(halves(0.8, 0.3), result, masks(), (style, masks())) is swaps


def test_without_a_style_every_swap_counts() -> None:
    assert swaps_brightness(halves(0.8, 0.3), halves(0.2, 0.6), masks())
    assert not swaps_brightness(halves(0.8, 0.3), halves(0.6, 0.2), masks())


def test_regions_that_do_not_meet_swap_nothing() -> None:
    apart = masks()
    apart[:, SIDE // 2 - 8 : SIDE // 2 + 8] = 0
    style = halves(0.6, 0.2), masks()
    assert not swaps_brightness(halves(0.8, 0.3), halves(0.2, 0.6), apart, style)
