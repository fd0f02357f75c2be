"""When a training writes its checkpoint, and where."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from pydpst.photos.writing import check_output

_CHECKPOINT_SECONDS = 60.0


class Training(Protocol):
    """What has a checkpoint."""

    @property
    def step(self) -> int:
        """How many steps were taken."""

    def save(self, path: Path) -> None:
        """Writes the checkpoint; before the first step there is nothing to write."""


class Saving:
    """Writes a training's checkpoint every so many steps, and every minute."""

    def __init__(self, training: Training, path: Path | None, steps: int) -> None:
        self._training, self._path, self._steps = training, path, steps
        self._last = time.monotonic()

    def if_due(self) -> None:
        """Writes it if it is time to."""
        late = time.monotonic() - self._last > _CHECKPOINT_SECONDS
        if late or self._training.step % self._steps == 0:
            self.now()

    def now(self) -> None:
        """Writes it."""
        if self._path is not None:
            self._training.save(self._path)
            self._last = time.monotonic()


def check_paths(
    output: str | os.PathLike[str] | None,
    log: str | os.PathLike[str] | None,
    tensorboard: bool,
    resume: bool,
) -> Path | None:
    """The checkpoint's path, after a look at all paths.

    Raises:
        ValueError: for a path that cannot be written, or a checkpoint that is not there.
    """
    if tensorboard and log is None:
        raise ValueError("tensorboard is on, but there is no log folder; give one.")
    if output is None:
        if resume:
            raise ValueError("resume is on, but there is no output whose checkpoint it could be.")
        return None
    path = check_output(output, (".safetensors",))
    checkpoint = check_output(path.with_suffix(".checkpoint"), (".checkpoint",))
    if resume and not checkpoint.is_file():
        raise ValueError(f"there is no checkpoint {checkpoint} to resume from; start without.")
    return checkpoint


def check_steps(**every: int | None) -> None:
    """Refuses numbers of steps that are none.

    Raises:
        ValueError: with a sentence that names it.
    """
    for name, steps in every.items():
        if steps is not None and steps < 1:
            raise ValueError(f"{name} is {steps}; it must be a whole number of at least 1.")


@contextmanager
def ctrl_c_later() -> Iterator[None]:
    """What is done whole or not at all: Ctrl-C counts when it is over."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came and callable(handler):
        handler(*came[0])
