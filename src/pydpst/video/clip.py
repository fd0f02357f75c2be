"""Video files read: frames as tensors, upright, and all else that is to be kept."""

from __future__ import annotations

import os
import struct
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
from pydpst.video.hdr import Hdr

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame

CLIPS = (".mp4", ".mov", ".mkv", ".webm")

# Clips may come from strangers: only containers that make libav open no further files.
_READ_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm",
    "protocol_whitelist": "file",
}
_LARGEST_SIDE = 8192

# Matrices, by their codes in ITU-T H.273, and swscale's codes for them.
SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT709, _BT601 = 1, 6
LIMITED, FULL = 1, 2

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
        raise ValueError(f"the output {output} is also an input; choose another name for it.")


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
        aspect: of a pixel of the upright picture, width by height; 0 if it is not said.
        hdr: what the clip says of the display that it was graded on.

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
        context: VideoCodecContext | None = stream.codec_context
        if context is None:
            raise ValueError(f"the clip {path} is coded in a way that is not known; give another.")
        if not MINIMUM_SIDE <= min(context.width, context.height) <= _LARGEST_SIDE:
            raise ValueError(
                f"the clip {path} is {context.width}×{context.height} pixels; each side must "
                f"have {MINIMUM_SIDE} to {_LARGEST_SIDE}."
            )
        stream.thread_type = "AUTO"
        self.rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self.time_base = stream.time_base or 1 / self.rate
        audio = [s for s in container.streams if s.type == "audio"]
        self.copied = [s for s in audio if s.codec_context is not None]
        self.total = stream.frames or self._estimate_total()
        # Sound coded in a way that is not known cannot be copied.
        self.damaged = len(audio) - len(self.copied)
        self.width, self.height = context.width, context.height
        # The container's, if it has one: players take it before the stream's.
        self.aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio
        self.hdr = Hdr()
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
                height, width = item.image.shape[1:]
                if (width, height) != (self.width, self.height) and self.aspect:
                    self.aspect = 1 / self.aspect
                self.height, self.width = height, width
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
        if self.range not in (LIMITED, FULL):
            full = pixels.is_rgb or pixels.name.startswith("yuvj")
            self.range = FULL if full else LIMITED
        matrix = context.colorspace
        if matrix not in SWSCALE_MATRIX:
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
        if self._last is None:
            self.hdr = Hdr.of(frame)
        context = self.stream.codec_context
        deep = self.bits > 8
        planes = self._reformatter.reformat(
            frame,
            context.width,
            context.height,
            "gbrp16le" if deep else "gbrp",
            src_colorspace=SWSCALE_MATRIX[self.matrix],
            dst_colorspace=SWSCALE_MATRIX[self.matrix],
            src_color_range=self.range,
            dst_color_range=FULL,
            interpolation=CONVERSION,
        ).planes
        dtype = np.uint16 if deep else np.uint8
        rows = [
            np.frombuffer(planes[i], dtype).reshape(plane_rows(planes[i]), -1)[:, : context.width]
            for i in (2, 0, 1)
        ]
        image = np.ascontiguousarray(_upright(np.stack(rows), frame))
        step = round(1 / (self.rate * self.time_base))
        pts = frame.pts
        if self._last is not None and (pts is None or pts <= self._last):
            pts = self._last + max(1, step if pts is None else 1)
        self._last = pts = pts or 0
        return Frame(torch.from_numpy(image), pts, float(pts * self.time_base), frame.duration or 0)


def _upright(image: np.ndarray[Any, Any], frame: VideoFrame) -> np.ndarray[Any, Any]:
    """The picture (3, H, W) as players show it: turned and mirrored by the display matrix.

    The matrix (ISO 14496-12, 8.3.2) takes (x, y) to (a·x + c·y + …, b·x + d·y + …).
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return image
    a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
    if abs(b) + abs(c) > abs(a) + abs(d):
        image, a, d = image.swapaxes(1, 2), c, b
    if a < 0:
        image = image[:, :, ::-1]
    return image[:, ::-1] if d < 0 else image


def plane_rows(plane: Any) -> int:
    """How many rows of memory a plane has."""
    return int(plane.buffer_size // plane.line_size)


def _chroma(pixels: VideoFormat) -> str:
    """The subsampling of the colours."""
    if len(pixels.components) < 3:
        return "420"
    across, down = pixels.chroma_width(16) < 16, pixels.chroma_height(16) < 16
    return {(True, True): "420", (True, False): "422"}.get((across, down), "444")
