"""Folders over a Ray cluster: the same files as by oneself, whatever is lost on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Run
from PIL import Image

from pydpst.commands import journal
from pydpst.commands.stores import StorePath

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="pip install 'pydpst[ray]'")
COUNT = 24


@pytest.fixture
def photos(tmp_path: Path, city_day: Path) -> Path:
    """A folder of photos, one in a folder of its own, and one that is none."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    with Image.open(city_day) as photo:
        for number in range(COUNT):
            name = f"{'more/' if number == 1 else ''}{number:02}.png"
            photo.crop((4 * number, 0, 4 * number + 400, 300)).save(folder / name)
    (folder / "notes.jpg").write_text("no photo")
    return folder


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """Where a server talks S3, for all processes that are started from now on; None without one."""
    if find_spec("moto") is None or find_spec("s3fs") is None:
        yield None
        return
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        yield server
    server.stop()


@pytest.fixture
def bucket(s3: Any) -> StorePath:
    if s3 is None:
        pytest.skip("pip install s3fs 'moto[server]'")
    made = StorePath("s3://library")
    if not made.store.exists(made.key):
        made.store.mkdir(made.key)
    return made


@pytest.fixture(scope="module")
def cluster(s3: Any) -> Iterator[Cluster]:
    """A cluster of two nodes on this machine, a processor each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
        }.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        quick = {
            "health_check_period_ms": 500,
            "health_check_failure_threshold": 2,
            "worker_niceness": 0,  # not 15, which is to wait for all other programs of a machine
        }
        head = {"num_cpus": 1, "_system_config": quick}
        started = Cluster(initialize_head=True, head_node_args=head)
        started.add_node(num_cpus=1)
        yield started
        started.shutdown()


def command(cluster: Cluster, *arguments: object) -> list[str]:
    line = (sys.executable, "-m", "pydpst", *arguments, "--ray", cluster.address)
    return [str(argument) for argument in line]


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def objects_in(folder: StorePath) -> dict[str, bytes]:
    return {str(path)[len(str(folder)) + 1 :]: path.read_bytes() for path in folder.objects()}


def pictures_in(folder: Path) -> list[Path]:
    if isinstance(folder, StorePath):
        return [path for path in folder.objects() if path.suffix == ".png"]
    return list(folder.rglob("*.png"))


def recorded_in(folder: Path) -> int:
    """How many results a run would not make again; what is there may not be recorded yet."""
    earlier = journal._records_of(journal._read(folder / journal.NAME))
    try:
        records = {**earlier, **journal._read_lines(folder / journal._LINES)}
    except ValueError:  # a run that begins removes what it has just listed
        return 0
    return sum("sha256" in record for record in records.values())


def wait_for(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while recorded_in(folder) < count:
        assert time.monotonic() < deadline, "nothing is made"
        time.sleep(0.01)


@needs_ray
def test_lost_drivers_and_nodes_cost_no_photo(
    run: Run, cluster: Cluster, photos: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    code, said = run("apply", "dusk", photos, "-o", here)
    assert code == 1
    assert f"{COUNT} of {COUNT + 1} photos" in said

    line = command(cluster, "apply", "dusk", photos, "-o", there, "--json")
    lost = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(there, 2)
    lost.send_signal(signal.SIGKILL)
    lost.wait()
    made = recorded_in(there)
    assert made <= len(pictures_in(there)) < COUNT

    driver = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(there, made + 2)
    node = cluster.worker_nodes.copy().pop()
    cluster.remove_node(node, allow_graceful=False)
    assert len(pictures_in(there)) < COUNT
    report, told = driver.communicate(timeout=120)
    assert driver.returncode == 1, told
    assert "notes.jpg is not an image" in told

    assert files_in(there) == files_in(here)
    states = {Path(r["photo"]).name: r["state"] for r in json.loads(report)["results"]}
    assert states.pop("notes.jpg") == "failed"
    assert set(states.values()) == {"there", "written"}


@needs_ray
def test_stylize_and_styles_of_photos(
    run: Run, cluster: Cluster, photos: Path, city_night: Path, tmp_path: Path
) -> None:
    for path in sorted(photos.rglob("*.png"))[1:]:
        path.unlink()
    for name, arguments in {
        "stylize": ("stylize", photos, city_night, "--size", 32, "--steps", 2),
        "like": ("apply", photos, "--style", city_night, "--strength", 0.5),
    }.items():
        here, there = tmp_path / f"{name}-here", tmp_path / f"{name}-there"
        alone, said = run(*arguments, "-o", here)
        assert "1 of 2 photos" in said
        together, said = run(*arguments, "-o", there, "--ray", cluster.address)
        assert "1 of 2 photos" in said
        assert (together, alone) == (1, 1)
        assert files_in(there) == files_in(here)


@needs_ray
def test_object_stores_are_folders_too(
    run: Run, cluster: Cluster, bucket: StorePath, photos: Path, tmp_path: Path
) -> None:
    here, source, there = tmp_path / "here", bucket / "photos", bucket / "restyled"
    assert run("apply", "dusk", photos, "-o", here)[0] == 1
    for name, data in files_in(photos).items():
        (source / name).write_bytes(data)
    line = command(cluster, "apply", "dusk", source, "-o", there, "--json")
    lost = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(there, 2)
    lost.send_signal(signal.SIGKILL)
    lost.wait()
    assert 2 <= len(pictures_in(there)) < COUNT

    foreign = there / f"{COUNT - 1}.png"
    foreign.write_bytes(b"mine")
    refused = subprocess.run(line, capture_output=True, text=True)
    assert refused.returncode == 2
    assert f"{foreign} is not a file that was written there" in refused.stderr
    assert foreign.read_bytes() == b"mine"
    foreign.unlink()

    resumed = subprocess.run(line, capture_output=True, text=True)
    assert resumed.returncode == 1, resumed.stderr
    assert f"{source}/notes.jpg is not an image" in resumed.stderr
    assert objects_in(there) == files_in(here)
    states = [result["state"] for result in json.loads(resumed.stdout)["results"]]
    assert {"there", "written", "failed"} == set(states)
    code, said = run("apply", "dusk", source, "-o", source, "--ray", cluster.address)
    assert code == 2
    assert f"the output {source}/00.png (--output) is also an input (PHOTOS)" in said


@needs_ray
def test_a_style_of_this_machine_and_photos_of_a_store(
    run: Run, cluster: Cluster, bucket: StorePath, photos: Path, city_night: Path, tmp_path: Path
) -> None:
    source, there = bucket / "two", tmp_path / "there"
    for name in ("00.png", "more/01.png"):
        (source / name).write_bytes((photos / name).read_bytes())
    arguments = ("stylize", source, city_night, "--size", 32, "--steps", 2)
    on_ray = ("--ray", cluster.address)
    code, said = run(*arguments, "-o", there, *on_ray)
    assert (code, "2 of 2 photos" in said) == (0, True), said
    code, said = run(*arguments, "-o", source / "restyled", *on_ray)
    assert (code, "2 of 2 photos" in said) == (0, True), said
    made, stored = files_in(there), objects_in(source / "restyled")
    assert made.keys() == stored.keys() == {"00.png", "more/01.png", "recipe.json"}
    recipe = json.loads(stored.pop("recipe.json"))
    assert recipe["results"] == json.loads(made.pop("recipe.json"))["results"]
    assert recipe["files"]["style"]["path"] == os.fspath(city_night)
    assert made == stored
    code, said = run(*arguments, "-o", source / "restyled", *on_ray)
    assert (code, "0 of 2 photos, 2 were there" in said) == (0, True), said


@needs_ray
def test_an_address_without_a_cluster_is_one_sentence(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    for address in ("127.0.0.1:1", "nonsense"):
        code, said = run("apply", "dusk", photos, "-o", tmp_path / "out", "--ray", address)
        assert code == 2
        assert said.startswith(f"error: there is no Ray cluster at {address} (")
        assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_is_not_for_a_cluster_is_one_sentence(
    run: Run, small_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pydpst.commands.cluster.find_spec", lambda name: name == "ray")
    on_ray = ("--ray", "auto")
    for sentence, arguments in {
        "--ray is for folders of photos": ("stylize", small_photo, small_photo, "-o", "a.png"),
        "the output a.png must be a folder": ("apply", "dusk", small_photo, "-o", "a.png"),
        "--device is cuda:1; with --ray": ("apply", "dusk", ".", "-o", "x", "--device", "cuda:1"),
    }.items():
        code, said = run(*arguments, *on_ray)
        assert (code, said.count("\n")) == (2, 1)
        assert sentence in said
    monkeypatch.setattr("pydpst.commands.cluster.find_spec", lambda name: None)
    code, said = run("apply", "dusk", tmp_path, "-o", tmp_path / "out", *on_ray)
    assert code == 2
    assert said == "error: --ray needs Ray, which is not installed: pip install 'pydpst[ray]'.\n"
    for arguments in (
        ("apply", "dusk", "s3://library/photos", "-o", "out"),
        ("stylize", tmp_path, small_photo, "-o", "s3://library/restyled"),
    ):
        code, said = run(*arguments)
        assert code == 2
        assert " is in an object store; give --ray with it." in said
