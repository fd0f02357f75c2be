"""Photos through open_photo and save_photo, made and read back by libraries that pip installs.

tests/test_photo.py says the same, and more, with the programs of a photographer's machine.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import pyvips
import tifffile
import torch
from PIL import ExifTags, Image, IptcImagePlugin
from PIL.PngImagePlugin import PngInfo

from pydpst.photos.photo import Photo, open_photo, save_photo

# Of a conversion by libvips.
AS_OURS = {"embedded": True, "intent": "relative", "black_point_compensation": True}
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" '
    b'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)


@pytest.fixture(scope="session")
def upright(city_day: Path) -> np.ndarray[Any, Any]:
    """A photo of 96×48 pixels, uint8."""
    with Image.open(city_day) as photo:
        return np.asarray(photo.convert("RGB").resize((96, 48)))


def seen(path: Path) -> np.ndarray[Any, Any]:
    """What libvips reads: (height, width, channels), as stored."""
    return np.asarray(pyvips.Image.new_from_file(str(path)))


def through(path: Path, out: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> Photo:
    photo = open_photo(path)
    save_photo(change(photo.pixels), out, like=photo)
    return photo


def same(image: torch.Tensor) -> torch.Tensor:
    return image


def darker(image: torch.Tensor) -> torch.Tensor:
    return image * torch.tensor([0.8, 0.7, 0.9])[:, None, None]


def levels(image: torch.Tensor, largest: int) -> np.ndarray[Any, Any]:
    return np.asarray((image * largest).round().permute(1, 2, 0))


def turned(array: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    """How a photo looks that is stored with an EXIF orientation (EXIF 2.3, table 4)."""
    sides: dict[int, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: np.rot90,
    }
    return sides[orientation](array)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(
    tmp_path: Path, upright: np.ndarray[Any, Any], suffix: str, orientation: int
) -> None:
    path, out = tmp_path / f"photo.{suffix}", tmp_path / f"out.{suffix}"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(upright).save(path, exif=exif, quality=100)
    photo = through(path, out, same)
    error = np.abs(levels(photo.pixels, 255) - turned(upright, orientation))
    assert error.mean() < (4 if suffix in ("jpg", "webp") else 0.01)
    with Image.open(out) as result:
        assert result.getexif().get(ExifTags.Base.Orientation, 1) == 1
    assert seen(out).shape == turned(upright, orientation).shape


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_sixteen_bits_are_kept(tmp_path: Path, suffix: str, alpha: bool) -> None:
    """A gradient over five levels of 8 bits has as many steps as it has columns."""
    path, out = tmp_path / f"photo.{suffix}", tmp_path / f"out.{suffix}"
    slope = np.linspace([0.20, 0.30, 0.40], [0.22, 0.31, 0.42], 1000)
    channels = np.concatenate([slope, np.full((1000, 1), 0.4)], 1) if alpha else slope
    stored = np.tile((channels * 65535).round().astype(np.uint16), (20, 1, 1))
    if suffix == "png":
        path.write_bytes(imagecodecs.png_encode(stored))
    else:
        kind = ["unassalpha"] if alpha else None
        tifffile.imwrite(path, stored, photometric="rgb", extrasamples=kind)
    photo = through(path, out, lambda image: image + 0.1)
    assert photo.bits == 16
    result = seen(out)
    assert (result.dtype, result.shape) == (np.uint16, stored.shape)
    assert len(np.unique(result[10, :, :3], axis=0)) > 990
    wanted = stored[..., :3].astype(np.int64) + round(0.1 * 65535)
    assert np.abs(result[..., :3].astype(np.int64) - wanted).max() <= 2
    assert np.array_equal(result[..., 3:], stored[..., 3:])


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_opacity(tmp_path: Path, upright: np.ndarray[Any, Any], suffix: str) -> None:
    path, out = tmp_path / f"photo.{suffix}", tmp_path / f"out.{suffix}"
    opacity = np.tile(np.linspace(255, 0, 48).astype(np.uint8)[:, None, None], (1, 96, 1))
    stored = np.concatenate([upright, opacity], 2)
    Image.fromarray(stored).save(path, lossless=True, exact=True)
    photo = through(path, out, darker)
    assert np.array_equal(seen(out)[..., 3:], opacity)
    error = np.abs(seen(out)[..., :3] - levels(darker(photo.pixels), 255))
    assert error[:24].mean() < (5 if suffix == "webp" else 0.6)
    save_photo(photo.pixels, tmp_path / "flat.jpg", like=photo)  # which shows it on white
    share = opacity / 255
    flat = upright * share + 255 * (1 - share)
    assert np.abs(seen(tmp_path / "flat.jpg") - flat).mean() < 3


@pytest.mark.parametrize(("suffix", "bits"), [("jpg", 8), ("png", 8), ("png", 16), ("tif", 16)])
def test_profile(tmp_path: Path, upright: np.ndarray[Any, Any], suffix: str, bits: int) -> None:
    """Nothing is lost where nothing changed, and what is seen is what the profile says."""
    path, out = tmp_path / f"photo.{suffix}", tmp_path / f"out.{suffix}"
    icc = imagecodecs.cms_profile("adobergb")
    stored = upright.astype(np.uint16) * 257 if bits == 16 else upright
    image = pyvips.Image.new_from_array(stored, interpretation="rgb16" if bits == 16 else "srgb")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    image.write_to_file(str(path), **({"Q": 100} if suffix == "jpg" else {}))
    photo = through(path, out, same)
    assert photo.bits == bits
    result = pyvips.Image.new_from_file(str(out))
    assert result.get("icc-profile-data") == icc
    loss = np.abs(seen(path).astype(np.int64) - seen(out)).max()
    assert loss <= (6 if suffix == "jpg" else 0)
    srgb = np.asarray(result.icc_transform("srgb", depth=16, **AS_OURS)) / 65535
    # Its tables are coarse at the border of sRGB.
    assert np.abs(srgb - np.asarray(photo.pixels.permute(1, 2, 0))).mean() < 0.005


def test_colours_beyond_srgb_stay(tmp_path: Path) -> None:
    """Adobe RGB's own green, a little darker, is still greener than sRGB holds."""
    path, out = tmp_path / "green.png", tmp_path / "out.png"
    green = Image.new("RGB", (32, 32), (0, 255, 0))
    green.save(path, icc_profile=imagecodecs.cms_profile("adobergb"))
    photo = through(path, out, lambda image: image * 0.95)
    assert photo.pixels[:, 0, 0].tolist() == pytest.approx([0, 1, 0], abs=1e-3)
    red, middle, _ = seen(out)[0, 0] / 255
    assert middle == pytest.approx(0.95, abs=0.03)
    assert red < 0.1  # 0.53 for the green of sRGB


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_stays_grey_unless_the_result_has_colour(
    tmp_path: Path, upright: np.ndarray[Any, Any], bits: int
) -> None:
    path, out = tmp_path / "photo.png", tmp_path / "out.png"
    grey = upright[..., 1].astype(np.uint16) * 257 if bits == 16 else upright[..., 1].copy()
    path.write_bytes(imagecodecs.png_encode(grey))
    photo = through(path, out, same)
    assert np.array_equal(imagecodecs.png_decode(out.read_bytes()), grey)
    save_photo(darker(photo.pixels), out, like=photo)
    result = imagecodecs.png_decode(out.read_bytes())
    assert np.abs(result - levels(darker(photo.pixels), 2**bits - 1)).max() <= 1


def test_cmyk_becomes_rgb(tmp_path: Path, upright: np.ndarray[Any, Any]) -> None:
    path, out = tmp_path / "photo.tif", tmp_path / "out.tif"
    image = pyvips.Image.new_from_array(upright, interpretation="srgb")
    image.icc_transform("cmyk", input_profile="srgb").write_to_file(str(path))
    photo = through(path, out, same)
    assert photo.mode == "CMYK"
    wanted = pyvips.Image.new_from_file(str(path)).icc_transform("srgb", **AS_OURS)
    with tifffile.TiffFile(out) as file:
        assert file.pages.first.photometric == tifffile.PHOTOMETRIC.RGB
    assert np.abs(seen(out).astype(int) - np.asarray(wanted)).mean() < 0.5


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp"])
def test_palette(tmp_path: Path, upright: np.ndarray[Any, Any], suffix: str) -> None:
    path, out = tmp_path / f"photo.{suffix}", tmp_path / "out.png"
    few = Image.fromarray(upright).quantize(60)
    few.save(path)
    through(path, out, same)
    assert np.array_equal(seen(out)[..., :3], np.asarray(few.convert("RGB")))


@pytest.mark.parametrize("out_suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_metadata(
    tmp_path: Path, upright: np.ndarray[Any, Any], suffix: str, out_suffix: str
) -> None:
    path, out = tmp_path / f"photo.{suffix}", tmp_path / f"out.{out_suffix}"
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Artist] = "A Maker", "Zoe"
    exif[ExifTags.Base.Orientation] = 6
    camera = exif.get_ifd(ExifTags.IFD.Exif)
    camera[ExifTags.Base.ISOSpeedRatings] = 200
    camera[ExifTags.Base.DateTimeOriginal] = "2020:02:03 04:05:06"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    options: dict[str, Any] = {"exif": exif, "dpi": (240, 240)}
    if suffix == "png":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    elif suffix == "jpg":
        options["xmp"] = XMP
    Image.fromarray(upright).save(path, **options)
    through(path, out, darker)
    with Image.open(out) as result:
        found = result.getexif()
        assert found[ExifTags.Base.Make] == "A Maker"
        assert found[ExifTags.Base.Artist] == "Zoe"
        assert found.get(ExifTags.Base.Orientation, 1) == 1
        if suffix != "tif":  # of which Pillow writes the first directory only
            inner = found.get_ifd(ExifTags.IFD.Exif)
            assert inner[ExifTags.Base.ISOSpeedRatings] == 200
            assert inner[ExifTags.Base.DateTimeOriginal] == "2020:02:03 04:05:06"
            assert found.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert result.size == (48, 96)
        if out_suffix != "webp":
            assert float(result.info["dpi"][0]) == pytest.approx(240, abs=0.1)
        if suffix != "tif":
            packet = result.info.get("xmp") or result.info.get("XML:com.adobe.xmp") or found[700]
            text = packet if isinstance(packet, str) else bytes(packet).decode()
            assert 'Rating="4"' in text
            assert 'tiff:Orientation="1"' in text


def test_iptc(tmp_path: Path, upright: np.ndarray[Any, Any]) -> None:
    path, out = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    city = b"\x1c\x02\x5a\x00\x08Helsinki"  # record 2, dataset 90
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(city).to_bytes(4, "big") + city + b"\0"
    segment = b"\xff\xed" + (2 + len(block)).to_bytes(2, "big") + block
    plain = io.BytesIO()
    Image.fromarray(upright).save(plain, "JPEG", quality=97)
    data = plain.getvalue()
    path.write_bytes(data[:2] + segment + data[2:])
    through(path, out, darker)
    with Image.open(out) as result:
        assert IptcImagePlugin.getiptcinfo(result)[(2, 90)] == b"Helsinki"


@pytest.mark.parametrize(("quality", "sampling"), [(97, "4:2:0"), (60, "4:2:2")])
def test_jpeg_settings_follow_the_photo(
    tmp_path: Path, upright: np.ndarray[Any, Any], quality: int, sampling: str
) -> None:
    path, out, wanted = (tmp_path / f"{name}.jpg" for name in ("photo", "out", "wanted"))
    Image.fromarray(upright).save(path, quality=quality, subsampling=sampling)
    Image.fromarray(upright).save(wanted, quality=max(quality, 92), subsampling=sampling)
    through(path, out, same)
    with Image.open(out) as result, Image.open(wanted) as like:
        assert result.quantization == like.quantization
        assert result.layer == like.layer
