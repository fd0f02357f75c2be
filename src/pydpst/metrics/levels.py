"""How far colours are off, in levels."""

from __future__ import annotations

from torch import Tensor

# Of the root mean square: from the first on it is seen, from the second on it is another look.
_SEEN, _USELESS = 3.0, 15.0


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


def is_useless(rms: float) -> bool:
    """Whether a table that is so far off, as `level_error` has it, has another look."""
    return not rms < _USELESS


def verdict(rms: float) -> str:
    """What to say of a table that is so far off; nothing where it is not seen."""
    if is_useless(rms):
        return "; that is another look, and such a table of no use"
    return "; that is seen" if rms >= _SEEN else ""
