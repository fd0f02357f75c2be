"""How far colours are off, in levels."""

from __future__ import annotations

from torch import Tensor


def level_error(result: Tensor, wanted: Tensor) -> tuple[float, float]:
    """How far colours are off, in levels of 8 bits.

    Args:
        result: any shape, values in [0, 1].
        wanted: like result.

    Returns:
        The root mean square over pixels and channels, and the 95th percentile.
    """
    error = 255 * (result.double() - wanted.double()).abs().flatten()
    # `quantile` takes no more than 2**24 values.
    percentile = error.kthvalue(max(1, round(0.95 * error.numel()))).values
    return float(error.square().mean().sqrt()), float(percentile)
