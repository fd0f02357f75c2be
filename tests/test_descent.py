"""The optimiser of a grade, and the scales it works in."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pydpst.transfer.descent import Descent


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1].square()).square() + (1 - x[:-1]).square()).sum()


def descended(start: Tensor, evaluations: int) -> Descent:
    descent = Descent(start)
    for _ in range(evaluations):
        point = descent.point.clone().requires_grad_()
        value = rosenbrock(point)
        (gradient,) = torch.autograd.grad(value, point)
        descent.tell(value.item(), gradient)
    return descent


def test_finds_the_bottom_of_a_curved_valley() -> None:
    found = descended(torch.tensor([-1.2, 1.0, -0.5, 0.8], dtype=torch.float64), 120)
    assert torch.allclose(found.best, torch.ones(4, dtype=torch.float64), atol=1e-4)


def test_the_value_never_rises() -> None:
    values = [descended(torch.tensor([-1.2, 1.0]), n).value for n in range(1, 40)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_comes_back_from_where_there_is_no_value(broken: float) -> None:
    descent = Descent(torch.tensor([4.0]))
    for _ in range(60):
        x = descent.point
        # A square that has no value below 0.
        outside = bool(x < 0.0)
        descent.tell(broken if outside else float((x - 0.1).square()), 2 * (x - 0.1) * 10)
    assert descent.best.item() == pytest.approx(0.1, abs=1e-3)
