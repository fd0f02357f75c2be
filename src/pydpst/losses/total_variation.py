"""The smoothness of an image."""

from __future__ import annotations

from torch import Tensor


def tv_loss(image: Tensor) -> Tensor:
    """The mean squared difference of neighbouring pixels (as Johnson et al. 2016, section 3.2).

    Args:
        image: (3, H, W).

    Returns:
        A scalar.
    """
    down, right = image.diff(dim=-2), image.diff(dim=-1)
    return down.square().mean() + right.square().mean()
