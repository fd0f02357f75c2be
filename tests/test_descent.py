"""The optimiser of a grade, and the scales it works in."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pydpst.matting.laplacian import MattingLaplacian
from pydpst.transfer import curvature
from pydpst.transfer.curvature import scales
from pydpst.transfer.descent import Descent
from pydpst.transfer.grade_costs import GradeCosts
from pydpst.transfer.grade_maps import RegionMaps


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


def test_scales_whiten_the_quadratic_losses() -> None:
    generator = torch.Generator().manual_seed(0)
    content, style = torch.rand(2, 3, 12, 14, generator=generator).double()
    mask = torch.rand(1, 12, 14, generator=generator).double()
    masks = torch.cat([mask, 1 - mask])
    maps = RegionMaps(content, style, masks, masks)
    costs, laplacian = GradeCosts(maps, content, masks), MattingLaplacian(content, eps=1e-4)
    weights = {"photorealism": 20.0, "roughness": 1.0, "distance": 0.02}
    images = maps.images(content, masks).flatten(1)
    found = scales(maps, content, masks, laplacian, weights)

    def loss(row: Tensor) -> Tensor:
        """Of a change of θ in the row of the first channel."""
        theta = torch.zeros(2, 8, 3, 4, dtype=row.dtype)
        theta[:, :, 0] = row.view(2, 8, 4)
        change = torch.zeros_like(content)
        change[0] = (row @ images).view(12, 14)
        cost = costs(theta, maps(theta))
        return (
            weights["photorealism"] * laplacian.energy(change) / 168
            + curvature._STYLE_CURVATURE * change.square().sum() / 168
            + weights["roughness"] * cost["roughness"]
            + weights["distance"] * cost["distance"]
        )

    hessian = torch.autograd.functional.hessian(loss, torch.zeros(64, dtype=torch.float64))
    assert isinstance(hessian, Tensor)
    whitened = found.T @ hessian @ found
    assert torch.allclose(whitened, torch.eye(64, dtype=torch.float64), atol=1e-3)
