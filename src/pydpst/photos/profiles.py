"""Colour profiles: from a photo's own colours to sRGB and back, in floating point.

lcms in integers resamples profiles on a coarse grid, which errs visibly at the border of sRGB; in
floating point it is exact and slow. So of a profile of curves and a matrix, as the working spaces
of photographers are, lcms is asked only for the linear light of each level, once; the rest is a
table and a product with a 3×3 matrix. Other profiles go through lcms in floating point.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import imagecodecs
import numpy as np
import torch
from PIL import ImageCms
from torch import Tensor

from pydpst.photos.color_spaces import linear_of, srgb_of

_LEVELS = 65536
# How far a curve-and-matrix model may be off from what lcms says, in linear light.
_TOLERANCE = 1e-3
# lcms's relative colorimetric intent, with black points matched, and no resampling.
_INTENT = 1
_FLAGS = imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION | imagecodecs.CMS.FLAGS.NOOPTIMIZE
CHANNELS = {"gray": 1, "rgb": 3, "cmyk": 4}
# Rows are taken together until they have this many pixels, which stay in a processor's cache.
_STRIP = 2**16
# White, red, green and blue.
SRGB_PRIMARIES = (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
_CURVE_LENGTH = 1024

_SPACES = {"GRAY": "gray", "RGB ": "rgb", "CMYK": "cmyk"}


@dataclass(frozen=True, eq=False)
class Profile:
    """What a profile does to colours.

    Attributes:
        icc: the profile.
        space: "gray", "rgb" or "cmyk".
        curves: (channels, 65536), the linear light of each level; None unless the profile consists
            of curves and a matrix.
        inverse: (channels, 65536), the level, in [0, 1], of the squares of 65536 even steps.
        matrix: (3, 3), from linear light in the profile's primaries to that in sRGB's; for grey the
            identity.
    """

    icc: bytes
    space: str
    curves: Tensor | None = None
    inverse: Tensor | None = None
    matrix: Tensor | None = None

    def to_srgb(self, levels: np.ndarray[Any, Any]) -> Tensor:
        """Colours as sRGB.

        Args:
            levels: (h, w, channels), uint8, uint16, or float32 in [0, 1].

        Returns:
            (3, h, w), float32, those beyond sRGB clipped to [0, 1].
        """
        if self.curves is None or self.matrix is None:
            if levels.dtype == np.uint8:
                levels = levels.astype(np.uint16) * 257
            values = _lcms(levels, self.icc, self.space, srgb_profile(), "rgb")
            return torch.from_numpy(values).permute(2, 0, 1).clamp(0, 1)
        if levels.dtype == np.uint8:
            index = levels.astype(np.int32) * 257
        elif levels.dtype == np.uint16:
            index = levels.astype(np.int32)
        else:
            index = (levels * (_LEVELS - 1)).round().astype(np.int32)
        places = torch.from_numpy(np.ascontiguousarray(index.transpose(2, 0, 1)))
        channels = zip(self.curves, places, strict=True)
        linear = torch.stack([curve[place] for curve, place in channels])
        if len(linear) == 3:
            linear = (self.matrix @ linear.flatten(1)).view_as(linear)
        return srgb_of(linear.clamp_(0, 1)).expand(3, -1, -1)

    def from_srgb(self, colours: Tensor) -> Tensor:
        """Colours of sRGB as the profile's: (3, h, w) to (channels, h, w), float32 in [0, 1].

        For grey the three channels are taken to be equal. Not for CMYK.
        """
        if self.inverse is None or self.matrix is None:
            values = np.ascontiguousarray(colours.permute(1, 2, 0).numpy())
            values = _lcms(values, srgb_profile(), "rgb", self.icc, self.space)
            return torch.from_numpy(values).permute(2, 0, 1).clamp(0, 1)
        linear = linear_of(colours[: len(self.inverse)])
        if len(linear) == 3:
            linear = (self.matrix.inverse() @ linear.flatten(1)).view_as(linear)
        places = linear.clamp_(0, 1).sqrt_().mul_(_LEVELS - 1)
        below = places.floor().clamp_(max=_LEVELS - 2)
        index, share = below.int(), places - below
        channels = zip(self.inverse, index, share, strict=True)
        return torch.stack([torch.lerp(t[i], t[i + 1], s) for t, i, s in channels])


def strips(height: int, width: int) -> Iterator[slice]:
    """Rows of a large photo, a few at a time."""
    rows = max(1, _STRIP // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def srgb_pixels(levels: np.ndarray[Any, Any], profile: Profile | None) -> Tensor:
    """A photo's levels as colours.

    Args:
        levels: (H, W, 1) grey, (H, W, 3) RGB or (H, W, 4) CMYK; uint8, uint16, or float32 in
            [0, 1].
        profile: what colours they are; None for sRGB, or for CMYK of ideal inks.

    Returns:
        (3, H, W), float32, in [0, 1].
    """
    height, width, channels = levels.shape
    pixels = torch.empty(3, height, width)
    for rows in strips(height, width):
        if profile is not None:
            pixels[:, rows] = profile.to_srgb(levels[rows])
            continue
        values = torch.from_numpy(in_unit(levels[rows])).permute(2, 0, 1)
        pixels[:, rows] = (1 - values[:3]) * (1 - values[3:]) if channels == 4 else values
    return pixels


def in_unit(levels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Levels as float32 in [0, 1]."""
    if levels.dtype.kind == "f":
        # A copy where they are a view that may not be written to, of which torch would warn.
        return np.require(levels, requirements=["C", "W"])
    return levels.astype(np.float32) / np.iinfo(levels.dtype).max


@lru_cache(maxsize=8)
def read_profile(icc: bytes) -> Profile | None:
    """The profile of these bytes; None for sRGB itself.

    Raises:
        ValueError: if it is damaged, or of other colours than grey, RGB and CMYK.
    """
    try:
        space = _SPACES[ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space]
        profile = _read(icc, space)
    except Exception as error:  # lcms and its bindings raise what damaged bytes make them trip over
        raise ValueError(f"the colour profile cannot be read ({error})") from None
    return None if _is_srgb(profile) else profile


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """An sRGB profile."""
    return bytes(imagecodecs.cms_profile("srgb"))


def adobe_rgb_profile() -> bytes:
    """A profile of Adobe RGB (1998)."""
    return bytes(imagecodecs.cms_profile("adobergb"))


def profile_of(
    primaries: tuple[float, ...], curve: str | float | np.ndarray[Any, Any], grey: bool
) -> bytes:
    """A profile of curves and primaries.

    Args:
        primaries: x and y of white, red, green and blue; grey has white alone.
        curve: linear light of levels: "srgb", "bt709", a power, or a table (n) or (channels, n) in
            [0, 1] of evenly spaced levels.
        grey: whether it is for grey.
    """
    white = [*primaries[:2], 1.0]
    if isinstance(curve, str):
        x = np.linspace(0, 1, _CURVE_LENGTH)
        # IEC 61966-2-1, and the inverse of ITU-R BT.709's.
        if curve == "srgb":
            curve = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
        else:
            curve = np.where(x < 0.081, x / 4.5, ((x + 0.099) / 1.099) ** (1 / 0.45))
    transfer: dict[str, Any] = {"gamma": curve}
    if isinstance(curve, np.ndarray):
        transfer = {"transferfunction": curve.astype(np.float32)}
    if grey:
        return bytes(imagecodecs.cms_profile("gray", whitepoint=white, **transfer))
    colours = [x for pair in range(1, 4) for x in (*primaries[2 * pair : 2 * pair + 2], 1.0)]
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=white, primaries=colours, **transfer))


def _read(icc: bytes, space: str) -> Profile:
    if space == "cmyk":
        _lcms(np.zeros((1, 1, 4), np.uint16), icc, space, srgb_profile(), "rgb")
        return Profile(icc, space)
    ramp = np.linspace(0, 1, _LEVELS, dtype=np.float32)
    if space == "gray":
        shown = _lcms(ramp[None, :, None], icc, space, srgb_profile(), "rgb")[0]
        curves = linear_of(torch.from_numpy(shown.mean(1)))[None]
        return Profile(icc, space, curves, _inverse(curves), torch.eye(3))
    if not _has_curves(icc):
        _lcms(np.zeros((1, 1, 3), np.float32), icc, space, srgb_profile(), "rgb")
        return Profile(icc, space)
    curves, primaries = _curves(icc, ramp)
    _, srgb_primaries = _curves(srgb_profile(), ramp[:: _LEVELS - 1])
    matrix = torch.linalg.solve(srgb_primaries, primaries)
    return Profile(icc, space, curves.float(), _inverse(curves), matrix.float())


def _has_curves(icc: bytes) -> bool:
    """Whether XYZ is the sum of what the channels give alone, each in a fixed ratio."""
    some = np.random.default_rng(0).random((1, 512, 3), dtype=np.float32)
    curves, primaries = _curves(icc, some[0])
    expected = (primaries @ curves).T.numpy()
    return bool(np.abs(_xyz(icc, some)[0] - expected).max() < _TOLERANCE)


def _curves(icc: bytes, values: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor]:
    """The linear light of values, (n,) or (n, 3), by channel; and XYZ of the primaries, (3, 3)."""
    alone = np.zeros((4, len(values), 3), np.float32)
    for channel in range(3):
        alone[channel, :, channel] = values if values.ndim == 1 else values[:, channel]
    alone[3, :3] = np.eye(3)[: len(values)]
    xyz = torch.from_numpy(_xyz(icc, alone)).double()
    full = torch.from_numpy(_xyz(icc, np.eye(3, dtype=np.float32)[None])[0]).double()
    curves = torch.stack([xyz[c] @ full[c] / (full[c] @ full[c]) for c in range(3)])
    return curves, full.T


def _xyz(icc: bytes, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # Without matching of black points, which XYZ has none of.
    result: np.ndarray[Any, Any] = imagecodecs.cms_transform(
        np.ascontiguousarray(values),
        icc,
        imagecodecs.cms_profile("xyz"),
        colorspace="rgb",
        outcolorspace="xyz",
        outdtype="float32",
        intent=_INTENT,
        flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,
    )
    return result


def _inverse(curves: Tensor) -> Tensor:
    steps = np.linspace(0, 1, _LEVELS) ** 2
    levels = np.linspace(0, 1, _LEVELS)
    return torch.stack(
        [
            torch.from_numpy(np.interp(steps, np.maximum.accumulate(curve), levels)).float()
            for curve in curves.double().numpy()
        ]
    )


def _is_srgb(profile: Profile) -> bool:
    if profile.curves is None or profile.matrix is None:
        return False
    levels = torch.linspace(0, 1, _LEVELS)
    return bool(
        (profile.matrix - torch.eye(3)).abs().max() < _TOLERANCE
        and (srgb_of(profile.curves.clamp(0, 1)) - levels).abs().max() < _TOLERANCE
    )


def _lcms(
    values: np.ndarray[Any, Any], icc: bytes, space: str, out_icc: bytes, out_space: str
) -> np.ndarray[Any, Any]:
    result: np.ndarray[Any, Any] = imagecodecs.cms_transform(
        np.ascontiguousarray(values),
        icc,
        out_icc,
        colorspace=space,
        outcolorspace=out_space,
        outdtype="float32",
        intent=_INTENT,
        flags=_FLAGS,
    )
    return result.reshape(*values.shape[:2], -1)
