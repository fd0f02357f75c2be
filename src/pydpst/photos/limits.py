"""How small and how large photos may be."""

from __future__ import annotations

# The smallest side that leaves one pixel at conv5, which lies behind four halvings.
MINIMUM_SIDE = 16
# What JPEG holds.
MAXIMUM_SIDE = 65500


def check_size(size: object) -> None:
    """Refuses what is no number of pixels of a photo's longer side."""
    if not isinstance(size, int) or not MINIMUM_SIDE <= size <= MAXIMUM_SIDE:
        raise ValueError(
            f"size is {size}; it must be a whole number from {MINIMUM_SIDE} to {MAXIMUM_SIDE}."
        )
