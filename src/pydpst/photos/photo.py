"""Photos with all that their files say: opened, and results written like them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.photos.decode import Levels, Source, decode
from pydpst.photos.dither import dithered
from pydpst.photos.encode import LONGEST_SIDE, SIXTEEN_BIT, WITH_OPACITY, encoded
from pydpst.photos.image import load_image, on_white
from pydpst.photos.metadata import Metadata
from pydpst.photos.profiles import Profile, in_unit, srgb_pixels, srgb_profile, strips
from pydpst.photos.writing import check_output, write_whole

# A result whose channels differ by less, in levels of 8 bits, has no colour.
_COLOURLESS = 0.5


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo, upright, and what is needed to write a result like it.

    Attributes:
        pixels: (3, H, W), float32, in [0, 1], sRGB; colours beyond sRGB are clipped. Those of
            transparent pixels are as stored.
        alpha: (H, W), float32, in [0, 1]; None for an opaque photo.
        bits: of a channel, 8 or 16.
        mode: the colours of the file: "L" grey, "RGB" or "CMYK".
        metadata: what else the file says.
        profile: of the file's colours, if it is not sRGB.
        levels: (H, W, channels), uint8 or uint16, as stored, if they are not sRGB.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    bits: int = 8
    mode: str = "RGB"
    metadata: Metadata = field(default_factory=Metadata)
    profile: Profile | None = None
    levels: Levels | None = None


def open_photo(source: Source, name: str = "image") -> Photo:
    """A photo with all that its file says.

    Args:
        source: as for `load_image`. A PIL image counts as its file.
        name: what to call the photo in an error, such as "content" or "style".

    Returns:
        The photo, on the CPU, or where the tensor given is.

    Raises:
        ValueError: if the source is none of these, cannot be read, or has a side under 16 pixels.
        ImportError: if it is HEIC and pillow-heif is not installed.
    """
    if isinstance(source, Tensor):
        return Photo(load_image(source, name))
    decoded = decode(source, "the image" if name == "image" else f"the {name} image")
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[decoded.levels.shape[2]]
    return Photo(
        pixels=srgb_pixels(decoded.levels, decoded.profile),
        alpha=None if decoded.alpha is None else torch.from_numpy(in_unit(decoded.alpha)),
        bits=8 if decoded.levels.dtype == np.uint8 else 16,
        mode=mode,
        metadata=decoded.metadata,
        profile=decoded.profile,
        levels=None if decoded.profile is None or mode == "CMYK" else decoded.levels,
    )


def save_photo(image: Tensor, path: str | os.PathLike[str], like: Photo) -> None:
    """Writes a result like the photo it was made of; whole or not at all.

    Profile, opacity, bits, resolution, EXIF, XMP and IPTC are the photo's, as far as the format
    holds them; JPEG has no opacity, and shows the result on white. A result of a CMYK photo, and
    one in colour of a grey photo, are RGB in sRGB. Pixels that equal the photo's are written
    exactly as they were read; colours of the photo beyond sRGB stay where the result changes
    little. 8 bits are dithered where they would band.

    Args:
        image: (3, H, W), floating point, sRGB; clamped to [0, 1]. At another size than the photo's,
            its opacity is scaled.
        path: as for `pydpst.photos.image.check_output`.
        like: the photo.

    Raises:
        ValueError: if the image has another shape or holds NaN, the path is refused by
            `check_output`, or the format cannot hold so large an image.
        OSError: if writing fails.
    """
    path = check_output(path)
    suffix = path.suffix.lower()
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"the image has the shape {tuple(image.shape)}; it must be (3, H, W).")
    height, width = image.shape[1:]
    longest = LONGEST_SIDE.get(suffix)
    if longest is not None and max(height, width) > longest:
        raise ValueError(
            f"the output {path} cannot hold {width}×{height} pixels; {suffix[1:]} takes sides of "
            f"up to {longest}."
        )
    image = image.detach().cpu()
    like = _for_result(image, like)
    alpha = _alpha_at(like, height, width)
    if alpha is not None and suffix not in WITH_OPACITY:
        image = on_white(image.float().clamp(0, 1), alpha)
        like, alpha = replace(like, levels=None), None
    bits = like.bits if suffix in SIXTEEN_BIT else 8
    levels = _levels(image, alpha, like, bits)
    write_whole(path, encoded(levels, suffix, like.metadata.for_size(width, height)))


def _for_result(image: Tensor, like: Photo) -> Photo:
    """The photo, in the colours that the result is to be written in."""
    height, width = image.shape[1:]
    if like.mode == "CMYK" or (like.mode == "L" and _has_colour(image)):
        metadata = replace(like.metadata, icc=srgb_profile())
        return replace(like, mode="RGB", metadata=metadata, profile=None, levels=None)
    if like.levels is not None and like.levels.shape[:2] != (height, width):
        return replace(like, levels=None)
    return like


def _has_colour(image: Tensor) -> bool:
    return any(
        (image[:, rows].amax(0) - image[:, rows].amin(0)).max() * 255 > _COLOURLESS
        for rows in strips(*image.shape[1:])
    )


def _alpha_at(like: Photo, height: int, width: int) -> Tensor | None:
    if like.alpha is None or like.alpha.shape == (height, width):
        return like.alpha
    scaled = F.interpolate(like.alpha[None, None], (height, width), mode="bilinear", antialias=True)
    return scaled[0, 0].clamp(0, 1)


def _levels(image: Tensor, alpha: Tensor | None, like: Photo, bits: int) -> np.ndarray[Any, Any]:
    """(H, W) or (H, W, channels), with opacity last."""
    _, height, width = image.shape
    channels = 1 if like.mode == "L" else 3
    largest = 2**bits - 1
    levels = np.empty(
        (height, width, channels + (alpha is not None)), np.uint8 if bits == 8 else np.uint16
    )
    for rows in strips(height, width):
        # With a row around, for the neighbours of its pixels.
        around = slice(max(rows.start - 1, 0), min(rows.stop + 1, height))
        values = _in_profile(image, like, around)[:channels] * largest
        inner = slice(rows.start - around.start, rows.stop - around.start)
        rounded = dithered(values, around.start) if bits == 8 else values.round()
        levels[rows, :, :channels] = rounded[:, inner].permute(1, 2, 0).numpy()
        if alpha is not None:
            levels[rows, :, channels] = (alpha[rows] * largest).round().numpy()
    return levels[..., 0] if levels.shape[2] == 1 else levels


def _in_profile(image: Tensor, like: Photo, rows: slice) -> Tensor:
    """Rows of the result in the photo's own colours, (channels, h, w), in [0, 1]."""
    colours = image[:, rows].float().clamp(0, 1)
    if not torch.isfinite(colours).all():
        raise ValueError("the image holds NaN or infinity; its values must be finite.")
    if like.profile is None:
        return colours
    values = like.profile.from_srgb(colours)
    if like.levels is None:
        return values
    # What was clipped on the way in, or lost by rounding, comes back where the result is near the
    # photo, and less and less where it departs, none from half the range on.
    photo = like.pixels[:, rows].cpu()
    stored = torch.from_numpy(in_unit(like.levels[rows])).permute(2, 0, 1)
    share = 1 - 2 * (colours - photo).abs().amax(0)
    lost = stored - like.profile.from_srgb(photo)
    return (values + share.clamp_(min=0) * lost).clamp_(0, 1)
