"""Training: it learns, it survives being killed, processes share it, and bad input is refused."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import Run, assert_same_weights, stop_after_two_steps
from PIL import Image
from safetensors.torch import load_file, save_file

import pydpst
from pydpst.feedforward.bundled import read_about
from pydpst.feedforward.criterion import Criterion
from pydpst.feedforward.model_file import read_model, save_model
from pydpst.feedforward.networks import BilateralGridNet, TransformerNet
from pydpst.feedforward.training import TrainingProgress
from pydpst.feedforward.training_photos import read_photos, sample, step_shape
from pydpst.feedforward.training_settings import Settings

SMALL = {"size": 64, "batch": 2, "steps": 4, "precision": "float32"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six small photos, one of them in a folder of its own."""
    folder = tmp_path_factory.mktemp("photos")
    examples = Path(__file__).parents[1] / "examples" / "photos"
    for number, path in enumerate(sorted(examples.glob("*.jpg"))[:6]):
        with Image.open(path) as photo:
            target = folder / ("more" if number == 5 else ".") / f"{number}.png"
            target.parent.mkdir(exist_ok=True)
            photo.convert("RGB").resize((128, 72)).save(target)
    return folder


@pytest.fixture(scope="module")
def style(photos: Path) -> Path:
    return photos / "1.png"


def test_it_learns_and_writes_a_model(photos: Path, style: Path, tmp_path: Path) -> None:
    seen: list[TrainingProgress] = []
    network = pydpst.train(
        style,
        photos,
        output=tmp_path / "model.safetensors",
        log=tmp_path / "log",
        held_out=1,
        license="a note",
        callback=seen.append,
        **(SMALL | {"steps": 30}),
    )
    assert [progress.done for progress in seen if progress.stage == "step"] == list(range(1, 31))
    untrained = BilateralGridNet()
    untrained.set_style(pydpst.load_image(style))
    contents = torch.stack(
        [pydpst.load_image(photos / f"{number}.png")[:, :64, :64] for number in (0, 2, 3)]
    )
    criterion = Criterion(pydpst.load_image(style), Settings(), contents.device)
    before, after = (
        criterion(contents, net(contents))["total"].item() for net in (untrained, network)
    )
    assert after < before
    (last,) = [p.metrics for p in seen if p.stage == "validate" and p.done == 30]
    assert 0 < last["style_distance"] < 1.5
    assert 0 < last["linear_edge_ssim"] <= 1
    loaded, about = read_model(tmp_path / "model.safetensors")
    assert about["license"] == "a note"
    assert about["training"]["steps"] == 30
    assert_same_weights(network, loaded)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "model.safetensors"]
    lines = (tmp_path / "log" / "losses.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines if "total" in line] == list(range(1, 31))
    with Image.open(tmp_path / "log" / "step_000030" / "000.png") as picture:
        assert picture.size == (128, 36)


def test_tensorboard_gets_the_losses_and_the_photos(
    photos: Path, style: Path, tmp_path: Path
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pydpst.train(style, photos, log=tmp_path, tensorboard=True, held_out=1, **SMALL)
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    records = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    totals = [record["total"] for record in records if "total" in record]
    assert [event.value for event in events.Scalars("total")] == pytest.approx(totals, rel=1e-6)
    assert events.Images("photo 0")[-1].step == SMALL["steps"]


def test_before_any_step_the_grid_is_the_linear_transfer(photos: Path, style: Path) -> None:
    network = BilateralGridNet()
    example, photo = pydpst.load_image(style), pydpst.load_image(photos / "3.png")
    network.set_style(example)
    network.small_copy = lambda image: image  # type: ignore[method-assign]
    matrix, offset = network.linear_map(photo[None])
    moved = (matrix[0] @ photo.flatten(1) + offset[0]).double()
    torch.testing.assert_close(moved.mean(1), example.double().flatten(1).mean(1))
    want = example.double().flatten(1).cov(correction=0)
    torch.testing.assert_close(moved.cov(correction=0), want, rtol=0.05, atol=3e-4)


def test_the_guide_is_the_same_with_and_without_gradients(photos: Path) -> None:
    network = BilateralGridNet()
    network._PIXELS = 1000  # type: ignore[misc]
    torch.nn.init.normal_(network.slopes)
    photo = torch.stack([pydpst.load_image(photos / "0.png") ** power for power in (1, 2)])
    matrix, offset = network.linear_map(network.small_copy(photo))
    want = network.guide(photo, matrix, offset)
    with torch.no_grad():
        torch.testing.assert_close(network.guide(photo, matrix, offset), want.detach())


def test_transformer_net_keeps_the_size() -> None:
    photo = torch.rand(1, 3, 33, 18)
    result = TransformerNet(4)(photo)
    assert result.shape == photo.shape
    assert 0 <= result.min() <= result.max() <= 1


def test_samples_depend_on_their_number_alone(photos: Path) -> None:
    read = [p for p in read_photos(sorted(photos.glob("*.png")), 64) if p is not None]
    shape = step_shape(0, 3, 64)
    first = [sample(read, 0, index, shape) for index in range(10)]
    again = [sample(read, 0, index, shape) for index in reversed(range(10))]
    assert all(torch.equal(a, b) for a, b in zip(first, reversed(again), strict=True))
    assert len({float(x.mean()) for x in first}) == 10
    assert not torch.equal(sample(read, 1, 0, shape), first[0])


KILLED = """
import os, random, signal, sys, time
import pydpst, torch
from pydpst.feedforward.bundled import read_about

style, photos, folder = sys.argv[1:]
options = dict(size=64, batch=2, steps=40, held_out=0, precision="float32", checkpoint_steps=1)
torch.set_num_threads(1)

def run(output, **more):
    pid = os.fork()
    if pid == 0:
        pydpst.train(style, photos, output=output, **options, **more)
        os._exit(0)
    return pid

os.waitpid(run(folder + "/whole.safetensors"), 0)
random.seed(0)
output, checkpoint = folder + "/killed.safetensors", folder + "/killed.checkpoint"
kills, steps = 0, set()
while kills < 10:
    pid = run(output, resume=os.path.exists(checkpoint))
    before = max(steps, default=0)
    while not os.path.exists(checkpoint) or read_about(checkpoint, "checkpoint")["step"] <= before:
        time.sleep(0.001)
    time.sleep(random.random() * 0.05)
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "it ended before it was killed"
    kills += 1
    steps.add(read_about(checkpoint, "checkpoint")["step"])
assert len(steps) > 5, steps
os.waitpid(run(output, resume=True), 0)
"""


def test_killed_ten_times_and_resumed_it_gives_the_same_weights(
    photos: Path, style: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, style, photos, tmp_path]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=200)
    whole, killed = (load_file(tmp_path / f"{n}.safetensors") for n in ("whole", "killed"))
    assert all(torch.equal(value, killed[name]) for name, value in whole.items())
    assert sorted(path.name for path in tmp_path.iterdir() if "part" not in path.name) == [
        "killed.safetensors",
        "whole.safetensors",
    ]


SHARED = """
import json, sys
import pydpst
style, photos = sys.argv[1:]
losses = []
network = pydpst.train(style, photos, size=64, batch=4, accumulate=2, steps=3, held_out=0,
                       precision="float32", callback=lambda p: losses.append(p.losses))
print(json.dumps(losses[-3:] + [float(network.grid.weight.detach().abs().sum())]))
"""


def test_two_processes_are_one_with_twice_the_batch(photos: Path, style: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    both = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, "-c", SHARED, str(style), str(photos)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    runs = [
        subprocess.Popen(command, env=environment | more, stdout=subprocess.PIPE, text=True)
        for more in ({}, both | {"RANK": "0"}, both | {"RANK": "1"})
    ]
    outputs = [run.communicate(timeout=120)[0] for run in runs]
    assert all(run.returncode == 0 for run in runs)
    alone, first, second = (json.loads(output) for output in outputs)
    assert first == second
    for one, other in zip(alone[:3], first[:3], strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert alone[3] == pytest.approx(first[3], rel=1e-3)


def test_a_checkpoint_of_another_training_is_refused(
    photos: Path, style: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model.safetensors"

    with pytest.raises(KeyboardInterrupt):
        pydpst.train(style, photos, output=output, callback=stop_after_two_steps, **SMALL)
    assert read_about(tmp_path / "model.checkpoint", "checkpoint")["step"] == 2
    with pytest.raises(ValueError, match=r"other settings \(style_weight 1.0\)"):
        pydpst.train(style, photos, output=output, resume=True, style_weight=2.0, **SMALL)
    with pytest.raises(ValueError, match=r"other settings \(photos or another style"):
        pydpst.train(photos / "2.png", photos, output=output, resume=True, **SMALL)
    pydpst.train(style, photos, output=output, resume=True, **SMALL)
    assert output.is_file()


def test_unreadable_photos_are_named_and_skipped(photos: Path, style: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    with pytest.warns(
        UserWarning, match="skipped: the training image .*broken.jpg is not an image"
    ):
        pydpst.train(style, [broken, *photos.glob("*.png")], **(SMALL | {"steps": 1}))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"model": "resnet"}, "the model is 'resnet'; it must be grid or transformer."),
        ({"steps": 0}, "steps is 0; it must be a whole number of at least 1."),
        ({"batch": 3, "accumulate": 2}, "the batch is 3; it must be a multiple of accumulate"),
        ({"style_weight": -1}, "style_weight is -1; it must be a number of at least 0."),
        ({"precision": "float8"}, "precision is 'float8'; it must be float32 or bfloat16."),
        ({"output": "model.pt"}, "the output model.pt must end in .safetensors."),
        ({"resume": True}, "resume is on, but there is no output"),
        ({"tensorboard": True}, "tensorboard is on, but there is no log folder; give one."),
        ({"photos": []}, "the list of photos is empty; give at least one photo."),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(
    options: dict[str, object], sentence: str, photos: Path, style: Path
) -> None:
    arguments = {"photos": photos} | SMALL | options
    with pytest.raises(ValueError, match="^" + sentence.replace("(", r"\(")):
        pydpst.train(style, **arguments)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:skipped")
def test_bad_photos_are_one_sentence(run: Run, style: Path, tmp_path: Path) -> None:
    empty, broken = tmp_path / "empty", tmp_path / "broken"
    empty.mkdir()
    broken.mkdir()
    (broken / "one.jpg").write_bytes(b"no photo")
    for folder, sentence in [
        (tmp_path / "none", "do not exist; give a folder of photos."),
        (empty, "holds no photos; give one that does."),
        (broken, "none of the photos can be read; give at least one that can."),
    ]:
        code, err = run("train", style, folder, "-o", tmp_path / "model.safetensors")
        assert code == 2
        assert err.splitlines()[-1].startswith("error: ")
        assert err.endswith(f"{sentence}\n")


def test_bad_model_files_are_one_sentence(run: Run, small_photo: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.safetensors"
    save_model(BilateralGridNet(), good, {})

    def file(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    newer = tmp_path / "newer.safetensors"
    header = json.dumps({"kind": "model", "version": 99})
    save_file(load_file(good), newer, {"pydpst": header})
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, other)
    unfit = tmp_path / "unfit.safetensors"
    about = {"kind": "model", "version": 1, "network": "grid", "settings": {"depth": 3}}
    save_file(load_file(good), unfit, {"pydpst": json.dumps(about)})
    pickled = tmp_path / "pickle.safetensors"
    torch.save({"x": torch.zeros(1)}, pickled)
    for path, sentence in [
        (tmp_path / "none.safetensors", "does not exist"),
        (file("text.safetensors", b"hello"), "is damaged or no safetensors file"),
        (file("cut.safetensors", good.read_bytes()[:-9]), "is damaged or no safetensors file"),
        (pickled, "is damaged or no safetensors file"),
        (other, "is no model of pydpst"),
        (unfit, "does not fit its own settings"),
        (newer, "has version 99, but this pydpst knows versions up to 1; upgrade pydpst."),
    ]:
        code, err = run("apply", path, small_photo, "-o", tmp_path / "out.png")
        assert code == 2
        assert sentence in err
        assert err.count("\n") == 1
        assert not (tmp_path / "out.png").exists()
