"""`--ray`: the photos of a folder, restyled by the workers of a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from pydpst.commands import say
from pydpst.commands.batch import Outcome, reason_of
from pydpst.commands.journal import Journal, Pairs, Record
from pydpst.commands.progress import progress_bar
from pydpst.commands.stores import StorePath
from pydpst.commands.worker import Done, Load, Work, restyle_for, versions

if TYPE_CHECKING:
    import ray

RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Have a folder's photos done by a Ray cluster: HOST:PORT, or auto for the one here.",
        rich_help_panel="Limits",
    ),
]

# Seconds in which a cluster must answer.
_PATIENCE = 30
# A photo that Ray's processes, or their nodes, have died of so often is not tried again.
_RETRIES = 3


def check_ray(
    address: str | None, device: str | None, for_one: bool, paths: Sequence[Path]
) -> None:
    """Refuses what cannot be done by a cluster, before anything is read.

    Args:
        address: of the cluster; None for none.
        device: as it was given.
        for_one: whether it is not for a folder of photos.
        paths: of photos and results.

    Raises:
        ValueError: with a sentence that says why.
    """
    if address is None:
        for path in paths:
            if isinstance(path, StorePath):
                raise ValueError(f"{path} is in an object store; give --ray with it.")
        return
    if for_one:
        raise ValueError("--ray is for folders of photos; leave it out.")
    if find_spec("ray") is None:
        raise ValueError("--ray needs Ray, which is not installed: pip install 'pydpst[ray]'.")
    if device not in (None, "cpu", "cuda"):
        raise ValueError(f"--device is {device}; with --ray it must be cpu or cuda.")


def restyle_on(
    address: str, device: str | None, threads: int, load: Load, pairs: Pairs, journal: Journal
) -> Outcome:
    """Restyles photos on a cluster's GPUs, or on its CPUs if it has none or device is "cpu".

    Each photo is a task of its own; those of a process or a node that is lost are done again
    elsewhere. Photos and results are files in folders that all nodes share, or objects in stores.

    Args:
        address: of the cluster.
        device: as it was given.
        threads: of each of Ray's processes, where results depend on them in the last bits.
        load: what these call first.
        pairs: photos, and where their results go.
        journal: of the results.

    Returns:
        What became of them.

    Raises:
        ValueError: if there is no such cluster, or it has no such device.
    """
    import ray
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    _connect(address)
    columns = ("photo", MofNCompleteColumn(), "", TimeRemainingColumn())
    # Ray prints what it has to say, such as of a node that is lost.
    with (
        redirect_stdout(sys.stderr),
        progress_bar(*columns, too_large="say --device cpu") as bar,
    ):
        try:
            done = bar.add_task("", total=len(pairs))
            kind, device = _kind_of_worker(device)
            work = Work(load, device, threads, versions())
            return _restyled(kind, work, pairs, journal, lambda: bar.advance(done))
        finally:
            ray.shutdown()


def _restyled(
    kind: str, work: Work, pairs: Pairs, journal: Journal, advance: Callable[[], None]
) -> Outcome:
    import ray

    needs = {"GPU": 1, "CPU": 1} if kind == "GPU" else {"GPU": 0, "CPU": _cpus(work.threads)}
    task = ray.remote(max_retries=_RETRIES, num_cpus=needs["CPU"], num_gpus=needs["GPU"])(
        restyle_for
    )
    shared = ray.put(work)
    waiting = iter(pairs)
    running: dict[ray.ObjectRef[Done], tuple[Path, Path]] = {}
    failures: dict[Path, str] = {}
    try:
        while True:
            # Twice as many as there are workers, so that none waits; nodes come and go.
            workers = max(1, int(ray.cluster_resources().get(kind, 0) / needs[kind]))
            free = 2 * workers - len(running)
            begun = list(islice(waiting, max(0, free)))
            journal.begin(*(result for _, result in begun))
            for photo, result in begun:
                running[task.remote(shared, _absolute(photo), _absolute(result))] = photo, result
            if not running:
                break
            # All that are done, however many there are of them, ten times a second.
            done, _ = ray.wait(list(running), num_returns=len(running), timeout=0.1)
            records = {}
            for reference in done:
                photo, result = running.pop(reference)
                if record := _record_of(reference, photo, result, failures):
                    records[result] = record
                advance()
            journal.finish(records)
    except KeyboardInterrupt:
        return failures, next(iter(running.values()), pairs[-1])[0]
    return {photo: failures[photo] for photo, _ in pairs if photo in failures}, None


def _record_of(
    reference: ray.ObjectRef[Done], photo: Path, result: Path, failures: dict[Path, str]
) -> Record | None:
    import ray

    def told(sentence: str) -> str:
        for path in (photo, result):
            sentence = sentence.replace(os.fspath(_absolute(path)), os.fspath(path))
        return sentence

    try:
        done: Done = ray.get(reference)
    except ray.exceptions.RayError as error:
        failures[photo] = f"Ray could not do it: {reason_of(error)}"
        return None
    for warning in done.warnings:
        say(f"warning: {told(warning)}")
    if done.record is None:
        failures[photo] = told(done.reason)
    return done.record


def _absolute(path: Path) -> Path:
    """For processes that work in folders of their own."""
    return path if isinstance(path, StorePath) else Path(os.path.abspath(path))


def _kind_of_worker(device: str | None) -> tuple[str, str]:
    """What each photo takes one of, as Ray calls it and as torch does."""
    import ray

    there = ray.cluster_resources()
    if device != "cpu" and there.get("GPU", 0) >= 1:
        return "GPU", "cuda"
    if device == "cuda":
        raise ValueError("--device is cuda, but the Ray cluster has no GPU.")
    return "CPU", "cpu"


def _cpus(threads: int) -> int:
    """How many CPUs a process takes: one a thread, if there is a node that has so many."""
    import ray

    most = max(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    return max(1, min(threads, int(most)))


def _connect(address: str) -> None:
    """Connects to a cluster.

    Raises:
        ValueError: if none answers in time.
    """
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    advice = "start one by `ray start --head`, or give the address that it prints."
    failures = []

    def connect() -> None:
        try:
            host, _, port = address.rpartition(":")
            if host and port.isdigit() and "/" not in host:
                socket.create_connection((host, int(port)), _PATIENCE).close()
            ray.init(address, log_to_driver=False, configure_logging=False)
        except Exception as error:
            failures.append(reason_of(error))

    # In a thread, for Ray asks again and again where something else answers.
    connecting = Thread(target=connect, daemon=True)
    connecting.start()
    connecting.join(_PATIENCE)
    if connecting.is_alive():
        failures.append(f"no answer in {_PATIENCE} seconds")
    if failures:
        raise ValueError(f"there is no Ray cluster at {address} ({failures[0]}); {advice}")
