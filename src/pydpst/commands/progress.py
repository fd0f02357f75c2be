"""One progress bar for all commands, and what is said when memory runs out under it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
