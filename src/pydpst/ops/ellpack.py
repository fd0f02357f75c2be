"""Products of sparse matrices of small blocks."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pydpst.ops.differentiable import refused
from pydpst.ops.library import kernels, register_fake

_ellpack_matvec: Callable[..., Tensor] = kernels.ellpack_matvec


def ellpack_matvec(blocks: Tensor, columns: Tensor, x: Tensor) -> Tensor:
    """The product of a sparse matrix of small blocks, as many in each row (ELLPACK), and vectors.

    Args:
        blocks: (N, K, a, b), float32 or float64; a and b are 1, 2 or 4.
        columns: (N, K), int64: of which b values of x each block takes; blocks whose column is not
            from 0 to M - 1 count for nothing.
        x: (C, M, b), float64.

    Returns:
        (C, N, a), float64; it has no gradient.
    """
    result: Tensor = _ellpack_matvec_call(blocks, columns, x)
    return result


def _ellpack_matvec_fake(blocks: Tensor, columns: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], blocks.shape[0], blocks.shape[2])


register_fake("ellpack_matvec", _ellpack_matvec_fake)
_ellpack_matvec_call = refused("ellpack_matvec", _ellpack_matvec)
