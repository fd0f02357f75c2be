"""The contenders under pytest-benchmark: `pytest benchmarks`, with its options and its storage."""

from __future__ import annotations

from collections.abc import Callable

import contenders
import pytest
import torch
from torch import Tensor

MAKERS = [
    contenders.pydpst,
    contenders.eager_torch,
    contenders.compiled_torch,
    contenders.jax,
    contenders.tensorflow,
    contenders.torch_csr,
    contenders.torch_csr_pattern,
    contenders.scipy_csr,
]


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(3, 512, 512, generator=generator) for _ in range(2))


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("kind", ["matvec", "energy_and_gradient"])
def test_quarter_of_a_megapixel(
    benchmark: Callable[..., None],
    images: tuple[Tensor, Tensor],
    make: Callable[..., contenders.Contender],
    kind: str,
) -> None:
    try:
        contender = make(*images, 1)
    except ImportError as error:
        pytest.skip(str(error))
    function = getattr(contender, kind)
    if function is None:
        pytest.skip("it has no gradient of its own")
    function()
    benchmark.group = kind
    benchmark(function)
