"""Clips get one grade a shot, which cannot flicker."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import Run

import pydpst
from pydpst.feedforward.grade_net import GradeNet
from pydpst.photos.resizing import resize
from pydpst.video.shot_grade import ShotGrade

av = pytest.importorskip("av")


def small(path: Path, size: int = 128) -> torch.Tensor:
    return resize(pydpst.load_image(path), size)


def darkened(image: torch.Tensor) -> GradeNet:
    """A grade that makes a mean of 0.3 of the frame."""
    found = GradeNet([["whole"]])
    found.maps.data = found.maps * (0.3 / image.mean())
    return found


def test_a_shot_keeps_its_grade_and_a_cut_ends_it(city_day: Path, city_night: Path) -> None:
    look = ShotGrade(darkened)
    day, night = small(city_day), small(city_night)
    first = look(day, 0.0)
    torch.testing.assert_close(look(day, 0.04), first, rtol=0, atol=0)
    darker = look(0.9 * day, 0.08)
    assert (darker.mean() < first.mean()).item()  # a new grade would undo it
    assert look.cuts == 0
    other = look(night, 0.12)
    assert look.cuts == 1
    assert torch.equal(other, ShotGrade(darkened)(night, 0.0))


def test_regions_follow_what_moves(city_day: Path) -> None:
    """The sky loses red; half a second after a pan it does so where it is now."""

    def find(frame: torch.Tensor) -> GradeNet:
        found = GradeNet([["sky"], ["building", "ground", "vegetation", "water"]])
        found.maps.data[0, ..., 3] -= 0.4  # the offset of red
        return found

    day = small(city_day, 256)
    panned = torch.cat([day[:, :1].expand(-1, 30, -1), day[:, :-30]], 1)
    look = ShotGrade(find)
    look(day, 0.0)
    for step in range(1, 6):
        result = look(panned, 0.6 * step)
    assert look.cuts == 0
    lost = (panned - result)[0]
    assert lost[:60].mean() > 0.25
    assert lost[-60:].abs().mean() < 0.02


def test_regions_move_between_key_frames_and_come_into_view(city_day: Path) -> None:
    """The sky is brighter; a tenth of a second later it is so where it is now."""

    def find(frame: torch.Tensor) -> GradeNet:
        found = GradeNet([["sky"], ["building", "ground", "vegetation", "water"]])
        found.maps.data[0, ..., 3] -= 0.4
        return found

    day = small(city_day, 512)
    look = ShotGrade(find)
    frames = [day[:, 10 * step :, :256][:, :128] for step in (0, 1, 2)]
    for step, frame in enumerate(reversed(frames)):
        result = look(frame, 0.04 * step)
    assert look.cuts == 0
    by_itself = ShotGrade(find)(frames[0], 0.0)
    assert (result - by_itself).abs().mean() < 0.015
    # What has come into view is sky.
    assert (frames[0] - result)[0, :15].mean() > 0.25


@pytest.fixture
def clip(tmp_path: Path, city_day: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        image = (small(city_day) * 255).round().byte().permute(1, 2, 0).numpy()
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


def test_the_command_takes_clips(run: Run, clip: Path, city_night: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    code, told = run("stylize", clip, city_night, "-o", out, "--steps", "3", "--size", "128")
    assert code == 0, told
    assert "5 frames" in told
    with av.open(out) as result, av.open(clip) as source:
        ours, own = (
            [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            for container in (result, source)
        )
    assert len(ours) == len(own) == 5
    assert abs(ours[0].astype(float) - own[0]).mean() > 5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--compare", "c.png"], "--compare goes with one photo"),
        (["--lock", "blue"], "--lock goes with a photo"),
        (["--method", "pixels"], "a clip gets a grade"),
        (["--regions", "clusters"], "--regions clusters goes with a photo"),
        (["--preserve-luminance"], "--preserve-luminance goes with a photo"),
        (["--strength", "blue=0.5"], "--strength by region goes with a photo"),
    ],
)
def test_what_is_for_photos_is_refused(
    run: Run, clip: Path, city_night: Path, tmp_path: Path, options: list[str], sentence: str
) -> None:
    code, told = run("stylize", clip, city_night, "-o", tmp_path / "out.mp4", *options)
    assert (code, told.count("\n")) == (2, 1)
    assert sentence in told
    assert not (tmp_path / "out.mp4").exists()
