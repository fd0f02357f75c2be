"""The network that reads looks learns, and a training that was killed ends where it would have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import threads

from pydpst.feedforward.look_cuts import Album, Cut, PlaneStack, parts_of
from pydpst.feedforward.look_pairs import Batch, look_batch, two_windows
from pydpst.feedforward.look_training import ReaderTraining
from pydpst.feedforward.model_file import read_tensors, write_tensors
from pydpst.feedforward.random_looks import random_looks
from pydpst.feedforward.search_criterion import SearchCriterion
from pydpst.photos.color_spaces import oklab, oklab_inverse, srgb_of
from pydpst.reading.network import LookReader
from pydpst.transfer.grade import KNOTS, identity_maps

STEPS = 4


def photos() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(9, 3, 6, 8, generator=generator)
    return list((F.interpolate(coarse, (72, 96), mode="bilinear") * 255).to(torch.uint8))


def training(
    steps: int = STEPS, count: int = 9, start: LookReader | None = None, batch: int = 2
) -> ReaderTraining:
    maps = list(torch.rand(9, 9, 6, 8, generator=torch.Generator().manual_seed(1)).softmax(1))
    return ReaderTraining(photos()[:count], maps[:count], steps, 3, start, batch)


@pytest.fixture(scope="module")
def whole() -> ReaderTraining:
    run = training()
    for step in range(STEPS):
        losses = run.advance()
        assert all(value >= 0 for value in losses.values())
        assert ("search" in losses) == (step == STEPS - 1)
    return run


def test_from_a_network_it_goes_on_to_what_stylize_looks_for(whole: ReaderTraining) -> None:
    before = {name: value.clone() for name, value in whole.average.state_dict().items()}
    run = training(steps=2, start=whole.average)
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, before[name])
    first = run.advance()
    assert first["search"] > 0
    moved = run.network.state_dict()["knot"] - before["knot"]
    assert 0 < moved.abs().max() < 1e-3
    kept = run.result().state_dict()["knot"]
    torch.testing.assert_close(kept, (run.average.state_dict()["knot"] + before["knot"]) / 2)
    assert (kept - before["knot"]).abs().max() > 0
    assert torch.equal(whole.average.state_dict()["knot"], before["knot"])


def test_what_stylize_looks_for_is_less_for_its_own_grade() -> None:
    """A photo under a cast: the grade that takes the cast away loses less than none does."""
    photo = photos()[0][None, :, :64, :64] / 255
    cast = torch.tensor([0.5, 0.8, 1.0]).view(3, 1, 1)
    none = identity_maps(1)[0].expand(1, KNOTS, -1)
    wanted = torch.cat([cast.flatten().diag(), torch.zeros(3, 1)], 1).flatten().expand(1, KNOTS, -1)
    criterion = SearchCriterion(photo.device)
    losses = [criterion(maps.clone(), photo, photo * cast) for maps in (none, wanted)]
    assert losses[1]["style"] < 0.01 < 1 < losses[0]["style"]
    assert losses[1]["search"] < losses[0]["search"]


def test_shadows_that_are_pressed_together_cost_edges() -> None:
    photo = photos()[0] / 255
    criterion = SearchCriterion(photo.device)
    none = identity_maps(1)[0, 0].expand(KNOTS, -1)
    pressed = none.clone()
    pressed[: KNOTS // 2, [0, 5, 10]] = 0.2  # blacks and mid-tones, a fifth of their contrast
    edges = [
        criterion(maps[None], photo[None], photo[None])["edges"].item() for maps in (none, pressed)
    ]
    assert edges[0] < 1e-3
    assert edges[1] > 0.1


def test_killed_after_each_step_it_ends_with_the_same_weights(
    whole: ReaderTraining, tmp_path: Path
) -> None:
    path = tmp_path / "reader.checkpoint"
    for step in range(STEPS):
        run = training()
        if step:
            run.restore(path)
        run.advance()
        run.save(path)
    for module in ("network", "average", "before"):
        pairs = zip(
            getattr(run, module).state_dict().values(),
            getattr(whole, module).state_dict().values(),
            strict=True,
        )
        assert all(torch.equal(have, want) for have, want in pairs)


def test_with_two_threads_it_repeats() -> None:
    with threads(2):
        runs = [training(steps=12) for _ in range(4)]
        for run in runs:
            for _ in range(3):
                run.advance()
    for value, *others in zip(*(run.network.state_dict().values() for run in runs), strict=True):
        assert all(torch.equal(value, other) for other in others)


def test_a_checkpoint_of_another_training_is_refused(whole: ReaderTraining, tmp_path: Path) -> None:
    whole.save(tmp_path / "a.checkpoint")
    for other in (training(steps=9), training(count=8), training(batch=4)):
        with pytest.raises(ValueError, match="other steps, seed, batch, photos or start"):
            other.restore(tmp_path / "a.checkpoint")


@pytest.mark.parametrize("broken", ["step", "tensor"])
def test_a_damaged_checkpoint_is_refused(
    whole: ReaderTraining, tmp_path: Path, broken: str
) -> None:
    path = tmp_path / "a.checkpoint"
    whole.save(path)
    tensors, about = read_tensors(path, "checkpoint")
    if broken == "step":
        about["step"] = 10**9
    else:
        tensors.pop("mean.knot")
    write_tensors(path, tensors, "checkpoint", about)
    with pytest.raises(ValueError, match="is damaged"):
        training().restore(path)


def batch() -> Batch:
    maps = [torch.rand(9, 6, 8).softmax(0) for _ in photos()]
    return look_batch(Album(photos(), maps), seed=1, step=2)


@pytest.mark.parametrize("count", [2, 5, 12])
def test_a_batch_has_as_many_photos_as_are_wanted(count: int) -> None:
    album = Album(photos(), [torch.rand(9, 6, 8).softmax(0) for _ in photos()])
    found = look_batch(album, 0, 1, count)
    assert found.clean.shape == (4, count, 3, 128, 96)
    assert found.masks.shape == (2, count, 128, 96)
    again = look_batch(album, 0, 1, count)
    assert torch.equal(found.shown, again.shown)
    assert not torch.equal(found.shown, look_batch(album, 1, 1, count).shown)


def test_parts_from_a_stack_are_those_cut_one_by_one() -> None:
    """As a GPU has them: of photos that differ in size, larger and smaller than the parts."""
    generator = torch.Generator().manual_seed(0)
    sizes = ((72, 96), (150, 100), (288, 192), (30, 40))
    planes = [torch.randint(256, (3, *x), generator=generator).to(torch.uint8) for x in sizes]
    cuts = [Cut(i % 4, two_windows(generator), i % 3 == 0) for i in range(24)]
    for kind in (planes, [x.half() / 255 for x in planes]):
        stack = PlaneStack(kind, torch.device("cpu"))
        for size in ((96, 128), (112, 112)):
            want = parts_of(kind, cuts, size)
            torch.testing.assert_close(stack.parts(cuts, size), want, rtol=0, atol=1e-4)


def test_a_batch_shows_each_part_under_its_looks() -> None:
    found = batch()
    assert torch.equal(found.clean[1], found.looks[1](found.bases[0]))
    assert torch.equal(found.clean[3], found.looks[2](found.bases[1]))
    assert (found.shown - found.clean).abs().max() < 0.3
    assert found.masks.mean((2, 3)).min() > 0.05


def test_looks_of_no_strength_change_nothing() -> None:
    looks = random_looks(6, torch.Generator().manual_seed(0))
    looks.strength[:] = 0
    images = torch.rand(6, 3, 8, 9)
    assert torch.equal(looks(images), images)


def test_looks_differ_and_stay_in_range() -> None:
    looks = random_looks(64, torch.Generator().manual_seed(0))
    image = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(1))
    results = looks(image.expand(64, -1, -1, -1))
    assert results.min() >= 0
    assert results.max() <= 1
    changes = (results - image).abs().mean((1, 2, 3))
    assert changes.min() < 0.02 < 0.1 < changes.max()


def test_oklab_and_back() -> None:
    colors = torch.rand(2, 3, 50, dtype=torch.float64)
    torch.testing.assert_close(srgb_of(oklab_inverse(oklab(colors))), colors, rtol=0, atol=1e-6)


def test_oklab_of_white_grey_and_red() -> None:
    """Of Ottosson's table, but for the bound at black."""
    colors = torch.tensor([[1.0, 1, 1], [1, 0, 0]]).T[None].double()
    found = oklab(colors)[0].T
    want = torch.tensor([[1.0, 0, 0], [0.628, 0.225, 0.126]]).double()
    torch.testing.assert_close(found, want, rtol=0, atol=0.05)
