from __future__ import annotations

import io
import os
import resource
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from pydpst.photos.image import load_image, save_image
from pydpst.photos.resizing import resize, side_by_side
from pydpst.photos.writing import check_output

SUFFIXES = ["png", "jpg", "jpeg", "tif", "tiff", "webp", "PNG"]


def ramp(height: int = 20, width: int = 30) -> torch.Tensor:
    """A smooth RGB image whose values are exact in 8 bits."""
    x = torch.arange(width).expand(height, width)
    y = torch.arange(height)[:, None].expand(height, width)
    return torch.stack([x * 4, y * 6, x + y + 60]) / 255


def picture(mode: str = "RGB") -> Image.Image:
    array = (ramp().permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return Image.fromarray(array).convert(mode)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    save_image(ramp(), tmp_path / f"ramp.{suffix}")
    again = load_image(tmp_path / f"ramp.{suffix}")
    assert again.shape == (3, 20, 30)
    assert again.dtype == torch.float32
    exact = suffix.lower() in ("png", "tif", "tiff")
    torch.testing.assert_close(again, ramp(), rtol=0, atol=1e-7 if exact else 6 / 255)
    assert os.listdir(tmp_path) == [f"ramp.{suffix}"]


def test_values_are_rounded_and_clamped(tmp_path: Path) -> None:
    image = torch.full((3, 16, 16), 0.5)
    image[0], image[1] = -1, 2
    save_image(image, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as written:
        assert written.getpixel((0, 0)) == (0, 255, 128)


def test_a_written_file_gets_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    save_image(ramp(), tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path: Path, orientation: int) -> None:
    stored = {
        2: [2], 3: [1, 2], 4: [1], 5: ["t"], 6: ["t", 1], 7: ["t", 1, 2], 8: ["t", 2],
    }.get(orientation, [])  # fmt: skip
    upright = ramp()
    image = upright
    for action in stored:
        image = image.transpose(1, 2) if action == "t" else image.flip(int(action))
    exif = Image.Exif()
    exif[0x0112] = orientation
    array = (image.permute(1, 2, 0) * 255).round().to(torch.uint8).contiguous().numpy()
    Image.fromarray(array).save(tmp_path / "turned.png", exif=exif)
    torch.testing.assert_close(load_image(tmp_path / "turned.png"), upright)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_modes(tmp_path: Path, mode: str) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    picture(mode).save(tmp_path / f"photo.{suffix}")
    expected = torch.tensor(np.array(picture(mode).convert("RGB"))).permute(2, 0, 1) / 255
    from_file = load_image(tmp_path / f"photo.{suffix}")
    torch.testing.assert_close(from_file, expected, rtol=0, atol=2 / 255)
    torch.testing.assert_close(load_image(picture(mode)), from_file)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    assert load_image(tmp_path / "red.jpg")[:, 0, 0].tolist() == pytest.approx([1, 0, 0], abs=0.02)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_keeps_its_precision(tmp_path: Path, suffix: str) -> None:
    levels = np.arange(400, dtype=np.uint16).reshape(20, 20) * 100 + 7
    Image.fromarray(levels).save(tmp_path / f"grey.{suffix}")
    expected = torch.tensor(levels.astype(np.float32) / 65535).expand(3, 20, 20)
    torch.testing.assert_close(load_image(tmp_path / f"grey.{suffix}"), expected)
    torch.testing.assert_close(load_image(levels), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_becomes_white(mode: str) -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert load_image(clear.convert(mode)).min() == 1
    half = load_image(np.full((16, 16, 4), [0, 0, 0, 0.5]))
    torch.testing.assert_close(half, torch.full((3, 16, 16), 0.5))


def test_transparent_palette_colour_becomes_white(tmp_path: Path) -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([255, 0, 0])
    image.save(tmp_path / "clear.png", transparency=0)
    assert load_image(tmp_path / "clear.png").min() == 1


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_icc_profile_is_converted() -> None:
    # A profile whose red primary is sRGB's blue one, and the reverse.
    swapped = srgb_profile()
    for old, new in [(b"rXYZ", b"????"), (b"bXYZ", b"rXYZ"), (b"????", b"bXYZ")]:
        swapped = swapped.replace(old, new)
    red = Image.new("RGB", (16, 16), (255, 0, 0))
    red.info["icc_profile"] = swapped
    assert load_image(red)[:, 0, 0].tolist() == pytest.approx([0, 0, 1], abs=0.02)
    red.info["icc_profile"] = srgb_profile()
    assert load_image(red)[:, 0, 0].tolist() == pytest.approx([1, 0, 0], abs=0.01)


@pytest.mark.parametrize("profile", [b"broken", srgb_profile()])
def test_icc_profile_that_does_not_fit_is_ignored(profile: bytes) -> None:
    grey = Image.new("L", (16, 16), 100)
    grey.info["icc_profile"] = profile
    told = pytest.warns(UserWarning, match="damaged") if profile == b"broken" else nullcontext()
    with told:
        levels = load_image(grey)
    torch.testing.assert_close(levels, torch.full((3, 16, 16), 100 / 255))


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("white", "black")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match="several frames; the first is taken"):
        assert load_image(tmp_path / "two.gif").min() == 1


@pytest.mark.parametrize(
    "source",
    [
        (ramp().permute(1, 2, 0).double() * 255).round().numpy().astype(np.uint8),
        (ramp().permute(1, 2, 0).double() * 65535).round().numpy().astype(np.uint16),
        ramp().permute(1, 2, 0).numpy(),
        ramp().permute(1, 2, 0).double().numpy(),
        ramp(),
        ramp()[None].double(),
        (ramp() * 255).round().to(torch.uint8),
    ],
)
def test_arrays_and_tensors(source: np.ndarray | torch.Tensor) -> None:
    image = load_image(source)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, ramp())


def test_a_loaded_tensor_shares_nothing_with_its_source() -> None:
    source = ramp().requires_grad_()
    image = load_image(source)
    assert not image.requires_grad
    image.zero_()
    assert source.max() > 0


GREY = torch.full((3, 16, 16), 0.5)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (torch.full_like(GREY, torch.nan), "holds NaN or infinity"),
        (torch.full_like(GREY, torch.inf), "holds NaN or infinity"),
        (np.full((16, 16), np.nan), "holds NaN or infinity"),
        (GREY * 4, "has values from 2 to 2; they must lie in"),
        (GREY - 1, "has values from -0.5 to -0.5"),
        (GREY.numpy().transpose(1, 2, 0) * 510, "has values from 255 to 255"),
        (GREY[0], r"has the shape \(16, 16\); a tensor must be"),
        (GREY.expand(2, 3, 16, 16), r"has the shape \(2, 3, 16, 16\)"),
        (GREY.numpy(), r"has the shape \(3, 16, 16\); an array must be"),
        (GREY.long(), "is torch.int64; a tensor must be"),
        (np.zeros((16, 16), np.int64), "is int64; an array must be"),
        (np.zeros((0, 16, 3)), "is 16×0 pixels; each side must have at least 16"),
        (GREY[:, :15], "is 16×15 pixels"),
        (7, "is a int; it must be a path"),
        (Image.new("F", (16, 16), 3.0), "has values from 3 to 3"),
    ],
)
def test_bad_values(source: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as error:
        load_image(source, "style")  # type: ignore[arg-type]
    assert str(error.value).startswith("the style image ")
    assert str(error.value).endswith(".")


def test_bad_files(tmp_path: Path, city_day: Path) -> None:
    encoded = io.BytesIO()
    picture().save(encoded, "PNG")
    whole = {"jpg": city_day.read_bytes(), "png": encoded.getvalue()}
    files = {
        "text.png": b"a text",
        "empty.png": b"",
        "half.jpg": whole["jpg"][: len(whole["jpg"]) // 2],
        "half.png": whole["png"][: len(whole["png"]) // 2],
        "header.png": whole["png"][:40],
        "vector.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.png").mkdir()
    sentences = {
        "text.png": "is not an image",
        "empty.png": "is not an image",
        "half.jpg": "cannot be decoded",
        "half.png": "cannot be decoded",
        "header.png": "cannot be decoded|is not an image",
        "vector.eps": "is not an image",
        "folder.png": "is a folder",
        "missing.png": "does not exist",
        "text.png/below.png": "does not exist",
    }
    for name, sentence in sentences.items():
        with pytest.raises(ValueError, match=sentence) as error:
            load_image(str(tmp_path / name), "content")
        assert str(error.value).startswith(f"the content image {tmp_path / name} ")
        assert str(error.value).endswith(".")


def test_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture().save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    load_image(tmp_path / "photo.png")  # Pillow would only warn
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with pytest.raises(ValueError, match="has more than 400 pixels"):
        load_image(tmp_path / "photo.png")


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((100, 200), 50, (25, 50)),
        ((200, 100), 50, (50, 25)),
        ((100, 200), 200, (100, 200)),
        ((100, 200), 400, (100, 200)),
        ((16, 200), 100, (16, 100)),
    ],
)
def test_resize(shape: tuple[int, int], size: int, expected: tuple[int, int]) -> None:
    checkerboard = (torch.arange(shape[0])[:, None] + torch.arange(shape[1])) % 2
    resized = resize(checkerboard.float().expand(3, *shape), size)
    assert resized.shape == (3, *expected)
    assert resized.min() >= 0
    assert resized.max() <= 1
    if size == 50:
        torch.testing.assert_close(resized, torch.full_like(resized, 0.5), rtol=0, atol=0.05)


@pytest.mark.parametrize("size", [0, -1, 15, 20.5])
def test_bad_size(size: int) -> None:
    with pytest.raises(ValueError, match=f"size is {size}; it must be a whole number"):
        resize(GREY, size)


def test_side_by_side() -> None:
    row = side_by_side([torch.zeros(3, 32, 64), torch.zeros(3, 16, 16), torch.zeros(3, 64, 32)])
    assert row.shape == (3, 16, 32 + 2 + 16 + 2 + 8)
    assert row[0, 0].nonzero().flatten().tolist() == [32, 33, 50, 51]


def test_bad_output(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    sentences = {
        "out.gif": "must end in one of .png, .jpg",
        "out": "must end in one of",
        "folder.png": "is a folder",
        "missing/out.png": "does not exist",
        "/proc/out.png": "cannot be written to",
    }
    for name, sentence in sentences.items():
        with pytest.raises(ValueError, match=sentence):
            check_output(tmp_path / name)
    assert os.listdir(tmp_path) == ["folder.png"]
    assert check_output(str(tmp_path / "out.JPG")) == tmp_path / "out.JPG"


def test_nothing_is_left_of_a_failed_write(tmp_path: Path) -> None:
    noise = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    save_image(GREY, tmp_path / "out.png")
    before = (tmp_path / "out.png").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # a disk soon full
    try:
        with pytest.raises(OSError, match=r"out\.png could not be written"):
            save_image(noise, tmp_path / "out.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["out.png"]
    assert (tmp_path / "out.png").read_bytes() == before


@pytest.mark.parametrize("image", [torch.zeros(16, 16), torch.full((3, 16, 16), torch.nan)])
def test_bad_image_to_save(tmp_path: Path, image: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="the image "):
        save_image(image, tmp_path / "out.png")
    assert not os.listdir(tmp_path)
