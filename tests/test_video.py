"""Restyling clips: what is kept of the file, how it ends, and that the look does not flicker."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Run
from torch import Tensor, nn

import pydpst
from pydpst.feedforward.grid import FittedGrid
from pydpst.photos.resizing import resize
from pydpst.video.clip import CONVERSION, ClipReader, Frame
from pydpst.video.hdr import Hdr
from pydpst.video.smooth_look import SteadyNetwork, apply_to_clip, is_cut

av = pytest.importorskip("av")

WIDTH, HEIGHT, FRAMES = 96, 64, 12


def _frames(photo: Path) -> list[Tensor]:
    """A pan over a photo."""
    image = resize(pydpst.load_image(photo), 3 * WIDTH)
    return [image[:, 40 : 40 + HEIGHT, 20 + i : 20 + i + WIDTH] for i in range(FRAMES)]


@pytest.fixture
def write(tmp_path: Path, city_day: Path) -> Callable[..., Path]:
    """Writes a clip of a pan over a photo."""

    def write(
        name: str = "clip.mp4",
        *,
        codec: str = "libx264",
        pixels: str = "yuv420p",
        frames: list[Tensor] | None = None,
        times: list[int] | None = None,
        sound: str | None = "aac",
        **tags: Any,
    ) -> Path:
        frames = _frames(city_day) if frames is None else frames
        with av.open(tmp_path / name, "w") as container:
            container.metadata["title"] = "a pan"
            stream = container.add_stream(codec, rate=25, options={"crf": "8"})
            context = stream.codec_context
            context.height, context.width = frames[0].shape[1:]
            context.pix_fmt, context.time_base = pixels, Fraction(1, 1000)
            for tag, value in tags.items():
                setattr(context, tag, value)
            if sound is not None:
                audio = container.add_stream(sound, rate=48000)
            for i, frame in enumerate(frames):
                levels = (frame * 255).round().byte().permute(1, 2, 0).contiguous()
                picture = av.VideoFrame.from_ndarray(levels.numpy(), "rgb24").reformat(
                    format=pixels,
                    dst_colorspace={1: 1, 9: 9}.get(tags.get("colorspace", 0), 5),
                    dst_color_range=tags.get("color_range", 1),
                    interpolation=CONVERSION,
                )
                picture.pts = times[i] if times else 40 * i
                picture.time_base = Fraction(1, 1000)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
            if sound is not None:
                size = audio.codec_context.frame_size or 1024
                for i in range(len(frames) * 1920 // size):
                    wave = np.sin(np.arange(i * size, (i + 1) * size, dtype=np.float32) / 20)
                    piece = av.AudioFrame.from_ndarray(wave[None], "fltp", "mono")
                    piece.sample_rate, piece.pts = 48000, i * size
                    piece.time_base = Fraction(1, 48000)
                    container.mux(audio.encode(piece))
                container.mux(audio.encode(None))
        return tmp_path / name

    return write


def _pictures(path: Path) -> list[Tensor]:
    """The frames of a clip, as they are shown, by the reader."""
    reader = ClipReader.open(path)
    largest = 65535 if reader.bits > 8 else 255
    frames = [item.image.float() / largest for item in reader if isinstance(item, Frame)]
    reader.close()
    return frames


def _packets(path: Path, kind: str) -> list[tuple[bytes, int]]:
    with av.open(path) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [(bytes(p), p.pts * stream.time_base) for p in container.demux(stream) if p.size]


def _times(path: Path) -> list[Fraction]:
    with av.open(path) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def _distance(clip: list[Tensor], other: list[Tensor]) -> float:
    """The largest mean error of colours in 8-bit levels; less detail, which the coding takes."""
    pairs = zip(clip, other, strict=True)
    return max(255 * float(F.avg_pool2d(a - b, 16, 16).abs().mean()) for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "codec", "sound", "coded"),
    [
        ("clip.mp4", "libx264", "aac", "h264"),
        ("clip.mov", "libx264", "aac", "h264"),
        ("clip.mkv", "libx264", "libopus", "h264"),
        ("clip.webm", "libvpx-vp9", "libopus", "vp9"),
    ],
)
def test_sound_times_and_title_are_kept(
    run: Run, write: Callable[..., Path], name: str, codec: str, sound: str, coded: str
) -> None:
    times = [0, 40, 80, 200, 240, 280, 300, 340, 380, 420, 460, 500]
    clip = write(name, codec=codec, sound=sound, times=times)
    output = clip.with_stem("out")
    code, err = run("apply", "night", clip, "-o", output)
    assert code == 0
    assert "12 frames" in err
    assert "frames a second" in err
    assert _times(output) == _times(clip)
    assert _packets(output, "audio") == _packets(clip, "audio")
    with av.open(output) as container:
        assert container.metadata["title" if "title" in container.metadata else "TITLE"] == "a pan"
        assert container.streams.video[0].codec_context.name == coded
    assert sorted(path.name for path in clip.parent.iterdir()) == sorted([name, output.name])


@pytest.mark.parametrize(("matrix", "full"), [(1, False), (6, False), (1, True), (9, False)])
def test_colours_are_kept(write: Callable[..., Path], matrix: int, full: bool) -> None:
    tags = {
        "color_range": 2 if full else 1,
        "colorspace": matrix,
        "color_primaries": matrix,
        "color_trc": 1,
    }
    clip = write(**tags)
    output = clip.with_stem("out")
    apply_to_clip(FittedGrid(), clip, output)
    with av.open(output) as container:
        context = container.streams.video[0].codec_context
        assert {tag: getattr(context, tag) for tag in tags} == tags
    assert _distance(_pictures(output), _pictures(clip)) < 1.5


def test_the_frames_are_those_of_the_photo(write: Callable[..., Path], city_day: Path) -> None:
    for tags in ({"colorspace": 1}, {"colorspace": 1, "color_range": 2}, {}):
        assert _distance(_pictures(write(**tags)), _frames(city_day)) < 1.5


def test_more_than_8_bits_and_subsampling_are_kept(write: Callable[..., Path]) -> None:
    clip = write(codec="libx265", pixels="yuv422p10le")
    output = clip.with_stem("out")
    apply_to_clip(FittedGrid(), clip, output)
    with av.open(output) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv422p10le"
    assert _distance(_pictures(output), _pictures(clip)) < 1


def test_odd_sizes_are_kept(write: Callable[..., Path], city_day: Path) -> None:
    frames = [frame[:, :-1, :-3] for frame in _frames(city_day)]
    clip = write(pixels="yuv444p", frames=frames)
    apply_to_clip(FittedGrid(), clip, clip.with_stem("out"))
    assert _pictures(clip.with_stem("out"))[0].shape == frames[0].shape


# By the first four numbers of the matrix: what players do with the picture.
MATRICES = {
    (0, 1, -1, 0): lambda image: image.rot90(-1, (1, 2)),
    (-1, 0, 0, -1): lambda image: image.rot90(2, (1, 2)),
    (0, -1, 1, 0): lambda image: image.rot90(1, (1, 2)),
    (-1, 0, 0, 1): lambda image: image.flip(2),
    (1, 0, 0, -1): lambda image: image.flip(1),
    (0, 1, 1, 0): lambda image: image.transpose(1, 2),
    (0, -1, -1, 0): lambda image: image.rot90(2, (1, 2)).transpose(1, 2),
}


@pytest.mark.parametrize("matrix", MATRICES)
def test_turned_and_mirrored_clips_become_upright(
    write: Callable[..., Path], matrix: tuple[int, ...]
) -> None:
    clip = write(sound=None)
    seen = _pictures(clip)
    # The matrix of the track header (ISO 14496-12, 8.3.2).
    a, b, c, d = matrix
    data = bytearray(clip.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 32] = struct.pack(">8i", *(v << 16 for v in (a, b, 0, c, d, 0, 0, 0)))
    clip.write_bytes(data)
    output = clip.with_stem("out")
    apply_to_clip(FittedGrid(), clip, output)
    assert _distance(_pictures(output), [MATRICES[matrix](frame) for frame in seen]) < 1
    with av.open(output) as container:
        frame = next(container.decode(video=0))
        assert frame.rotation == 0
        assert frame.side_data.get("DISPLAYMATRIX") is None


@pytest.mark.parametrize("turned", [False, True])
def test_the_aspect_of_pixels_that_the_container_states_is_kept(
    write: Callable[..., Path], turned: bool
) -> None:
    clip = write(sound=None, sample_aspect_ratio=Fraction(1))
    data = bytearray(clip.read_bytes())
    at = data.index(b"pasp") + 4
    data[at : at + 8] = struct.pack(">II", 21, 16)
    if turned:
        at = data.index(b"tkhd") + 4 + 40
        data[at : at + 32] = struct.pack(">8i", *(v << 16 for v in (0, 1, 0, -1, 0, 0, 0, 0)))
    clip.write_bytes(data)
    output = clip.with_stem("out")
    apply_to_clip(FittedGrid(), clip, output)
    with av.open(output) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio == (Fraction(16, 21) if turned else Fraction(21, 16))


def test_an_aspect_that_webm_does_not_keep_is_told_of(write: Callable[..., Path]) -> None:
    clip = write(sound=None, sample_aspect_ratio=Fraction(21, 16))
    with pytest.warns(UserWarning, match="the aspect 21/16 of the clip's pixels is not kept"):
        apply_to_clip(FittedGrid(), clip, clip.with_name("out.webm"))


def test_mastering_data_of_hdr10_are_kept_or_told_of(tmp_path: Path, city_day: Path) -> None:
    clip = tmp_path / "clip.mp4"
    display = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)"
    params = f"log-level=error:hdr10=1:master-display={display}:max-cll=1000,400"
    with av.open(clip, "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": params})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p10le"
        for frame in _frames(city_day)[:4]:
            levels = (frame * 255).round().byte().permute(1, 2, 0).contiguous()
            picture = av.VideoFrame.from_ndarray(levels.numpy(), "rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p10le")))
        container.mux(stream.encode(None))

    def hdr_of(path: Path) -> Hdr:
        reader = ClipReader.open(path)
        reader.close()
        return reader.hdr

    want = hdr_of(clip)
    assert want.light == (1000, 400)
    assert want.mastering == pytest.approx(
        (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329, 0.005, 1000)
    )
    apply_to_clip(FittedGrid(), clip, tmp_path / "out.mp4")
    assert hdr_of(tmp_path / "out.mp4") == want
    with pytest.warns(UserWarning, match="mastering data of HDR10 are not kept"):
        apply_to_clip(FittedGrid(), clip, tmp_path / "out.webm")


def test_the_look_is_that_of_the_model(write: Callable[..., Path]) -> None:
    clip = write()
    output = clip.with_stem("out")
    apply_to_clip(pydpst.load_model("night"), clip, output, strength=0.5, seconds=0)
    wanted = [pydpst.apply_model("night", frame, strength=0.5) for frame in _pictures(clip)]
    assert _distance(_pictures(output), wanted) < 1.5
    assert _distance(_pictures(clip), wanted) > 10


def test_coefficients_are_averaged_until_a_cut(city_day: Path, city_night: Path) -> None:
    frames = _frames(city_day)
    darker = [frame * (0.7 if i % 2 else 1.0) for i, frame in enumerate(frames)]
    network = pydpst.load_model("night")

    def changes(seconds: float) -> list[float]:
        steady = SteadyNetwork(network, seconds)
        means = [steady(frame, i / 25).mean() for i, frame in enumerate(darker)]
        assert steady.cuts == 0
        # The model alone undoes a change of exposure; a steady look keeps it.
        return [float(b - a) for a, b in pairwise(means)]

    assert abs(changes(0)[0]) < 0.5 * abs(changes(1.0)[0])
    steady = SteadyNetwork(network)
    for i, frame in enumerate(frames):
        steady(frame, i / 25)
    other = _frames(city_night)[0]
    torch.testing.assert_close(steady(other, 1.0), network(other[None])[0])
    assert steady.cuts == 1


def test_cuts_are_told_from_pans_and_flashes(city_day: Path, city_night: Path) -> None:
    network = pydpst.load_model("night")
    photo, other = (resize(pydpst.load_image(path), 512)[None] for path in (city_day, city_night))
    for image, cut in [
        (other, True),
        (photo.flip(1) ** 2, False),
        (photo.roll(60, -1), False),
        ((photo * 1.8).clamp(0, 1), False),
    ]:
        assert is_cut(network.small_copy(photo), network.small_copy(image)) == cut


@pytest.mark.parametrize("style", ["dusk", "meadow", "mist"])
def test_the_result_flickers_no_more_than_the_clip(style: str, city_day: Path) -> None:
    photo = resize(pydpst.load_image(city_day), 256)
    generator = torch.Generator().manual_seed(0)
    frames = []
    for i in range(16):
        frame = photo[:, 10 : 10 + 72, 4 * i : 4 * i + 128]
        frames.append((frame + 0.01 * torch.randn(frame.shape, generator=generator)).clamp(0, 1))

    def flicker(frames: list[Tensor], side: int) -> float:
        """Of means of side × side pixels, along the pan: 4 pixels a frame."""
        moved = [F.avg_pool2d(b[..., :-4] - a[..., 4:], side) for a, b in pairwise(frames)]
        return float(torch.stack(moved).square().mean().sqrt())

    network = pydpst.load_model(style)
    results = {}
    for seconds in (0.0, 1.0):
        steady = SteadyNetwork(network, seconds)
        results[seconds] = [steady(frame, i / 25).clamp(0, 1) for i, frame in enumerate(frames)]
    assert flicker(results[1.0], 1) < 1.1 * flicker(frames, 1)
    assert flicker(results[1.0], 8) < flicker(results[0.0], 8)


class _Interrupted(FittedGrid):
    def forward(self, image: Tensor) -> Tensor:
        self.count = getattr(self, "count", 0) + 1
        if self.count == 8:
            raise KeyboardInterrupt
        return super().forward(image)


def test_ctrl_c_leaves_a_clip_of_the_frames_so_far(write: Callable[..., Path]) -> None:
    clip = write()
    output = clip.with_stem("out")
    result = apply_to_clip(_Interrupted(), clip, output)
    assert (result.frames, result.interrupted) == (7, True)
    assert _times(output) == _times(clip)[:7]
    assert len(list(clip.parent.iterdir())) == 2


class _Failing(FittedGrid):
    def forward(self, image: Tensor) -> Tensor:
        raise MemoryError("no memory for the frame")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_clips_with_flipped_bytes_are_restyled_or_one_sentence(
    name: str, write: Callable[..., Path], tmp_path: Path
) -> None:
    whole = write(name, frames=[torch.rand(3, 32, 32) for _ in range(4)]).read_bytes()
    random = np.random.default_rng(0)
    clip, output, refused = tmp_path / name, tmp_path / f"out-{name}", 0
    for _ in range(60):
        data = np.frombuffer(whole, np.uint8).copy()
        places = random.integers(0, len(data), random.choice([1, 3, 30, 300]))
        data[places] ^= (1 << random.integers(0, 8, len(places))).astype(np.uint8)
        end = len(data) if random.random() > 0.2 else random.integers(0, len(data))
        clip.write_bytes(data[:end].tobytes())
        try:
            apply_to_clip(FittedGrid(), clip, output)
        except (ValueError, OSError) as error:
            refused += 1
            assert str(error).count("\n") == 0  # noqa: PT017
    assert 0 < refused < 60
    assert not list(tmp_path.glob(".pydpst-*"))


def test_frames_of_nan_are_not_written(write: Callable[..., Path], tmp_path: Path) -> None:
    broken = FittedGrid()
    broken.grid.fill_(torch.nan)
    clip = write(sound=None)
    with pytest.raises(ValueError, match=r"the frame at 0\.00 s became NaN"):
        apply_to_clip(broken, clip, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == [clip]


def test_a_failure_leaves_nothing(write: Callable[..., Path]) -> None:
    clip = write()
    with pytest.raises(MemoryError, match="no memory"):
        apply_to_clip(_Failing(), clip, clip.with_stem("out"))
    assert list(clip.parent.iterdir()) == [clip]


def test_a_cut_off_clip_gives_what_can_be_decoded(run: Run, write: Callable[..., Path]) -> None:
    clip = write("clip.mkv")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    assert run("apply", "night", clip, "-o", clip.with_stem("out"))[0] == 0
    assert 0 < len(_times(clip.with_stem("out"))) <= FRAMES


def test_several_clips(run: Run, write: Callable[..., Path], tmp_path: Path) -> None:
    clips = [write("a.mp4"), write("b.mkv")]
    (tmp_path / "out").mkdir()
    assert run("apply", "night", *clips, "-o", tmp_path / "out")[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mp4", "b.mkv"]


def test_bad_input_is_one_sentence(
    run: Run, write: Callable[..., Path], small_photo: Path, tmp_path: Path
) -> None:
    clip, text, sound = write(), tmp_path / "text.mp4", tmp_path / "sound.mp4"
    text.write_text("no video")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[:3000])
    playlist = tmp_path / "list.mp4"
    playlist.write_text(f"ffconcat version 1.0\nfile {clip}\n")
    with av.open(sound, "w") as container:
        stream = container.add_stream("aac", rate=48000)
        piece = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        piece.sample_rate = 48000
        container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    tiny = write("tiny.mp4", frames=[torch.zeros(3, 8, 8)] * 3)
    output = tmp_path / "out.mp4"
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for arguments, sentence in [
        ((tmp_path / "gone.mp4", "-o", output), "does not exist"),
        ((text, "-o", output), "is no video or damaged"),
        ((cut, "-o", output), "is no video or damaged"),
        ((playlist, "-o", output), "is no video or damaged"),
        ((sound, "-o", output), "holds no video"),
        ((tiny, "-o", output), "8×8 pixels; each side must have 16 to 8192"),
        ((clip, "-o", clip), "is also an input"),
        ((clip, "-o", tmp_path / "out.gif"), "must end in one of .mp4, .mov, .mkv, .webm"),
        ((clip, "-o", tmp_path / "out.webm"), "cannot hold the sound"),
        ((clip, small_photo, "-o", tmp_path), "restyled separately"),
        ((clip, tiny, "-o", output), "must be a folder that exists"),
        ((clip, "-o", output, "--strength", "3"), "strength is 3.0"),
    ]:
        code, err = run("apply", "night", *arguments)
        assert code == 2, err
        assert sentence in err
        assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_network_may_be_of_any_kind(write: Callable[..., Path]) -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(0.5))

        def forward(self, image: Tensor) -> Tensor:
            return self.scale * image

    clip = write(sound=None)
    apply_to_clip(Half().requires_grad_(False), clip, clip.with_stem("out"))
    wanted = [frame / 2 for frame in _pictures(clip)]
    assert _distance(_pictures(clip.with_stem("out")), wanted) < 1
