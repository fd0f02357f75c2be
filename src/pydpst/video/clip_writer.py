"""Video files written: restyled frames, with everything else as it was."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pydpst.video.clip import CONVERSION, FULL, SWSCALE_MATRIX, ClipReader, Frame, plane_rows

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame

# The muxer for each suffix.
_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}

_ENCODERS: dict[str, dict[str, str]] = {
    "libx264": {"crf": "18", "preset": "veryfast"},
    "libx265": {"crf": "18", "preset": "veryfast", "x265-params": "log-level=error"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "5", "row-mt": "1"},
}


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
        settings = dict(_ENCODERS[encoder])
        if encoder == "libx265":
            settings["x265-params"] = ":".join([settings["x265-params"], *source.hdr.for_x265()])
        lost = source.hdr.lost(everything=encoder != "libx265")
        if lost:
            warnings.warn(f"the clip's {lost} are not kept in the result.", stacklevel=2)
        self.stream = stream = self.container.add_stream(encoder, source.rate, settings)
        context = stream.codec_context
        context.width, context.height = source.width, source.height
        context.time_base = stream.time_base = source.time_base
        context.pix_fmt = self._pixels(encoder)
        original = source.stream.codec_context
        for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, tag, getattr(original, tag))
        if source.aspect:
            context.sample_aspect_ratio = source.aspect
        if suffix == ".webm" and source.aspect not in (None, 0, 1):
            # VP9 has no place for it, and libav's bindings cannot give it to the container.
            warnings.warn(
                f"the aspect {source.aspect} of the clip's pixels is not kept in webm; write mp4, "
                "mov or mkv.",
                stacklevel=2,
            )
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
        matrix = SWSCALE_MATRIX[self._source.matrix]
        result = self._reformatter.reformat(
            colours,
            format=self.stream.codec_context.pix_fmt,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=FULL,
            dst_color_range=self._source.range,
            interpolation=CONVERSION,
        )
        result.pts, result.time_base = frame.pts, self._source.time_base
        result.duration = frame.duration
        return result
