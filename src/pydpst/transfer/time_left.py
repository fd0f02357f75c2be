"""How long a run will still take, by what its steps have taken so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median

# Of so many steps, so that one that a busy machine holds up, or that begins a level, counts little.
_RECENT = 15


class TimeLeft:
    """Seconds left of steps that take more or less work.

    Args:
        works: how much work a step is, in any unit, and how many such steps come, in turn.
        afterwards: seconds that what follows the steps will take at least.
        work_afterwards: how much work it is, in the same unit: it takes longer on a machine where
            the steps do.
    """

    def __init__(
        self,
        works: Sequence[tuple[float, int]],
        afterwards: float = 0.0,
        work_afterwards: float = 0.0,
    ) -> None:
        self._works = works
        self._afterwards, self._work_afterwards = afterwards, work_afterwards
        self._rates: deque[float] = deque(maxlen=_RECENT)
        self._done, self._before = 0, 0.0

    def after_step(self, now: float) -> float | None:
        """To be called when a step is done; None after the first, which nothing was measured of.

        Args:
            now: as `time.monotonic` has it.
        """
        if self._done:
            self._rates.append((now - self._before) / self._work_of(self._done))
        self._done, self._before = self._done + 1, now
        if not self._rates:
            return None
        rate = median(self._rates)
        return self._work_left() * rate + max(self._afterwards, self._work_afterwards * rate)

    def _work_of(self, step: int) -> float:
        for work, count in self._works:
            if step < count:
                return work
            step -= count
        return self._works[-1][0]

    def _work_left(self) -> float:
        done, left = self._done, 0.0
        for work, count in self._works:
            left += work * max(0, count - done)
            done = max(0, done - count)
        return left


def in_words(seconds: float) -> str:
    """Such as "about 40 s" or "about 3 min"."""
    if seconds < 100:
        return f"about {max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {round(seconds / 3600)} h"
