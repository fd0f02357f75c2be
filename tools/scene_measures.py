"""How well a scene head agrees with the labels."""

from __future__ import annotations

import torch
from torch import Tensor

from pydpst.regions.scene import GROUPS

# Labels of at least this probability are certain.
CERTAIN = 0.8


class Agreement:
    """Counts cells by what the labels and the head say is the likeliest."""

    def __init__(self) -> None:
        count = len(GROUPS)
        self.counts = torch.zeros(count, count)
        self.certain = torch.zeros(count, count)

    def add(self, found: Tensor, wanted: Tensor) -> None:
        """Counts a photo's cells.

        Args:
            found: (groups, h, w), the head's probabilities.
            wanted: likewise, the labels'.
        """
        count = len(GROUPS)
        cells = (wanted.argmax(0) * count + found.argmax(0)).flatten()
        sure = wanted.amax(0).flatten() > CERTAIN
        self.counts += torch.bincount(cells, minlength=count**2).view(count, count)
        self.certain += torch.bincount(cells[sure], minlength=count**2).view(count, count)

    def join(self, other: Agreement) -> None:
        """Adds the counts of another."""
        self.counts += other.counts
        self.certain += other.certain

    def ious(self) -> list[float]:
        """Intersection over union of each group."""
        both = self.counts.diag()
        union = self.counts.sum(0) + self.counts.sum(1) - both
        ious: list[float] = (both / union.clamp_min(1)).tolist()
        return ious

    def line(self) -> str:
        """The shares of cells agreed on, all and certain ones, and the mean and the sky's IoU."""
        shares = [float(c.diag().sum() / c.sum().clamp_min(1)) for c in (self.counts, self.certain)]
        ious = self.ious()
        return (
            f"agreement {shares[0]:.3f}, where certain {shares[1]:.3f}, "
            f"mean IoU {sum(ious) / len(ious):.3f}, sky IoU {ious[0]:.3f}"
        )
