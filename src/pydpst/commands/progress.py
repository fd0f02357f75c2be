"""One progress bar for all commands, how long is left, and what is said when memory runs out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


@contextmanager
def progress_bar(
    *columns: ProgressColumn | str, too_large: str, shown: bool = True
) -> Iterator[Progress]:
    """A bar on stderr, if somebody is there to look at one.

    Args:
        columns: beside the bar itself, which stands after the first two.
        too_large: what to do when the GPU has too little memory.
        shown: False for a process that is not to speak.

    Raises:
        MemoryError: in place of torch's own.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress
    from torch import OutOfMemoryError

    console = Console(stderr=True)
    bar = Progress(
        *columns[:2],
        BarColumn(bar_width=20),
        *columns[2:],
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )
    try:
        with bar:
            yield bar
    except OutOfMemoryError:
        raise MemoryError(f"the GPU has too little memory; {too_large}.") from None


@contextmanager
def stages(count: int, *, too_large: str) -> Iterator[Callable[[str], None]]:
    """A bar for a command of a few long parts; gives what is to be called as each begins.

    Args:
        count: how many parts there are.
        too_large: as for `progress_bar`.
    """
    from rich.progress import TimeElapsedColumn

    with progress_bar("{task.description}", "", TimeElapsedColumn(), too_large=too_large) as bar:
        task = bar.add_task("starting", total=count)
        begun = 0

        def begin(part: str) -> None:
            nonlocal begun
            bar.update(task, description=part, completed=begun, refresh=True)
            begun += 1

        yield begin


@dataclass
class Many:
    """How far a command is that does the same with many photos.

    Attributes:
        count: how many photos.
        done: how many of them are done.
        told: whether how long they will take has been said.
    """

    count: int
    done: int = 0
    told: bool = False
    _start: float = field(default_factory=time.monotonic)

    def seconds_left(self, of_this: float) -> float:
        """How long all will still take.

        Args:
            of_this: seconds that the present one will still take.
        """
        each = (time.monotonic() - self._start + of_this) / (self.done + 1)
        return of_this + each * (self.count - self.done - 1)
