"""The command line in processes of their own, forked from one that has torch loaded already."""

from __future__ import annotations

import os
import sys
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import CompletedProcess
from threading import Thread

from pydpst.commands import cli

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "pydpst.commands.cli",
        "pydpst.feedforward.models",
        "pydpst.transfer.recipe",
        "pydpst.transfer.stylize",
        "pydpst.video.smooth_look",
    ]
)


class Forked:
    """A process of pydpst, as `subprocess.Popen` with pipes for all three streams."""

    def __init__(self, *arguments: object, given: bytes = b"", cwd: Path | None = None) -> None:
        to_read, to_write = zip(*(_FORKS.Pipe(duplex=False) for _ in range(3)), strict=True)
        self._words = ["pydpst", *map(str, arguments)]
        theirs = (to_read[0], *to_write[1:])
        self.process = _FORKS.Process(target=_main, args=(self._words, cwd, *theirs))
        self.process.start()
        for end in theirs:
            end.close()
        self._said: dict[int, bytes] = {}
        self._readers = [Thread(target=_read, args=(to_read[n], n, self._said)) for n in (1, 2)]
        for reader in self._readers:
            reader.start()
        with to_write[0], open(to_write[0].fileno(), "wb", closefd=False) as stdin:
            stdin.write(given)

    def wait(self, timeout: float | None = None) -> CompletedProcess[bytes] | None:
        """What became of it; None if it still runs."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            return None
        for reader in self._readers:
            reader.join()
        return CompletedProcess(self._words, self.process.exitcode, self._said[1], self._said[2])


def run_forked(
    *arguments: object, given: bytes = b"", cwd: Path | None = None
) -> CompletedProcess[bytes]:
    """As `subprocess.run` of pydpst."""
    done = Forked(*arguments, given=given, cwd=cwd).wait()
    assert done is not None
    return done


def _read(end: Connection, number: int, said: dict[int, bytes]) -> None:
    with end, open(end.fileno(), "rb", closefd=False) as stream:
        said[number] = stream.read()


def _main(words: list[str], cwd: Path | None, *ends: Connection) -> None:
    for number, end in enumerate(ends):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        for number in range(3)
    )
    if cwd is not None:
        os.chdir(cwd)
    sys.argv = words
    cli.main()
