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


def test_goes_on_in_another_loss_with_what_it_knows() -> None:
    scales = torch.logspace(0, 2, 12, dtype=torch.float64)

    def steps_until(descent: Descent, bottom: float, limit: int) -> int:
        for step in range(limit):
            away = descent.point - bottom
            descent.tell(float((scales * away.square()).sum()), 2 * scales * away)
            if descent.value < 1e-6:
                return step
        return limit

    descent = Descent(torch.ones(12, dtype=torch.float64))
    steps_until(descent, 0.0, 200)
    cold = steps_until(Descent(descent.best), 0.1, 200)
    descent.start_over()
    assert descent.value == math.inf
    assert torch.equal(descent.point, descent.best)
    assert steps_until(descent, 0.1, 200) < 0.75 * cold


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_comes_back_from_where_there_is_no_value(broken: float) -> None:
    descent = Descent(torch.tensor([4.0]))
    for _ in range(60):
        x = descent.point
        # A square that has no value below 0.
        outside = bool(x < 0.0)
        descent.tell(broken if outside else float((x - 0.1).square()), 2 * (x - 0.1) * 10)
    assert descent.best.item() == pytest.approx(0.1, abs=1e-3)
