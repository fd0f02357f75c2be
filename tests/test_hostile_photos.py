"""Broken photos, locked folders and full disks: a sentence for each, and the others go on."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from conftest import Run
from PIL import Image

import pydpst
from pydpst.feedforward.bundled import styles
from pydpst.feedforward.model_file import save_model
from pydpst.feedforward.networks import BilateralGridNet
from pydpst.photos.photo import open_photo, save_photo


def png(width: int, height: int) -> bytes:
    """A PNG that says it is of this size, and holds no pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def whole(file_format: str, bits: int = 8, **options: Any) -> bytes:
    """A photo of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    buffer = io.BytesIO()
    if bits == 16:
        tifffile.imwrite(buffer, noise.astype(np.uint16) * 257, photometric="rgb", **options)
    else:
        Image.fromarray(noise).save(buffer, file_format, **options)
    return buffer.getvalue()


def sixteen_bit_png() -> bytes:
    photo = open_photo(np.random.default_rng(0).integers(0, 65536, (40, 50, 3), np.uint16))
    from pydpst.photos.encode import encoded

    return bytes(
        encoded((photo.pixels * 65535).round().permute(1, 2, 0).numpy().astype("u2"), ".png")
    )


def many_frames() -> bytes:
    first, *others = [Image.new("L", (32, 32), number % 256) for number in range(1000)]
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others)
    return buffer.getvalue()


WHOLE: dict[str, Callable[[], bytes]] = {
    "photo.jpg": lambda: whole("JPEG"),
    "photo.png": lambda: whole("PNG"),
    "photo.webp": lambda: whole("WEBP"),
    "photo.gif": lambda: whole("GIF"),
    "photo.tif": lambda: whole("TIFF", compression="tiff_lzw"),
    "deep.tif": lambda: whole("TIFF", 16, compression="zlib", predictor=True),
    "deep.png": sixteen_bit_png,
}

BROKEN: dict[str, tuple[bytes, str]] = {
    "bomb.png": (png(50000, 50000), "has more than 178956970 pixels, too many to decode"),
    "thread.png": (png(60000, 1), "is 60000×1 pixels; each side must have at least 16"),
    "band.png": (png(70000, 100), "is 70000×100 pixels; each side may have at most 65500"),
    "drawing.jpg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is not an image"),
    "half.jpg": (whole("JPEG")[:1000], "cannot be decoded"),
    "half.png": (whole("PNG")[:2000], "cannot be decoded"),
    "half.webp": (whole("WEBP")[:1000], "cannot be decoded"),
    "half.tif": (whole("TIFF", 16)[:3000], "cannot be decoded"),
    "odd.tif": (whole("TIFF", 16, compression="lzma"), "RGB compressed by LZMA"),
}


@pytest.fixture
def model(tmp_path: Path, city_night: Path) -> Path:
    network = BilateralGridNet()
    network.set_style(pydpst.load_image(city_night))
    save_model(network, tmp_path / "model.safetensors", {"license": "none"})
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("name", BROKEN)
def test_broken_photos(tmp_path: Path, name: str) -> None:
    data, sentence = BROKEN[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=sentence) as error:
        open_photo(tmp_path / name, "content")
    assert str(error.value).startswith(f"the content image {tmp_path / name} ")
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero")):
        with pytest.raises(ValueError, match=f"the image {path} is no regular file"):
            open_photo(path)


def test_a_file_too_large(tmp_path: Path) -> None:
    with open(tmp_path / "photo.png", "wb") as file:
        file.truncate(2**31 + 1)  # a hole, which takes no room
    with pytest.raises(ValueError, match="has 2147483649 bytes; a picture may have at most"):
        open_photo(tmp_path / "photo.png")


@pytest.mark.parametrize("name", WHOLE)
def test_damaged_bytes_are_told_of_or_passed_over(tmp_path: Path, name: str) -> None:
    good, random = WHOLE[name](), np.random.default_rng(0)
    path = tmp_path / name
    refusals = []
    for _ in range(60):
        data = bytearray(good)
        for place in random.integers(0, min(len(data), 700), 3):
            data[place] = random.integers(256)
        path.write_bytes(data[: random.integers(20, 2 * len(data))])
        try:
            photo = open_photo(path)
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert torch.isfinite(photo.pixels).all()
            assert photo.pixels.min() >= 0
            assert photo.pixels.max() <= 1
    assert len(refusals) > 5
    assert all(refusal.endswith(".") and "\n" not in refusal for refusal in refusals)


def test_the_first_of_a_thousand_frames(tmp_path: Path) -> None:
    (tmp_path / "film.gif").write_bytes(many_frames())
    with pytest.warns(UserWarning, match="film.gif has several frames; the first is taken"):
        assert open_photo(tmp_path / "film.gif").pixels.shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"icc_profile": b"no profile" * 20}, "has a damaged colour profile"),
        ({"exif": b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"}, "has damaged metadata"),
        ({"exif": b"Exif\0\0no exif"}, "has damaged metadata"),
    ],
)
def test_damaged_metadata_are_left_out(
    tmp_path: Path, option: dict[str, bytes], sentence: str
) -> None:
    path, out = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    path.write_bytes(whole("JPEG", **option))
    with pytest.warns(UserWarning, match=f"photo.jpg {sentence}.*left out"):
        photo = open_photo(path)
    save_photo(photo.pixels, out, like=photo)
    with Image.open(out) as written:
        assert "exif" not in written.info
        assert "icc_profile" not in written.info


def test_a_result_larger_than_its_format(tmp_path: Path) -> None:
    photo = open_photo(torch.zeros(3, 16, 17000))
    with pytest.raises(ValueError, match="cannot hold 17000×16 pixels; webp takes sides of up to"):
        save_photo(photo.pixels, tmp_path / "out.webp", like=photo)
    with pytest.raises(ValueError, match="holds NaN"):
        save_photo(photo.pixels / 0, tmp_path / "out.png", like=photo)
    assert not os.listdir(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_folder_of_broken_photos(run: Run, model: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for name, (data, _) in BROKEN.items():
        (folder / name).write_bytes(data)
    (folder / "good.png").write_bytes(whole("PNG"))
    os.mkfifo(folder / "pipe.jpg")
    code, told = run("apply", model, folder, "-o", out)
    assert code == 1
    assert f"1 of {len(BROKEN) + 2} photos" in told
    assert told.count("the input image ") == len(BROKEN) + 1
    assert sorted(os.listdir(out)) == ["good.png", "recipe.json"]
    for name in (*BROKEN, "pipe.jpg"):
        assert name in told


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that everybody may enter, other than tmp_path."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_folders_and_files_without_rights(
    run: Run, open_folder: Path, model: Path, small_photo: Path
) -> None:
    # What it takes is imported now.
    assert run("apply", model, small_photo, "-o", small_photo.with_name("out.png"))[0] == 0
    top = open_folder
    shutil.copy(model, top / "model")
    shutil.copy(small_photo, top / "photo.png")
    (top / "locked").mkdir()
    (top / "locked" / "photo.png").write_bytes(whole("PNG"))
    (top / "secret.png").write_bytes(whole("PNG"))
    (top / "out").mkdir()
    (top / "out").chmod(0o777)
    (top / "locked").chmod(0)
    (top / "secret.png").chmod(0)
    try:
        with as_nobody():
            code, told = run(
                "apply",
                top / "model",
                *(top / name for name in ("locked", "secret.png", "photo.png")),
                *("-o", top / "out"),
            )
    finally:
        (top / "locked").chmod(0o700)
    assert code == 1
    assert "1 of 3 photos" in told
    assert told.count("may not be read") == 2
    assert sorted(os.listdir(top / "out")) == ["photo.png", "recipe.json"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    try:
        mounted = subprocess.run(mount, capture_output=True)
    except OSError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk(run: Run, model: Path, tmp_path: Path, small_disk: Path) -> None:
    large, small = tmp_path / "large.png", tmp_path / "small.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)).save(large)
    small.write_bytes(whole("PNG"))
    code, told = run("apply", model, large, small, "-o", small_disk / "out")
    assert code == 1
    assert "1 of 2 photos" in told
    assert "could not be written (No space left on device)" in told
    assert sorted(os.listdir(small_disk / "out")) == ["recipe.json", "small.png"]


def test_libtiff_writes_nothing_to_the_terminal(tmp_path: Path) -> None:
    noise = Image.effect_noise((64, 48), 80)
    fax, palette = tmp_path / "fax.tif", tmp_path / "palette.tif"
    noise.convert("1").save(fax, compression="group4", tiffinfo={65000: "odd", 33333: "odder"})
    noise.convert("P").save(palette, compression="tiff_lzw")
    for path in (fax, palette):
        data = bytearray(path.read_bytes())
        data[40:200] = bytes(range(160))
        path.write_bytes(data)
    command = [sys.executable, "-m", "pydpst", "apply", min(styles()), fax, palette]
    done = subprocess.run(
        [*command, "-o", tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    first, heading, *failures = done.stderr.splitlines()
    assert first.startswith(f"{tmp_path / 'out'}: 1 of 2 photos, ")
    assert heading.split()[0] == "photo"
    assert [line.split()[0] for line in failures] == [str(palette)]
    assert "palette.tif cannot be decoded" in failures[0]
