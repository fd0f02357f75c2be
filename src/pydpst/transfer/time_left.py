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
        works: of each step, in any unit.
        afterwards: seconds that what follows the steps will take.
    """

    def __init__(self, works: Sequence[float], afterwards: float = 0.0) -> None:
        self._works, self._afterwards = works, afterwards
        self._rates: deque[float] = deque(maxlen=_RECENT)
        self._done, self._before = 0, 0.0

    def after_step(self, now: float) -> float | None:
        """To be called when a step is done; None after the first, which nothing was measured of.

        Args:
            now: as `time.monotonic` has it.
        """
        if self._done:
            work = self._works[min(self._done, len(self._works) - 1)]
            self._rates.append((now - self._before) / work)
        self._done, self._before = self._done + 1, now
        if not self._rates:
            return None
        return sum(self._works[self._done :]) * median(self._rates) + self._afterwards


def in_words(seconds: float) -> str:
    """Such as "about 40 s" or "about 3 min"."""
    if seconds < 100:
        return f"about {max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {round(seconds / 3600)} h"
