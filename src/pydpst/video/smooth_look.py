"""Restyling video frame by frame, with a look that changes slowly."""

from __future__ import annotations

import math
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pydpst.feedforward.networks import BilateralGridNet
from pydpst.ops import bilateral_slice_apply
from pydpst.transfer.finish import check_strength
from pydpst.video.clip import ClipReader, Frame, check_clip
from pydpst.video.clip_writer import ClipWriter

if TYPE_CHECKING:
    from av.packet import Packet

# Frames that are decoded ahead, and results that wait to be encoded.
_AHEAD = 3


class FrameLook(Protocol):
    """New colours for the frames of a clip, in their order."""

    cuts: int

    def __call__(self, image: Tensor, time: float) -> Tensor:
        """Restyles the next frame (3, H, W) in [0, 1], at so many seconds."""


class SteadyNetwork:
    """A network for the frames of a clip, in their order.

    The coefficients of a `BilateralGridNet`, its linear map and its grid, are averaged over the
    frames so far, with weights that fall by e in `seconds`; after a cut anew. Other networks have
    no coefficients, and are applied to each frame by itself.

    Args:
        network: maps (B, 3, H, W) in [0, 1] to the same.
        seconds: how long the colours of a frame count; 0 takes each frame by itself.

    Attributes:
        cuts: how many were found.
    """

    def __init__(self, network: nn.Module, seconds: float = 1.0) -> None:
        self.network, self.seconds = network, seconds
        self.cuts = 0
        self._before: tuple[float, Tensor] | None = None
        self._averages: tuple[Tensor, Tensor, Tensor] | None = None

    @torch.no_grad()
    def __call__(self, image: Tensor, time: float) -> Tensor:
        """Restyles the next frame.

        Args:
            image: (3, H, W), float32, in [0, 1].
            time: of the frame, in seconds.

        Returns:
            (3, H, W); a little may lie outside [0, 1].
        """
        network, image = self.network, image[None]
        if not isinstance(network, BilateralGridNet):
            result: Tensor = network(image)[0]
            return result
        copy = network.small_copy(image)
        share = self._share(copy, time)
        matrix, offset = network.linear_map(copy)
        if self._averages is not None:
            matrix = self._averages[0].lerp(matrix, share)
            offset = self._averages[1].lerp(offset, share)
        grid = network.transforms(copy, matrix, offset)
        if self._averages is not None:
            grid = self._averages[2].lerp(grid, share)
        self._averages = matrix, offset, grid
        return bilateral_slice_apply(grid, network.guide(image, matrix, offset), image)[0]

    def _share(self, copy: Tensor, time: float) -> float:
        """The weight of the frame beside those before it, which a cut makes forget."""
        before, self._before = self._before, (time, copy)
        if before is None or self.seconds == 0:
            return 1.0
        if is_cut(before[1], copy):
            self._averages = None
            self.cuts += 1
        return -math.expm1(-max(time - before[0], 0.0) / self.seconds)


def is_cut(before: Tensor, after: Tensor) -> bool:
    """Whether two frames are of different shots.

    A pan keeps how many pixels there are of each colour, a flash keeps the shapes; a cut neither.

    Args:
        before: a small copy of one, (1, 3, H, W) in [0, 1].
        after: likewise.
    """
    histograms, shapes = [], []
    for copy in (before, after):
        bins = (copy[0] * 8).long().clamp(0, 7).flatten(1)
        index = 64 * bins[0] + 8 * bins[1] + bins[2]
        histograms.append(torch.bincount(index, minlength=512) / len(index))
        shape = F.adaptive_avg_pool2d(copy.mean(1, keepdim=True), 32).flatten()
        shapes.append(shape - shape.mean())
    changed = float((histograms[0] - histograms[1]).abs().sum()) / 2
    return changed > 0.3 and float(F.cosine_similarity(shapes[0], shapes[1], dim=0)) < 0.6


@dataclass(frozen=True)
class ClipResult:
    """What became of a clip.

    Attributes:
        frames: how many were written.
        cuts: how many cuts were found.
        damaged: how many packets could not be decoded and were left out.
        interrupted: whether Ctrl-C ended it early.
    """

    frames: int
    cuts: int
    damaged: int
    interrupted: bool


def apply_to_clip(
    network: nn.Module,
    clip: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    strength: float = 1.0,
    seconds: float = 1.0,
    progress: Callable[[int, int | None], None] | None = None,
) -> ClipResult:
    """Restyles a clip; decoding, computing and encoding overlap.

    Size, timestamps, matrix, range, primaries and transfer of the colours, their subsampling, more
    than 8 bits and metadata are kept, and sound bit for bit. Frames are turned upright. The result
    is written beside its place and renamed; after Ctrl-C it has the frames done so far.

    Args:
        network: maps (B, 3, H, W) in [0, 1] to the same.
        clip: mp4, mov, mkv or webm.
        output: likewise, by its suffix; coded as H.264, with more than 8 bits HEVC, in webm VP9.
        strength: as for `apply`.
        seconds: as for `SteadyNetwork`.
        progress: called after each frame, with how many there were and will be, if that is known.

    Raises:
        ValueError: for an argument that is not as above, or if the package av is missing.
        OSError: if writing fails.
    """
    check_strength(strength, 2)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"seconds is {seconds}; it must be a number of at least 0.")
    device = next(network.parameters()).device
    steady = SteadyNetwork(network, seconds)
    return restyle_clip(steady, clip, output, device=device, strength=strength, progress=progress)


def restyle_clip(
    look: FrameLook,
    clip: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    device: torch.device,
    strength: float = 1.0,
    progress: Callable[[int, int | None], None] | None = None,
) -> ClipResult:
    """What `apply_to_clip` does, with any look; arguments as there.

    Args:
        look: gives each frame, in their order, its new colours.
        clip: mp4, mov, mkv or webm.
        output: likewise.
        device: where the look computes.
        strength: what lies between 0 and 1 is mixed, up to 2 is extrapolated.
        progress: called after each frame.

    Raises:
        ValueError: likewise.
        OSError: likewise.
    """
    check_clip(clip, output)
    for package in ("av", "cv2"):
        if find_spec(package) is None:
            raise ValueError(f"video needs the package {package}; run `pip install pydpst[video]`.")
    import av

    output = Path(output)
    reader = ClipReader.open(clip)
    beside = output.parent / f".pydpst-{secrets.token_hex(4)}.part"
    try:
        writer = ClipWriter(beside, output.suffix.lower(), reader)
        frames, interrupted = _restyle(reader, writer, look, device, strength, progress)
        os.replace(beside, output)
    except (av.FFmpegError, OSError) as error:
        raise OSError(f"the output {output} could not be written ({error.strerror}).") from None
    finally:
        reader.close()
        beside.unlink(missing_ok=True)
    return ClipResult(frames, look.cuts, reader.damaged, interrupted)


def _restyle(
    reader: ClipReader,
    writer: ClipWriter,
    look: FrameLook,
    device: torch.device,
    strength: float,
    progress: Callable[[int, int | None], None] | None,
) -> tuple[int, bool]:
    """Restyles all frames; how many there were, and whether Ctrl-C ended it."""
    writing: deque[Future[None]] = deque()
    frames, interrupted = 0, False
    with ThreadPoolExecutor(1) as encoder:
        try:
            for item in _decode_ahead(reader):
                if isinstance(item, Frame):
                    result = _levels(item, look, strength, device)
                    writing.append(encoder.submit(writer.write, result))
                    frames += 1
                    if progress is not None:
                        progress(frames, reader.total)
                else:
                    writing.append(encoder.submit(writer.write, item))
                while len(writing) > _AHEAD:
                    writing.popleft().result()
        except KeyboardInterrupt:
            interrupted = True
        for future in writing:
            future.result()
    writer.close()
    return frames, interrupted


def _levels(frame: Frame, look: FrameLook, strength: float, device: torch.device) -> Frame:
    largest = torch.iinfo(frame.image.dtype).max
    image = frame.image.to(device).float().div_(largest)
    result = look(image, frame.time)
    if strength != 1:
        result = torch.lerp(image, result, strength)
    if not torch.isfinite(result).all():
        raise ValueError(
            f"the frame at {frame.time:.2f} s became NaN or infinity; the clip is not written."
        )
    levels = result.clamp_(0, 1).mul_(largest).round_().to(frame.image.dtype)
    return Frame(levels.cpu(), frame.pts, frame.time, frame.duration)


def _decode_ahead(reader: ClipReader) -> Iterator[Frame | Packet]:
    items = iter(reader)
    waiting: deque[Future[Frame | Packet | None]] = deque()
    with ThreadPoolExecutor(1) as decoder:
        for _ in range(_AHEAD):
            waiting.append(decoder.submit(next, items, None))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(decoder.submit(next, items, None))
            yield item
