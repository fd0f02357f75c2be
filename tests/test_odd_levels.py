"""Kinds of files that few programs write: right values, or a sentence that names the kind."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from test_levels import GREY, LAKE, RGB, Array, linear_of, png_with, write

import pydpst
from pydpst.photos.color_spaces import lab

LAKE_IN_16 = Image.fromarray(LAKE).quantize(16)
PALETTE = np.array(LAKE_IN_16.getpalette(), np.uint16).reshape(-1, 3)[:16]
INDICES = np.asarray(LAKE_IN_16)


def baseline_tiff(path: Path, levels: Array, **tags: int) -> Path:
    """An uncompressed TIFF of 8 bits with few tags; those given as `_262=1`, all short."""
    height, width, samples = levels.reshape(*levels.shape[:2], -1).shape
    entries = {256: width, 257: height, 258: 8, 259: 1, 277: samples, 278: height}
    entries |= {int(tag[1:]): value for tag, value in tags.items()}
    entries |= {273: 0, 279: levels.size}
    entries[273] = start = 10 + 12 * len(entries) + 4
    directory = b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in sorted(entries.items()))
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    assert len(head) == start
    path.write_bytes(head + levels.tobytes())
    return path


@pytest.mark.parametrize("kind", ["JPEG", "palette"])
@pytest.mark.parametrize("beneath", [0, 1])
def test_a_photo_after_its_thumbnail_may_be_of_any_kind(
    kind: str, beneath: int, tmp_path: Path
) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        turned = [(274, "H", 1, 6, True)]
        file.write(LAKE[::2, ::2], photometric="rgb", subfiletype=1, subifds=beneath,
                   extratags=turned if beneath else ())  # fmt: skip
        if kind == "JPEG":
            file.write(LAKE, photometric="rgb", compression="jpeg")
        else:
            file.write(INDICES, photometric="palette", colormap=full_palette().T * 257)
    have = pydpst.load_image(tmp_path / "a.tif")
    want = RGB if kind == "JPEG" else torch.from_numpy(PALETTE[INDICES] / 255).permute(2, 0, 1)
    if beneath:  # the first page says how the camera was held
        want = want.rot90(-1, (1, 2))
    assert have.shape == want.shape
    assert (have - want).abs().mean() < 0.02


def full_palette() -> Array:
    return np.concatenate([PALETTE, np.zeros((240, 3), np.uint16)])


@pytest.mark.parametrize("unit", [1, 257])
def test_palettes_of_tiff(unit: int, tmp_path: Path) -> None:
    colours = full_palette()
    path = write(
        tmp_path / "a.tif", INDICES, photometric="palette",
        colormap=np.ascontiguousarray(colours.T * unit),
    )  # fmt: skip
    want = torch.from_numpy(colours[INDICES] / 255).permute(2, 0, 1).float()
    torch.testing.assert_close(pydpst.load_image(path), want)


def test_a_tiff_that_does_not_say_its_colours(tmp_path: Path) -> None:
    assert pydpst.open_photo(baseline_tiff(tmp_path / "grey.tif", GREY)).mode == "L"
    grey = pydpst.load_image(tmp_path / "grey.tif")
    torch.testing.assert_close(grey[0], torch.from_numpy(GREY / 255).float())
    rgb = pydpst.load_image(baseline_tiff(tmp_path / "rgb.tif", LAKE))
    torch.testing.assert_close(rgb, RGB)


@pytest.mark.parametrize("bits", [8, 16])
def test_lab_as_profiles_have_it(bits: int, tmp_path: Path) -> None:
    lightness, *chroma = lab(RGB.flatten(1)).numpy()
    unit = 2 ** (bits - 8)
    stored = np.stack([lightness * 2.55, *(c + 128 for c in chroma)], 1).reshape(32, 48, 3) * unit
    kind = np.uint8 if bits == 8 else np.uint16
    path = write(tmp_path / "a.tif", stored.round().astype(kind), photometric="icclab")
    assert (pydpst.load_image(path) - RGB).abs().mean() < 0.01


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"photometric": "rgb", "compression": "jpeg2000"}, "RGB compressed by JPEG2000"),
        ({"photometric": "rgb", "compression": "jpegxl"}, "RGB compressed by JPEGXL"),
        ({"photometric": "ycbcr"}, "YCBCR compressed by NONE"),
    ],
)
def test_tiff_that_is_not_read_is_named(
    options: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.tif", LAKE, **options)
    with pytest.raises(ValueError, match=rf"TIFF of 8 bits, {sentence}, which is not read; save"):
        pydpst.load_image(path)


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("kind", ["jp2", "j2k"])
def test_deep_jpeg_2000(kind: str, bits: int, tmp_path: Path) -> None:
    largest = 2**bits - 1
    alpha = np.full_like(GREY, 255)
    alpha[:8] = 0
    white = LAKE.copy()
    white[8:] = 255  # which Pillow makes black
    for name, levels in {"rgb": white, "rgba": np.dstack([white, alpha])}.items():
        stored = np.rint(levels / 255 * largest).astype(np.uint16)
        data = imagecodecs.jpeg2k_encode(
            stored, codecformat=kind, level=0, reversible=True, bitspersample=bits
        )
        (tmp_path / f"{name}.{kind}").write_bytes(data)
        photo = pydpst.open_photo(tmp_path / f"{name}.{kind}")
        want = torch.from_numpy(white / 255).permute(2, 0, 1).float()
        torch.testing.assert_close(photo.pixels, want, rtol=0, atol=1e-3)
        assert photo.bits == 16
        assert (photo.alpha is not None) == (name == "rgba")
    assert photo.alpha is not None
    torch.testing.assert_close(photo.alpha, torch.from_numpy(alpha / 255).float())


@pytest.mark.parametrize(
    "primaries",
    [(0,) * 8, (31270, 32900) + (33333,) * 6, (31270, 0, 64000, 33000, 30000, 60000, 15000, 6000)],
)
def test_impossible_primaries_of_png_are_left_out(
    primaries: tuple[int, ...], tmp_path: Path
) -> None:
    path = png_with(tmp_path / "a.png", RGB, (b"cHRM", struct.pack(">8I", *primaries)))
    with pytest.warns(UserWarning, match="has impossible primaries, which are left out"):
        torch.testing.assert_close(pydpst.load_image(path), RGB, rtol=0, atol=1e-4)


def test_grey_and_opacity_in_linear_light_stay_grey(tmp_path: Path) -> None:
    grey = torch.from_numpy(GREY.copy())[None] / 255
    levels = torch.cat([linear_of(grey), torch.ones_like(grey)])
    photo = pydpst.open_photo(
        png_with(tmp_path / "a.png", levels, (b"gAMA", struct.pack(">I", 100000)))
    )
    assert photo.mode == "L"
    torch.testing.assert_close(photo.pixels, grey.expand(3, -1, -1), rtol=0, atol=2e-3)


def test_bmp_of_odd_bits_is_named(tmp_path: Path) -> None:
    info = struct.pack("<IiiHHIIiiII", 40, 48, -32, 1, 16, 3, 3072, 0, 0, 0, 0)
    masks = struct.pack("<III", 0xF00, 0xF0, 0xF)
    head = b"BM" + struct.pack("<IHHI", 66 + 3072, 0, 0, 66)
    (tmp_path / "a.bmp").write_bytes(head + info + masks + bytes(3072))
    with pytest.raises(ValueError, match=r"is of a kind that is not read \(.*\); save it as PNG"):
        pydpst.load_image(tmp_path / "a.bmp")
