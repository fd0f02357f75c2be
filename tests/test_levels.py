"""What a file's tags and chunks say of its levels counts: right values, or a sentence."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from conftest import PHOTOS
from PIL import Image, PngImagePlugin
from torch import Tensor

import pydpst
from pydpst.photos.color_spaces import lab, linear_of, srgb_of

Array = np.ndarray[Any, Any]

with Image.open(PHOTOS / "lake.jpg") as _lake:
    LAKE = np.asarray(_lake.convert("RGB").resize((48, 32)))
GREY = np.asarray(Image.fromarray(LAKE).convert("L"))
RGB = torch.from_numpy(LAKE.copy()).permute(2, 0, 1) / 255


def write(path: Path, levels: Array, **options: Any) -> Path:
    tifffile.imwrite(path, levels, **options)
    return path


def twelve_bits(path: Path, levels: Array) -> Path:
    """A TIFF of 12 bits, two samples in three bytes."""
    values = (levels.astype(np.uint32) * 4095 // 255).astype(np.uint16).reshape(-1, 2)
    first, second = values[:, 0], values[:, 1]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1)
    height, width = levels.shape
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 134, 277: 1, 278: height}
    tags[279] = packed.size
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    path.write_bytes(head.ljust(134, b"\0") + packed.astype(np.uint8).tobytes())
    return path


GREYS: dict[str, Callable[[Path], Path]] = {
    "white is zero, 8 bits": lambda p: write(p, 255 - GREY, photometric="miniswhite"),
    "white is zero, 16 bits": lambda p: write(
        p, 65535 - GREY.astype(np.uint16) * 257, photometric="miniswhite", compression="zlib"
    ),
    "white is zero, float": lambda p: write(
        p, (1 - GREY / 255).astype(np.float32), photometric="miniswhite"
    ),
    "12 bits": lambda p: twelve_bits(p, GREY),
    "16 bits, signed": lambda p: write(
        p, (GREY.astype(np.float64) / 255 * 32767).astype(np.int16), photometric="minisblack"
    ),
    "8 bits, signed": lambda p: write(p, (GREY // 2).astype(np.int8), photometric="minisblack"),
    "32 bits": lambda p: write(
        p, GREY.astype(np.uint32) * 16843009, photometric="minisblack", compression="lzw"
    ),
    "half floats": lambda p: write(p, (GREY / 255).astype(np.float16), photometric="minisblack"),
    "doubles": lambda p: write(p, GREY / 255, photometric="minisblack"),
    "big-endian": lambda p: write(
        p, GREY.astype(np.uint16) * 257, photometric="minisblack", byteorder=">"
    ),
    "BigTIFF": lambda p: write(p, GREY, photometric="minisblack", bigtiff=True),
}


@pytest.mark.parametrize("kind", GREYS)
def test_grey_tiff(kind: str, tmp_path: Path) -> None:
    photo = pydpst.open_photo(GREYS[kind](tmp_path / "a.tif"))
    want = torch.from_numpy(GREY.copy()) / 255
    tolerance = 1 / 127 if kind == "8 bits, signed" else 1e-3
    torch.testing.assert_close(photo.pixels, want.expand(3, -1, -1), rtol=0, atol=tolerance)
    assert photo.mode == "L"
    assert photo.bits == (8 if "8 bits" in kind or kind == "BigTIFF" else 16)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint32, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_rgb_tiff(dtype: Any, planar: str, tmp_path: Path) -> None:
    largest = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    levels = (LAKE / 255 * largest).astype(dtype)
    if planar == "separate":
        levels = np.moveaxis(levels, 2, 0)
    options = {"predictor": True, "compression": "zlib"} if dtype == np.float32 else {}
    path = write(tmp_path / "a.tif", levels, photometric="rgb", planarconfig=planar, **options)
    torch.testing.assert_close(pydpst.load_image(path), RGB, rtol=0, atol=1e-3)


def test_floats_beyond_one_are_clipped_and_told_of(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", (LAKE / 128 - 0.2).astype(np.float32), photometric="rgb")
    with pytest.warns(UserWarning, match=r"has values from -0\.\d+ to 1\.\d+; what is beyond"):
        have = pydpst.load_image(path)
    torch.testing.assert_close(have, (RGB * 255 / 128 - 0.2).clamp(0, 1), rtol=0, atol=1e-4)
    write(path, np.full((16, 16, 3), np.nan, np.float32), photometric="rgb")
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        pydpst.load_image(path)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colours", ["minisblack", "rgb", "separated"])
def test_opacity_in_tiff(colours: str, bits: int, tmp_path: Path) -> None:
    levels = {"minisblack": GREY[..., None], "rgb": LAKE, "separated": 255 - LAKE}[colours]
    if colours == "separated":
        levels = np.concatenate([levels, np.zeros_like(levels[..., :1])], 2)
    alpha = np.tile(np.linspace(0, 255, 48).astype(np.uint8), (32, 1))
    stored = np.concatenate([levels, alpha[..., None]], 2)
    if bits == 16:
        stored = stored.astype(np.uint16) * 257
    path = write(tmp_path / "a.tif", stored, photometric=colours, extrasamples=["unassalpha"])
    photo = pydpst.open_photo(path)
    want = torch.from_numpy(GREY.copy()) / 255 if colours == "minisblack" else RGB
    torch.testing.assert_close(photo.pixels, want.expand(3, -1, -1), rtol=0, atol=1e-4)
    assert photo.alpha is not None
    torch.testing.assert_close(photo.alpha, torch.from_numpy(alpha) / 255)


@pytest.mark.parametrize("bits", [8, 16])
def test_lab_without_a_profile(bits: int, tmp_path: Path) -> None:
    d65 = lab(RGB.flatten(1))
    # Greys have the same L* for any white; colours are off by the adaptation.
    unit = 2.0 ** (bits - 8)
    kind, signed = (np.uint8, np.int8) if bits == 8 else (np.uint16, np.int16)
    lightness = (d65[0] / 100 * np.iinfo(kind).max).round().numpy().astype(kind)
    chroma = (d65[1:] * unit).round().numpy().astype(signed).view(kind)
    stored = np.stack([lightness, *chroma], 1).reshape(32, 48, 3)
    path = write(tmp_path / "a.tif", stored, photometric="cielab")
    have = pydpst.load_image(path)
    assert (have - RGB).abs().mean() < 0.01
    assert (lab(have.flatten(1))[0] - d65[0]).abs().max() < 1.5


def test_a_thumbnail_before_the_photo_is_not_the_photo(tmp_path: Path) -> None:
    small = LAKE[::2, ::2]
    for kind in ("page", "unsaid page", "beneath"):
        path = tmp_path / f"{kind}.tif"
        with tifffile.TiffWriter(path) as file:
            said = 0 if kind == "unsaid page" else 1
            beneath = 1 if kind == "beneath" else 0
            file.write(small, photometric="rgb", subfiletype=said, subifds=beneath)
            file.write(LAKE, photometric="rgb", subfiletype=0)
        torch.testing.assert_close(pydpst.load_image(path), RGB)
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as file:
        file.write(LAKE, photometric="rgb", subifds=1)
        file.write(small, photometric="rgb", subfiletype=1)
    torch.testing.assert_close(pydpst.load_image(tmp_path / "pyramid.tif"), RGB)


def test_raw_files_are_refused_by_name(tmp_path: Path) -> None:
    sensor = np.zeros((64, 96), np.uint16)
    pattern = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True)]
    with tifffile.TiffWriter(tmp_path / "a.nef") as file:
        file.write(LAKE, photometric="rgb", subfiletype=1, subifds=1)
        file.write(sensor, photometric="cfa", extratags=pattern)
    version = [(50706, "B", 4, (1, 4, 0, 0), True)]
    write(tmp_path / "b.dng", LAKE, photometric="rgb", extratags=version)
    for name, start in (
        ("c.raf", b"FUJIFILMCCD-RAW 0201"),
        ("d.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1"),
        ("e.rw2", b"IIU\0\x18\0\0\0"),
        ("g.crw", b"II\x1a\0\0\0HEAPCCDR"),
        ("h.iiq", b"IIII\x08\0\0\0"),
        ("f.cr2", b"II*\0\x10\0\0\0CR\2\0\0\0"),
    ):
        (tmp_path / name).write_bytes(start + bytes(5000))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ValueError, match="is a camera's raw file; develop it"):
            pydpst.load_image(path)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("bits", [2, 8, 16])
def test_a_transparent_colour_of_png(mode: str, bits: int, tmp_path: Path) -> None:
    if mode == "RGB" and bits == 2:
        pytest.skip("PNG has none")
    channels = len(mode)
    levels = np.full((16, 32, channels), 1, np.uint16)
    levels[:, 16:] = 2
    largest = 2**bits - 1
    if bits == 16:
        rows = levels.astype(">u2").tobytes()
    elif bits == 8:
        rows = levels.astype(np.uint8).tobytes()
    else:
        rows = (b"\x55" * 4 + b"\xaa" * 4) * 16
    stride = len(rows) // 16
    pixels = b"".join(b"\0" + rows[stride * y : stride * (y + 1)] for y in range(16))
    head = struct.pack(">IIBBBBB", 32, 16, bits, 2 if mode == "RGB" else 0, 0, 0, 0)
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        PngImagePlugin.putchunk(file, b"IHDR", head)
        PngImagePlugin.putchunk(file, b"tRNS", struct.pack(">H", 2) * channels)
        PngImagePlugin.putchunk(file, b"IDAT", zlib.compress(pixels))
        PngImagePlugin.putchunk(file, b"IEND")
    photo = pydpst.open_photo(path)
    assert photo.alpha is not None
    assert photo.alpha[:, :16].min() == 1
    assert photo.alpha[:, 16:].max() == 0
    torch.testing.assert_close(photo.pixels[:, :, :16], torch.full((3, 16, 16), 1 / largest))


def png_with(path: Path, levels: Tensor, *chunks: tuple[bytes, bytes]) -> Path:
    """A PNG of 16 bits with chunks of colour; levels (3, H, W) or (1, H, W) in [0, 1]."""
    stored = (levels.permute(1, 2, 0) * 65535).round().numpy().astype(np.uint16)
    data = imagecodecs.png_encode(np.ascontiguousarray(stored))
    with path.open("wb") as file:
        file.write(data[:33])
        for name, content in chunks:
            PngImagePlugin.putchunk(file, name, content)
        file.write(data[33:])
    return path


P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
# Linear P3 of linear sRGB (both of D65).
TO_P3 = torch.tensor(
    [[0.8224621, 0.1775380, 0.0], [0.0331941, 0.9668058, 0.0], [0.0170827, 0.0723974, 0.9105199]]
)


def in_p3(rgb: Tensor) -> Tensor:
    return srgb_of((TO_P3 @ linear_of(rgb).flatten(1)).clamp(0, 1)).view_as(rgb)


CHUNKS: dict[str, tuple[Tensor, tuple[tuple[bytes, bytes], ...]]] = {
    "cICP, P3": (in_p3(RGB), ((b"cICP", bytes((12, 13, 0, 1))),)),
    "cICP, sRGB": (RGB, ((b"cICP", bytes((1, 13, 0, 1))),)),
    "cICP before gAMA": (
        in_p3(RGB),
        ((b"cICP", bytes((12, 13, 0, 1))), (b"gAMA", struct.pack(">I", 100000))),
    ),
    "cICP, linear": (linear_of(RGB), ((b"cICP", bytes((1, 8, 0, 1))),)),
    "gAMA, linear": (linear_of(RGB), ((b"gAMA", struct.pack(">I", 100000)),)),
    "gAMA of sRGB": (RGB, ((b"gAMA", struct.pack(">I", 45455)),)),
    "sRGB before gAMA": (RGB, ((b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100000)))),
    "cHRM, P3": (
        (TO_P3 @ linear_of(RGB).flatten(1)).view_as(RGB).clamp(0, 1) ** (1 / 1.8),
        ((b"gAMA", struct.pack(">I", 55556)), (b"cHRM", struct.pack(">8I", *P3))),
    ),
    "cHRM, sRGB": (RGB, ((b"cHRM", struct.pack(">8I", *SRGB)),)),
}


@pytest.mark.parametrize("kind", CHUNKS)
def test_what_png_says_of_its_colours(kind: str, tmp_path: Path) -> None:
    levels, chunks = CHUNKS[kind]
    path = png_with(tmp_path / "a.png", levels, *chunks)
    photo = pydpst.open_photo(path)
    torch.testing.assert_close(photo.pixels, RGB, rtol=0, atol=2e-3)
    # And what is written says the same, of the same levels.
    pydpst.save_photo(photo.pixels, tmp_path / "b.png", like=photo)
    torch.testing.assert_close(pydpst.load_image(tmp_path / "b.png"), RGB, rtol=0, atol=2e-3)
    stored = torch.from_numpy(imagecodecs.png_decode((tmp_path / "b.png").read_bytes()) / 65535)
    torch.testing.assert_close(stored.permute(2, 0, 1).float(), levels, rtol=0, atol=1e-4)


def test_gamma_of_a_grey_png(tmp_path: Path) -> None:
    grey = torch.from_numpy(GREY.copy())[None] / 255
    path = png_with(tmp_path / "a.png", linear_of(grey), (b"gAMA", struct.pack(">I", 100000)))
    photo = pydpst.open_photo(path)
    assert photo.mode == "L"
    torch.testing.assert_close(photo.pixels, grey.expand(3, -1, -1), rtol=0, atol=2e-3)


def with_curve(path: Path, levels: Array, curves: Array, **options: Any) -> Path:
    """A TIFF whose levels have the linear light of curves (n) or (3, n) in [0, 1]."""
    table = np.rint(curves.reshape(-1) * 65535).astype(np.uint16)
    return write(path, levels, extratags=[(301, 3, table.size, table, True)], **options)


def test_the_transfer_function_of_tiff(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 65536)
    levels = np.rint(linear_of(RGB).permute(1, 2, 0).numpy() * 65535).astype(np.uint16)
    path = with_curve(tmp_path / "linear.tif", levels, ramp, photometric="rgb")
    photo = pydpst.open_photo(path)
    torch.testing.assert_close(photo.pixels, RGB, rtol=0, atol=2e-3)
    pydpst.save_photo(photo.pixels, tmp_path / "again.tif", like=photo)
    np.testing.assert_allclose(tifffile.imread(tmp_path / "again.tif"), levels, atol=2)
    grey = np.rint(linear_of(torch.from_numpy(GREY / 255)).numpy() * 65535).astype(np.uint16)
    path = with_curve(tmp_path / "grey.tif", grey, ramp, photometric="minisblack")
    want = torch.from_numpy(GREY / 255).float().expand(3, -1, -1)
    torch.testing.assert_close(pydpst.load_image(path), want, rtol=0, atol=2e-3)


def test_a_transfer_function_for_each_channel(tmp_path: Path) -> None:
    gammas = np.array([1.0, 1.8, 3.0])[:, None]
    curves = np.linspace(0, 1, 256) ** gammas
    path = with_curve(tmp_path / "a.tif", LAKE, curves, photometric="rgb")
    linear = (torch.from_numpy(LAKE / 255) ** torch.from_numpy(gammas[:, 0])).permute(2, 0, 1)
    torch.testing.assert_close(pydpst.load_image(path), srgb_of(linear).float(), rtol=0, atol=3e-3)


def test_a_transfer_function_that_says_nothing_new(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 256)
    for name, curve in (("2.2", ramp**2.2), ("sRGB", linear_of(torch.from_numpy(ramp)).numpy())):
        photo = pydpst.open_photo(with_curve(tmp_path / f"{name}.tif", LAKE, curve))
        assert photo.profile is None
        assert torch.equal(photo.pixels, RGB)
    for curve, said in (
        (ramp[:200], "TransferFunction of a wrong length"),
        (1 - ramp, "impossible TransferFunction"),
        (0 * ramp, "impossible TransferFunction"),
    ):
        path = with_curve(tmp_path / "a.tif", LAKE, curve)
        with pytest.warns(UserWarning, match=said):
            assert torch.equal(pydpst.load_image(path), RGB)
    icc = imagecodecs.cms_profile("srgb")
    path = with_curve(tmp_path / "icc.tif", LAKE, ramp, iccprofile=icc)
    assert torch.equal(pydpst.load_image(path), RGB), "a profile counts before it"


def test_hdr_is_refused_and_unknown_codes_are_told_of(tmp_path: Path) -> None:
    path = png_with(tmp_path / "a.png", RGB, (b"cICP", bytes((9, 16, 0, 1))))
    with pytest.raises(ValueError, match=r"is HDR \(PQ\), which is not read"):
        pydpst.load_image(path)
    png_with(path, RGB, (b"cICP", bytes((77, 13, 0, 1))))
    with pytest.warns(UserWarning, match="codes 77, 13, 0, 1 of cICP"):
        torch.testing.assert_close(pydpst.load_image(path), RGB, rtol=0, atol=1e-4)


def test_bmp_of_five_and_six_bits(tmp_path: Path) -> None:
    red, green, blue = (LAKE[..., c].astype(np.uint16) for c in range(3))
    pixels = (red >> 3) << 11 | (green >> 2) << 5 | blue >> 3
    info = struct.pack("<IiiHHIIiiII", 40, 48, -32, 1, 16, 3, pixels.nbytes, 2835, 2835, 0, 0)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    start = 14 + len(info) + len(masks)
    head = b"BM" + struct.pack("<IHHI", start + pixels.nbytes, 0, 0, start)
    (tmp_path / "a.bmp").write_bytes(head + info + masks + pixels.astype("<u2").tobytes())
    photo = pydpst.open_photo(tmp_path / "a.bmp")
    assert photo.bits == 8
    assert (photo.pixels - RGB).abs().max() < 9 / 255


def test_the_size_is_planned_by_the_photo_not_its_thumbnail(tmp_path: Path) -> None:
    from pydpst.photos.decode import size_of

    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(LAKE[::2, ::2], photometric="rgb", subfiletype=1)
        file.write(LAKE.astype(np.float32) / 255, photometric="rgb")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert size_of(tmp_path / "a.tif", "the photo") == (32, 48)
        torch.testing.assert_close(pydpst.load_image(tmp_path / "a.tif"), RGB)
