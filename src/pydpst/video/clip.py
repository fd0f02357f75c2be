"""Video files in and out: frames as tensors, and everything else as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pydpst.photos.limits import MINIMUM_SIDE
from pydpst.photos.writing import check_output

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame

# The muxer for each suffix.
_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
CLIPS = tuple(_FORMATS)

_ENCODERS: dict[str, dict[str, str]] = {
    "libx264": {"crf": "18", "preset": "veryfast"},
    "libx265": {"crf": "18", "preset": "veryfast", "x265-params": "log-level=error"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "5", "row-mt": "1"},
}

# Clips may come from strangers: only containers that make libav open no further files.
_READ_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm",
    "protocol_whitelist": "file",
}
_LARGEST_SIDE = 8192

# Matrices, by their codes in ITU-T H.273, and swscale's codes for them.
_SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT709, _BT601 = 1, 6
_LIMITED, _FULL = 1, 2

# SWS_BILINEAR | SWS_ACCURATE_RND: without the second, each conversion darkens by a level.
CONVERSION = 0x2 | 0x40000


@dataclass(frozen=True)
class Frame:
    """A frame of a clip.

    Attributes:
        image: (3, H, W), upright, uint8 or uint16.
        pts: when it is shown, in the stream's time base.
        time: the same in seconds.
        duration: in the time base; 0 if it is not known.
    """

    image: Tensor
    pts: int
    time: float
    duration: int


def check_clip(clip: str | os.PathLike[str], output: str | os.PathLike[str]) -> None:
    """Refuses paths of a clip and its result that cannot be.

    Raises:
        ValueError: with a sentence that names the path.
    """
    path = Path(clip)
    if not path.is_file():
        problem = "is no file" if path.exists() else "does not exist"
        raise ValueError(f"the clip {path} {problem}; give the path of a video file.")
    if check_output(output, CLIPS).resolve() == path.resolve():
        raise ValueError(f"the output {output} is also the input; choose another name for it.")


class ClipReader:
    """Decodes a clip, and hands on the packets of its sound.

    Iterating gives, in the order of the file, `Frame`s and packets to be copied. A packet that
    cannot be decoded is left out.

    Args:
        path: of an mp4, mov, mkv or webm file.
        container: the file; `open` opens it.

    Attributes:
        total: how many frames there will be, as the file has it; None where it does not say.
        damaged: how many packets could not be decoded so far.

    Raises:
        ValueError: if the file is no such clip, holds no frame that can be decoded, or frames of
            fewer than 16 or more than 8192 pixels a side.
    """

    def __init__(self, path: str | os.PathLike[str], container: InputContainer) -> None:
        from av.video.reformatter import VideoReformatter

        self.path, self.container = path, container
        stream = container.streams.best("video")
        if stream is None:
            raise ValueError(f"the clip {path} holds no video; give one that does.")
        self.stream = stream
        context = stream.codec_context
        if not MINIMUM_SIDE <= min(context.width, context.height) <= _LARGEST_SIDE:
            raise ValueError(
                f"the clip {path} is {context.width}×{context.height} pixels; each side must "
                f"have {MINIMUM_SIDE} to {_LARGEST_SIDE}."
            )
        stream.thread_type = "AUTO"
        self.rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self.time_base = stream.time_base or 1 / self.rate
        self.copied = [s for s in container.streams if s.type == "audio"]
        self.total = stream.frames or self._estimate_total()
        self.damaged = 0
        self.width, self.height = context.width, context.height
        self._describe_colours()
        self._reformatter = VideoReformatter()
        self._last: int | None = None
        self._items = self._decode()
        self._ahead: list[Frame | Packet] = []

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> ClipReader:
        """Opens a clip and decodes its first frame."""
        import av

        try:
            container = av.open(
                os.fspath(path), "r", container_options=_READ_OPTIONS, metadata_errors="replace"
            )
        except (av.FFmpegError, OSError) as error:
            raise ValueError(
                f"the clip {path} is no video or damaged ({error.strerror}); give an mp4, mov, mkv "
                "or webm file."
            ) from None
        try:
            reader = cls(path, container)
            reader._decode_first()
        except BaseException:
            container.close()
            raise
        return reader

    def _decode_first(self) -> None:
        """What a player would turn is known with the first frame."""
        for item in self._items:
            self._ahead.append(item)
            if isinstance(item, Frame):
                self.height, self.width = item.image.shape[1:]
                return
        raise ValueError(f"no frame of the clip {self.path} can be decoded; give an undamaged one.")

    def __iter__(self) -> Iterator[Frame | Packet]:
        """Each frame and packet, once."""
        while self._ahead:
            yield self._ahead.pop(0)
        yield from self._items

    def close(self) -> None:
        """Closes the file."""
        self.container.close()

    def _describe_colours(self) -> None:
        context = self.stream.codec_context
        pixels: VideoFormat | None = context.format
        if pixels is None:
            raise ValueError(f"no frame of the clip {self.path} can be decoded; give another.")
        self.bits = max(component.bits for component in pixels.components)
        self.chroma = "444" if pixels.is_rgb else _chroma(pixels)
        self.range = context.color_range
        if self.range not in (_LIMITED, _FULL):
            full = pixels.is_rgb or pixels.name.startswith("yuvj")
            self.range = _FULL if full else _LIMITED
        matrix = context.colorspace
        if matrix not in _SWSCALE_MATRIX:
            # What players take where the file does not say.
            matrix = _BT709 if context.height >= 720 else _BT601
        self.matrix = matrix

    def _estimate_total(self) -> int | None:
        if self.stream.duration:
            seconds = float(self.stream.duration * self.time_base)
        elif self.container.duration:
            seconds = self.container.duration / 1e6
        else:
            return None
        return max(1, round(seconds * self.rate))

    def _decode(self) -> Iterator[Frame | Packet]:
        import av

        packets = self.container.demux([self.stream, *self.copied])
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:
                # The file ends in the middle of something.
                self.damaged += 1
                return
            if packet.stream is not self.stream:
                if packet.dts is not None:
                    yield packet
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                yield self._convert(frame)

    def _convert(self, frame: VideoFrame) -> Frame:
        context = self.stream.codec_context
        deep = self.bits > 8
        planes = self._reformatter.reformat(
            frame,
            context.width,
            context.height,
            "gbrp16le" if deep else "gbrp",
            src_colorspace=_SWSCALE_MATRIX[self.matrix],
            dst_colorspace=_SWSCALE_MATRIX[self.matrix],
            src_color_range=self.range,
            dst_color_range=_FULL,
            interpolation=CONVERSION,
        ).planes
        dtype = np.uint16 if deep else np.uint8
        rows = [
            np.frombuffer(planes[i], dtype).reshape(plane_rows(planes[i]), -1)[:, : context.width]
            for i in (2, 0, 1)
        ]
        image = np.ascontiguousarray(np.rot90(np.stack(rows), frame.rotation // 90, (1, 2)))
        step = round(1 / (self.rate * self.time_base))
        pts = frame.pts
        if self._last is not None and (pts is None or pts <= self._last):
            pts = self._last + max(1, step if pts is None else 1)
        self._last = pts = pts or 0
        return Frame(torch.from_numpy(image), pts, float(pts * self.time_base), frame.duration or 0)


def plane_rows(plane: Any) -> int:
    """How many rows of memory a plane has."""
    return int(plane.buffer_size // plane.line_size)


def _chroma(pixels: VideoFormat) -> str:
    """The subsampling of the colours."""
    if len(pixels.components) < 3:
        return "420"
    across, down = pixels.chroma_width(16) < 16, pixels.chroma_height(16) < 16
    return {(True, True): "420", (True, False): "422"}.get((across, down), "444")


class ClipWriter:
    """Encodes frames, and puts them with the packets of the sound of the clip they come from.

    Args:
        path: where to write.
        suffix: one of CLIPS, which gives the format.
        source: the clip that the frames come from.

    Raises:
        ValueError: if this format cannot hold the clip's sound.
        OSError: if writing fails.
    """

    def __init__(self, path: Path, suffix: str, source: ClipReader) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self._source = source
        self._reformatter = VideoReformatter()
        options = {"movflags": "+faststart"} if suffix in (".mp4", ".mov") else {}
        self.container = av.open(path, "w", format=_FORMATS[suffix], container_options=options)
        self.container.metadata.update(source.container.metadata)
        encoder = "libvpx-vp9" if suffix == ".webm" else "libx264"
        if encoder == "libx264" and source.bits > 8:
            encoder = "libx265"
        self.stream = stream = self.container.add_stream(
            encoder, source.rate, dict(_ENCODERS[encoder])
        )
        context = stream.codec_context
        context.width, context.height = source.width, source.height
        context.time_base = stream.time_base = source.time_base
        context.pix_fmt = self._pixels(encoder)
        original = source.stream.codec_context
        for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, tag, getattr(original, tag))
        ratio = original.sample_aspect_ratio
        if ratio:
            turned = (original.width, original.height) != (source.width, source.height)
            context.sample_aspect_ratio = 1 / ratio if turned else ratio
        if encoder == "libx265" and suffix != ".mkv":
            context.codec_tag = "hvc1"  # the one that Apple's players know
        self.stream.metadata.update(
            {k: v for k, v in source.stream.metadata.items() if k in ("language", "title")}
        )
        try:
            self._copies = {
                copied.index: self.container.add_stream_from_template(copied)
                for copied in source.copied
            }
            self.container.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            self.container.close()
            names = ", ".join(copied.codec_context.name for copied in source.copied)
            raise ValueError(
                f"a {suffix} file cannot hold the sound of the clip {source.path} "
                f"({names or error}); choose .mkv."
            ) from None

    def _pixels(self, encoder: str) -> str:
        import av

        source = self._source
        known = {pixels.name for pixels in av.Codec(encoder, "w").video_formats or ()}
        odd = source.width % 2 or source.height % 2
        for chroma in ("444" if odd else source.chroma, "444" if odd else "420"):
            for depth in ("10le" if source.bits > 8 else "", ""):
                if (name := f"yuv{chroma}p{depth}") in known:
                    return name
        return "yuv420p"

    def write(self, item: Frame | Packet) -> None:
        """Writes a frame, or copies a packet.

        Raises:
            OSError: if writing fails.
        """
        if isinstance(item, Frame):
            self.container.mux(self.stream.encode(self._frame(item)))
        else:
            item.stream = self._copies[item.stream.index]
            self.container.mux(item)

    def close(self) -> None:
        """Ends the file.

        Raises:
            OSError: if writing fails.
        """
        self.container.mux(self.stream.encode(None))
        self.container.close()

    def _frame(self, frame: Frame) -> VideoFrame:
        import av

        levels = frame.image.numpy()
        deep = levels.dtype == np.uint16
        height, width = levels.shape[1:]
        colours = av.VideoFrame(width, height, "gbrp16le" if deep else "gbrp")
        for channel, i in enumerate((2, 0, 1)):
            plane = colours.planes[i]
            rows = np.frombuffer(plane, levels.dtype).reshape(plane_rows(plane), -1)
            rows[:height, :width] = levels[channel]
        matrix = _SWSCALE_MATRIX[self._source.matrix]
        result = self._reformatter.reformat(
            colours,
            format=self.stream.codec_context.pix_fmt,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=_FULL,
            dst_color_range=self._source.range,
            interpolation=CONVERSION,
        )
        result.pts, result.time_base = frame.pts, self._source.time_base
        result.duration = frame.duration
        return result
