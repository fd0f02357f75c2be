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


def run_forked(
    *arguments: object, given: bytes = b"", cwd: Path | None = None
) -> CompletedProcess[bytes]:
    """As `subprocess.run` of pydpst, with pipes for all three streams."""
    to_read, to_write = zip(*(_FORKS.Pipe(duplex=False) for _ in range(3)), strict=True)
    words = ["pydpst", *map(str, arguments)]
    theirs = (to_read[0], *to_write[1:])
    process = _FORKS.Process(target=_main, args=(words, cwd, *theirs))
    process.start()
    for end in theirs:
        end.close()
    said: dict[int, bytes] = {}
    readers = [Thread(target=_read, args=(to_read[n], n, said)) for n in (1, 2)]
    for reader in readers:
        reader.start()
    with to_write[0], open(to_write[0].fileno(), "wb", closefd=False) as stdin:
        stdin.write(given)
    for thread in (*readers, process):
        thread.join()
    return CompletedProcess(words, process.exitcode or 0, said[1], said[2])


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
