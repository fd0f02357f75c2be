"""What a process of Ray's does: it loads the networks once, and restyles photo after photo."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from pydpst.commands.batch import FAILURES, reason_of
from pydpst.commands.journal import Record, Restyle, recorded
from pydpst.commands.stores import StorePath

# Loads what restyles photos, on a device; called once in each of Ray's processes.
Load: TypeAlias = Callable[[str], Restyle]

# In a process of Ray's: what it has loaded, by run.
_loaded_for: dict[str, Restyle] = {}


@dataclass(frozen=True)
class Work:
    """What Ray's processes are sent beside the photos.

    Attributes:
        load: what each of them calls first.
        device: "cpu" or "cuda".
        threads: of torch.
        versions: of pydpst and torch, which must be theirs, too.
    """

    load: Load
    device: str
    threads: int
    versions: dict[str, str]


@dataclass(frozen=True)
class Done:
    """What became of a photo: a record of the result, or why there is none; and warnings."""

    record: Record | None
    reason: str
    warnings: list[str]


def restyle_for(work: Work, photo: Path, result: Path) -> Done:
    """Restyles one photo, in a process of Ray's."""
    record, reason = None, ""
    with (
        warnings.catch_warnings(record=True) as caught,
        TemporaryDirectory(prefix="pydpst-") as folder,
    ):
        warnings.filterwarnings("ignore", module=r"PIL\.")
        # Files here, for the time being, in place of objects in a store.
        source, target = (
            Path(folder, f"{name}{path.suffix}") if isinstance(path, StorePath) else path
            for name, path in {"photo": photo, "result": result}.items()
        )
        try:
            _check_shared(photo, result.parent)
            restyle = _loaded(work)
            if isinstance(photo, StorePath):
                photo.fetch(source)
            record = recorded(restyle, source, target)
            if isinstance(result, StorePath):
                result.send(target)
        except FAILURES as error:
            record, reason = None, reason_of(error)

    def told(sentence: object) -> str:
        return str(sentence).replace(str(source), str(photo)).replace(str(target), str(result))

    return Done(record, told(reason), [told(warning.message) for warning in caught])


def _check_shared(*paths: Path) -> None:
    for path in paths:
        if not isinstance(path, StorePath) and not os.path.lexists(path):
            raise ValueError(
                f"{path} is not on {socket.gethostname()}; --ray needs folders that nodes share."
            )


def _loaded(work: Work) -> Restyle:
    """What restyles photos in this process, loaded for the first of a run."""
    import ray
    import torch

    run = ray.get_runtime_context().get_job_id()
    if run not in _loaded_for:
        here = versions()
        if here != work.versions:
            raise ValueError(
                f"{socket.gethostname()} has {_listed(here)}, not {_listed(work.versions)}; "
                "install the same on all nodes."
            )
        torch.set_num_threads(work.threads)
        _loaded_for[run] = work.load(work.device)
    return _loaded_for[run]


def versions() -> dict[str, str]:
    """What all nodes must have the same of."""
    from importlib.metadata import version

    return {name: version(name) for name in ("pydpst", "torch")}


def _listed(packages: dict[str, str]) -> str:
    return " and ".join(f"{name} {number}" for name, number in packages.items())
