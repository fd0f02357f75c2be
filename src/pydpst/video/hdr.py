"""What an HDR10 clip says of the display that it was graded on (SMPTE ST 2086, CTA-861.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# What of HDR no encoder here can be told, as libav calls it.
_DYNAMIC = {
    "DYNAMIC_HDR_PLUS": "dynamic data of HDR10+",
    "DOVI_METADATA": "data of Dolby Vision",
    "DOVI_RPU_BUFFER": "data of Dolby Vision",
}


@dataclass(frozen=True)
class Hdr:
    """Static and dynamic metadata.

    Attributes:
        mastering: red, green and blue primaries and white as x and y, then the least and the
            largest luminance in cd/m²; empty if the clip does not say.
        light: the largest and the largest mean luminance of the content in cd/m², likewise.
        dynamic: what else there is, in words.
    """

    mastering: tuple[float, ...] = ()
    light: tuple[int, ...] = ()
    dynamic: tuple[str, ...] = ()

    @classmethod
    def of(cls, frame: VideoFrame) -> Hdr:
        """What comes with a decoded frame."""
        display = frame.side_data.get("MASTERING_DISPLAY_METADATA")
        level = frame.side_data.get("CONTENT_LIGHT_LEVEL")
        mastering: tuple[float, ...] = ()
        if display is not None:
            # AVMasteringDisplayMetadata: ten fractions, and whether they are set.
            *numbers, colours, luminance = struct.unpack_from("=22i", bytes(display))
            fractions = zip(numbers[::2], numbers[1::2], strict=True)
            if colours and luminance:
                mastering = tuple(above / (below or 1) for above, below in fractions)
        light = () if level is None else struct.unpack_from("=2I", bytes(level))
        found = (words for name, words in _DYNAMIC.items() if frame.side_data.get(name) is not None)
        return cls(mastering, light, tuple(dict.fromkeys(found)))

    def for_x265(self) -> list[str]:
        """The parameters of x265 that say the same."""
        parameters = []
        if self.mastering:
            *chroma, least, largest = self.mastering
            red, green, blue, white = (
                tuple(round(x * 50000) for x in chroma[i : i + 2]) for i in range(0, 8, 2)
            )
            points = zip(("G", "B", "R", "WP"), (green, blue, red, white), strict=True)
            text = "".join(f"{name}({x},{y})" for name, (x, y) in points)
            text += f"L({round(largest * 10000)},{round(least * 10000)})"
            parameters += ["hdr10=1", f"master-display={text}"]
        if self.light:
            parameters.append(f"max-cll={self.light[0]},{self.light[1]}")
        return parameters

    def lost(self, everything: bool) -> str:
        """What is not kept, in words.

        Args:
            everything: whether the encoder takes none of it.
        """
        static = self.mastering or self.light
        words = [*self.dynamic, *(["mastering data of HDR10"] if everything and static else [])]
        return " and ".join(words)
