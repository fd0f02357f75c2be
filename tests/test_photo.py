"""Photos through open_photo and save_photo, made and checked by other programs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Run
from test_photo_files import darker, same, through

from pydpst.feedforward.bundled import styles
from pydpst.photos.dither import dithered
from pydpst.photos.photo import open_photo, save_photo

COLORD = Path("/usr/share/color/icc/colord")
PACKAGES = {
    "convert": "imagemagick",
    "exiftool": "libimage-exiftool-perl",
    "identify": "imagemagick",
    "vips": "libvips-tools",
    "vipsheader": "libvips-tools",
}


@lru_cache
def is_there(program: str) -> bool:
    """Whether this is the program meant, and not another of its name."""
    if not shutil.which(program):
        return False
    option = "-ver" if program == "exiftool" else "-version" if program != "vips" else "--version"
    known = {"exiftool": r"^\d+\.\d+$", "vips": "^vips", "vipsheader": "^vips"}
    asked = ["vips", "--version"] if program == "vipsheader" else [program, option]
    told = subprocess.run(asked, capture_output=True, text=True).stdout
    return re.search(known.get(program, "ImageMagick"), told) is not None


def call(program: str, *arguments: object) -> str:
    """Runs another program; what it printed."""
    if not is_there(program):
        pytest.skip(f"{program} is missing or another; install {PACKAGES[program]}")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def profile(name: str) -> Path:
    if not (COLORD / name).exists():
        pytest.skip(f"{name} is missing; install colord-data")
    return COLORD / name


def tags(*paths: Path) -> list[dict[str, Any]]:
    """What exiftool reads of each file, by tag; numbers as they are stored."""
    return list(json.loads(call("exiftool", "-json", "-n", *paths)))


def pixels_of(path: Path, *options: object) -> np.ndarray[Any, Any]:
    """What ImageMagick reads, after its options: (height, width, channels), in [0, 1]."""
    raw = path.with_suffix(".raw.ppm")
    call("convert", path, *options, "-alpha", "off", "-depth", "16", "-compress", "none", raw)
    kind, width, height, largest, *levels = raw.read_text().split()
    assert (kind, largest) == ("P3", "65535")
    return np.array(levels, np.float32).reshape(int(height), int(width), 3) / 65535


def shown(image: torch.Tensor) -> np.ndarray[Any, Any]:
    return image.permute(1, 2, 0).numpy()


@pytest.fixture(scope="session")
def upright(tmp_path_factory: pytest.TempPathFactory, city_day: Path) -> Path:
    path = tmp_path_factory.mktemp("upright") / "upright.png"
    call("convert", city_day, "-strip", "-resize", "96x48", path)
    return path


# In the order of their numbers in EXIF, by ImageMagick's names.
ORIENTATIONS = (
    "TopLeft",
    "TopRight",
    "BottomRight",
    "BottomLeft",
    "LeftTop",
    "RightTop",
    "RightBottom",
    "LeftBottom",
)


@pytest.fixture(scope="session")
def turned(upright: Path) -> list[np.ndarray[Any, Any]]:
    """The photo as it looks if it was stored with each orientation."""
    return [pixels_of(upright, "-orient", name, "-auto-orient") for name in ORIENTATIONS]


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_orientation(
    tmp_path: Path, upright: Path, turned: list[np.ndarray[Any, Any]], suffix: str
) -> None:
    files = [tmp_path / f"{number}.{suffix}" for number in range(1, 9)]
    depth = ("-depth", "16") if suffix == "tif" else ("-quality", "100")
    call("convert", upright, *depth, files[0])
    for path in files[1:]:
        shutil.copy(files[0], path)
    write: list[object] = []
    for number, path in enumerate(files, 1):
        write += [f"-Orientation={number}", "-ExifImageWidth=96", "-ExifImageHeight=48"]
        write += ["-n", "-overwrite_original", path, "-execute"]
    call("exiftool", *write[:-1])
    outputs = [path.with_name(f"out{path.name}") for path in files]
    for path, out, expected in zip(files, outputs, turned, strict=True):
        photo = through(path, out, same)
        assert np.abs(shown(photo.pixels) - expected).mean() < 0.01
    for number, (read, path) in enumerate(zip(tags(*outputs), outputs, strict=True), 1):
        size = (96, 48) if number < 5 else (48, 96)
        assert read.get("Orientation", 1) == 1
        assert (read["ImageWidth"], read["ImageHeight"]) == size, path
        assert (read["ExifImageWidth"], read["ExifImageHeight"]) == size, path


@pytest.mark.parametrize(
    ("name", "suffix", "bits"),
    [
        ("AdobeRGB1998.icc", "jpg", 8),
        ("AdobeRGB1998.icc", "png", 16),
        ("ProPhotoRGB.icc", "tif", 16),
        ("p3", "png", 8),
        ("p3", "tif", 8),
    ],
)
def test_profile(tmp_path: Path, upright: Path, name: str, suffix: str, bits: int) -> None:
    """The photo fills its profile's gamut; nothing is lost where nothing changed."""
    icc = name if name == "p3" else profile(name)
    stored, path = tmp_path / "stored.tif", tmp_path / f"photo.{suffix}"
    # A profile is embedded by a conversion into it; then saturation goes beyond sRGB.
    call("vips", "icc_transform", upright, stored, icc, "--depth", bits, "--embedded")
    call("convert", stored, "-channel", "R", "-level", "10%,80%", "-quality", "100", path)
    out = tmp_path / f"out.{suffix}"
    photo = through(path, out, same)
    assert photo.bits == bits
    embedded = [call("exiftool", "-icc_profile:all", "-S", file) for file in (path, out)]
    assert embedded[0] == embedded[1] != ""
    loss = np.abs(pixels_of(path) - pixels_of(out)).max()
    assert loss <= (0.02 if suffix == "jpg" else 0)
    srgb = ("-intent", "relative", "-black-point-compensation", "-profile", profile("sRGB.icc"))
    assert np.abs(pixels_of(path, *srgb) - shown(photo.pixels)).max() < 0.01
    save_photo(darker(photo.pixels), out, like=replace(photo, levels=None))
    error = np.abs(pixels_of(out, *srgb) - shown(darker(photo.pixels)))
    assert error.mean() < 0.005
    assert error.max() < (0.1 if suffix == "jpg" else 0.02)


def test_colours_beyond_srgb_stay(tmp_path: Path) -> None:
    """Adobe RGB's own green, a little darker, is still greener than sRGB holds."""
    path, out = tmp_path / "green.png", tmp_path / "out.png"
    call("convert", "-size", "32x32", "xc:#00ff00", "-profile", profile("AdobeRGB1998.icc"), path)
    photo = through(path, out, lambda image: image * 0.95)
    assert photo.pixels[:, 0, 0].tolist() == pytest.approx([0, 1, 0], abs=1e-3)
    red, green, blue = pixels_of(out)[0, 0]
    assert green == pytest.approx(0.95, abs=0.03)
    assert red < 0.1  # 0.53 for the green of sRGB
    save_photo(torch.full_like(photo.pixels, 0.5), out, like=photo)
    red, green, blue = pixels_of(out)[0, 0]
    assert abs(red - green) < 0.01
    assert abs(blue - green) < 0.01


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_sixteen_bits_are_kept(tmp_path: Path, suffix: str, alpha: bool) -> None:
    """A gradient over five levels of 8 bits has as many steps as it has columns."""
    path, out = tmp_path / f"photo.{suffix}", tmp_path / f"out.{suffix}"
    gradient = ("-size", "20x1000", "gradient:rgb(20%,30%,40%)-rgb(22%,31%,42%)", "-rotate", "90")
    opacity = ("-alpha", "set", "-channel", "A", "-evaluate", "set", "40%") if alpha else ()
    call("convert", "-depth", "16", *gradient, *opacity, path)
    photo = through(path, out, lambda image: image + 0.1)
    assert photo.bits == 16
    assert (photo.alpha is not None) == alpha
    assert "USHORT" in call("vipsheader", "-f", "format", out)
    assert int(call("vipsheader", "-f", "bands", out)) == 3 + alpha
    levels = pixels_of(out)[10]
    assert len(np.unique(levels, axis=0)) > 990
    assert np.abs(levels - pixels_of(path)[10] - 0.1).max() < 2 / 65535
    if alpha:
        call("convert", out, "-alpha", "extract", tmp_path / "alpha.png")
        assert np.abs(pixels_of(tmp_path / "alpha.png") - 0.4).max() < 1e-4


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_opacity(tmp_path: Path, upright: Path, suffix: str) -> None:
    path, out = tmp_path / f"photo.{suffix}", tmp_path / f"out.{suffix}"
    mask = ("-size", "96x48", "gradient:white-black", "-alpha", "off")
    lossless = ("-define", "webp:lossless=true", "-define", "webp:exact=true")
    call(
        "convert",
        upright,
        "(",
        *mask,
        ")",
        "-compose",
        "CopyOpacity",
        "-composite",
        *lossless,
        path,
    )
    through(path, out, darker)
    extract = ("-alpha", "extract")
    assert np.array_equal(pixels_of(path, *extract), pixels_of(out, *extract))
    error = np.abs(
        pixels_of(out) - shown(darker(torch.tensor(pixels_of(path).copy()).permute(2, 0, 1)))
    )
    assert error.mean() < (0.02 if suffix == "webp" else 0.002)
    # Of another size, and to a format without opacity.
    photo = open_photo(path)
    save_photo(darker(photo.pixels)[:, ::2, ::2], tmp_path / "half.png", like=photo)
    assert tags(tmp_path / "half.png")[0]["ColorType"] == 6
    save_photo(photo.pixels, tmp_path / "flat.jpg", like=photo)
    flat = pixels_of(path, "-background", "white", "-flatten")
    assert np.abs(pixels_of(tmp_path / "flat.jpg") - flat).mean() < 0.01


def test_premultiplied_sixteen_bit_opacity(tmp_path: Path, upright: Path) -> None:
    path, premultiplied = tmp_path / "photo.tif", tmp_path / "premultiplied.tif"
    half = ("-alpha", "set", "-channel", "A", "-evaluate", "set", "50%")
    call("convert", upright, "-depth", "16", *half, path)
    call("convert", path, "-define", "tiff:alpha=associated", premultiplied)
    photo = open_photo(premultiplied)
    if tags(premultiplied)[0]["ExtraSamples"] != 1:
        pytest.skip("this ImageMagick does not write premultiplied opacity")
    assert photo.bits == 16
    assert np.abs(shown(photo.pixels) - pixels_of(path)).max() < 1e-3


@pytest.mark.parametrize(("suffix", "bits"), [("jpg", 8), ("tif", 8), ("tif", 16)])
def test_cmyk_becomes_rgb(tmp_path: Path, upright: Path, suffix: str, bits: int) -> None:
    path, out = tmp_path / f"photo.{suffix}", tmp_path / "out.tif"
    stored = tmp_path / "stored.tif"
    call("vips", "icc_transform", upright, stored, "cmyk", "--input-profile", "srgb")
    call("convert", stored, "-depth", bits, "-quality", "100", path)
    photo = through(path, out, same)
    assert (photo.mode, photo.bits) == ("CMYK", bits)
    relative = ("-intent", "relative", "-black-point-compensation")
    expected = pixels_of(path, *relative, "-profile", profile("sRGB.icc"))
    assert np.abs(pixels_of(out) - expected).max() < 0.01
    read = tags(out)[0]
    assert read["PhotometricInterpretation"] == 2
    assert read["ColorSpaceData"] == "RGB "
    assert read["BitsPerSample"] == f"{bits} {bits} {bits}"


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_stays_grey_unless_the_result_has_colour(
    tmp_path: Path, upright: Path, bits: int
) -> None:
    path, out = tmp_path / "photo.png", tmp_path / "out.png"
    call("convert", upright, "-colorspace", "Gray", "-depth", bits, path)
    assert tags(path)[0]["ColorType"] == 0
    photo = through(path, out, same)
    assert tags(out)[0]["ColorType"] == 0
    assert tags(out)[0]["BitDepth"] == bits
    assert np.array_equal(pixels_of(path), pixels_of(out))
    save_photo(darker(photo.pixels), out, like=photo)
    assert tags(out)[0]["ColorType"] == 2
    assert np.abs(pixels_of(out) - shown(darker(photo.pixels))).max() < 1 / 255


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp"])
def test_palette(tmp_path: Path, upright: Path, suffix: str) -> None:
    path, out = tmp_path / f"photo.{suffix}", tmp_path / "out.png"
    see_through = ("-fuzz", "20%", "-transparent", "white") if suffix != "bmp" else ()
    call("convert", upright, "-colors", "60", *see_through, "-type", "Palette", path)
    through(path, out, same)
    options = ("-background", "red", "-alpha", "background", "-flatten")
    assert np.array_equal(pixels_of(path, *options), pixels_of(out, *options))


METADATA = {
    "IFD0:Make": "A Maker",
    "IFD0:Model": "A Model",
    "IFD0:Artist": "Zoë",
    "IFD0:Copyright": "nobody",
    "ExifIFD:ExposureTime": 0.004,
    "ExifIFD:FNumber": 5.6,
    "ExifIFD:ISO": 200,
    "ExifIFD:DateTimeOriginal": "2020:02:03 04:05:06",
    "ExifIFD:LensModel": "A Lens",
    "ExifIFD:UserComment": "as it was",
    "GPS:GPSLatitude": 51.5,
    "GPS:GPSLatitudeRef": "N",
    "XMP-dc:Title": "Städte",
    "XMP-xmp:Rating": 4,
}


@pytest.mark.parametrize("out_suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_metadata(tmp_path: Path, upright: Path, suffix: str, out_suffix: str) -> None:
    path, out = tmp_path / f"photo.{suffix}", tmp_path / f"out.{out_suffix}"
    call("convert", upright, "-density", "240x240", "-units", "PixelsPerInch", path)
    write = [f"-{tag}={value}" for tag, value in METADATA.items()]
    write += ["-n", "-Orientation=6", "-XMP-tiff:Orientation=6", "-IPTC:City=Ørebro"]
    write += ["-XResolution=240", "-YResolution=240"]
    if suffix == "jpg":
        thumbnail = tmp_path / "thumbnail.jpg"
        call("convert", upright, "-resize", "32x", thumbnail)
        write.append(f"-ThumbnailImage<={thumbnail}")
    call("exiftool", "-overwrite_original", "-charset", "iptc=UTF8", *write, path)
    through(path, out, darker)
    read = json.loads(call("exiftool", "-json", "-n", "-G1", "-charset", "iptc=UTF8", out))[0]
    assert {tag: read.get(tag) for tag in METADATA} == METADATA
    assert read.get("IFD0:Orientation", 1) == 1
    assert read["XMP-tiff:Orientation"] == 1
    assert not [tag for tag in read if "Thumbnail" in tag or tag.startswith("IFD1")]
    assert "warning" not in json.dumps(read).lower()
    if out_suffix != "webp":
        density = call("identify", "-format", "%x %U", "-units", "PixelsPerInch", out)
        assert float(re.split(r"[ P]", density)[0]) == pytest.approx(240, abs=0.1)
    if suffix in ("jpg", "tif") and out_suffix in ("jpg", "tif"):
        assert read["IPTC:City"] == "Ørebro"


def test_makers_notes_stay_where_they_are(tmp_path: Path, upright: Path) -> None:
    """They hold offsets from the beginning of EXIF, which break when anything moves."""
    path, out = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    call("convert", upright, path)
    call("exiftool", "-overwrite_original", "-Make=A", "-Orientation=Rotate 180", path)
    photo = open_photo(path)
    exif = photo.metadata.exif
    assert exif is not None
    save_photo(photo.pixels, out, like=photo)
    again = open_photo(out).metadata.exif
    assert again is not None
    assert len(again) == len(exif)
    assert sum(a != b for a, b in zip(exif, again, strict=True)) == 1


@pytest.mark.parametrize(
    ("quality", "sampling", "expected"), [(97, "2x2", (97, "2 2")), (60, "2x1", (92, "2 1"))]
)
def test_jpeg_settings_follow_the_photo(
    tmp_path: Path, upright: Path, quality: int, sampling: str, expected: tuple[int, str]
) -> None:
    path, out = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    call("convert", upright, "-quality", quality, "-sampling-factor", sampling, path)
    through(path, out, same)
    assert int(call("identify", "-format", "%Q", out)) == expected[0]
    assert tags(out)[0]["YCbCrSubSampling"] == expected[1]


def test_adobe_rgb_of_a_camera_without_a_profile(tmp_path: Path, upright: Path) -> None:
    path, out = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    call("convert", upright, "-quality", "100", path)
    uncalibrated = ("-ColorSpace#=65535", "-InteropIndex=R03")
    call("exiftool", "-overwrite_original", *uncalibrated, path)
    photo = through(path, out, same)
    adobe = ("-profile", profile("AdobeRGB1998.icc"), "-intent", "relative")
    expected = pixels_of(path, *adobe, "-profile", profile("sRGB.icc"))
    assert np.abs(shown(photo.pixels) - expected).max() < 0.01
    assert "Adobe" in tags(out)[0]["ProfileDescription"]


def test_heic(tmp_path: Path, upright: Path) -> None:
    pytest.importorskip("pillow_heif")
    path, out = tmp_path / "photo.heic", tmp_path / "out.jpg"
    if "HEIC" not in call("convert", "-list", "format"):
        pytest.skip("this ImageMagick has no HEIC")
    call("convert", upright, "-quality", "95", path)
    call("exiftool", "-overwrite_original", "-Artist=Zoë", path)
    photo = through(path, out, same)
    assert np.abs(shown(photo.pixels) - pixels_of(upright)).mean() < 0.02
    assert tags(out)[0]["Artist"] == "Zoë"


def test_heic_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(ImportError, match=r"is HEIC, which needs pillow-heif: pip install"):
        open_photo(tmp_path / "photo.heic")


def test_smooth_gradients_are_dithered() -> None:
    gradient = torch.linspace(100, 104, 2000).expand(3, 40, 2000)
    levels = dithered(gradient)
    assert torch.equal(levels, dithered(gradient))
    assert set(levels.unique().tolist()) <= set(range(99, 106))
    averaged = torch.nn.functional.avg_pool2d(levels[None], 20, 20)
    expected = torch.nn.functional.avg_pool2d(gradient[None], 20, 20)
    assert (averaged - expected).abs().max() < 0.05  # 0.5 when rounded
    assert torch.equal(levels[:, 8:], dithered(gradient[:, 8:], 8))


def test_what_needs_no_dithering_is_rounded() -> None:
    flat = torch.full((3, 20, 20), 100.4)
    assert torch.equal(dithered(flat), torch.full_like(flat, 100))
    texture = torch.rand(3, 50, 50, generator=torch.Generator().manual_seed(0)) * 200
    assert (dithered(texture) == texture.round()).float().mean() > 0.99
    whole = torch.arange(200.0).expand(3, 20, 200) / 255
    assert torch.equal(dithered(whole * 255), (whole * 255).round())


def test_sources_in_memory(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 65536, (20, 30, 4), np.uint16)
    photo = open_photo(array)
    save_photo(photo.pixels, tmp_path / "out.png", like=photo)
    again = open_photo(tmp_path / "out.png")
    assert again.bits == 16
    assert torch.equal(again.pixels, photo.pixels)
    assert again.alpha is not None
    assert photo.alpha is not None
    assert torch.equal(again.alpha, photo.alpha)
    grey = open_photo(np.zeros((20, 30), np.uint8))
    assert (grey.mode, grey.bits, grey.alpha) == ("L", 8, None)


@pytest.fixture
def original(tmp_path: Path, upright: Path) -> Path:
    """A 16-bit photo in Adobe RGB that lies on its side."""
    wide, path = tmp_path / "wide.tif", tmp_path / "photo.tif"
    call("vips", "icc_transform", upright, wide, profile("AdobeRGB1998.icc"), "--depth", 16)
    call("convert", wide, path)
    call("exiftool", "-overwrite_original", "-n", "-Orientation=6", "-Artist=Zoë", path)
    return path


def is_like(out: Path, size: tuple[int, int]) -> None:
    read = tags(out)[0]
    assert (read["ImageWidth"], read["ImageHeight"]) == size
    assert read["BitsPerSample"] == "16 16 16"
    assert read["Artist"] == "Zoë"
    assert "Adobe" in read["ProfileDescription"]
    assert read.get("Orientation", 1) == 1


def test_applied_styles_keep_what_there_was(run: Run, tmp_path: Path, original: Path) -> None:
    out = tmp_path / "out.tif"
    code, told = run("apply", sorted(styles())[0], original, "-o", out, "--strength", "0")
    assert (code, told.count("\n")) == (0, 1)
    is_like(out, (48, 96))
    assert np.array_equal(pixels_of(out), pixels_of(original, "-auto-orient"))


def test_stylized_photos_keep_what_there_was(run: Run, tmp_path: Path, original: Path) -> None:
    out = tmp_path / "out.tif"
    assert run("stylize", original, original, "-o", out, "--steps", "1", "--size", "48")[0] == 0
    is_like(out, (48, 96))
