"""Picture files of strangers, opened; and what is wrong with them, in a sentence."""

from __future__ import annotations

import ctypes
import functools
import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError, _imaging

from pydpst.photos.limits import MAXIMUM_SIDE

# Nothing that holds as many pixels as Pillow decodes is larger.
MAXIMUM_BYTES = 2**31


# Raster formats only: others, such as EPS, make Pillow run an interpreter.
_READABLE = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")


HEIC = (".heic", ".heif")


_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


RAW_ADVICE = "develop it, as in darktable or RawTherapee, and give the TIFF or JPEG that comes out."
# How raw files of cameras start that are not built like TIFF, and where.
_RAW_STARTS = (
    (0, b"FUJIFILMCCD-RAW"),
    (0, b"FOVb"),
    (0, b"\0MRM"),
    (0, b"IIRO"),
    (0, b"IIRS"),
    (0, b"MMOR"),
    (0, b"IIU\0"),
    (0, b"IIII"),
    (0, b"MMMM"),
    (4, b"ftypcrx "),
    (6, b"HEAPCCDR"),
    (8, b"CR\x02"),
)

# What filters warnings belongs to all threads.
_silence = threading.RLock()


class Refused(ValueError):
    """Says what is wrong in a whole sentence; other errors are decoders' own."""


def named(source: object, what: str) -> str:
    """What to call a picture in an error: with its path, if it has one."""
    if isinstance(source, Image.Image):
        return what
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            f"{what} is a {type(source).__name__}; it must be a path, a PIL image, an array or a "
            "tensor."
        )
    return f"{what} {os.fspath(source)}"


@contextmanager
def silent() -> Iterator[None]:
    """Keeps decoders' own warnings from the terminal."""
    with _silence, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def heard() -> Iterator[list[str]]:
    """Collects what is warned of, for who would not see it on the terminal."""
    told: list[str] = []
    with _silence, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield told
        told += [str(warning.message) for warning in caught]


@contextmanager
def sentences(what: str) -> Iterator[None]:
    """What goes wrong with a file, in a sentence."""
    try:
        yield
    except (Refused, ImportError):
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{what} does not exist; give the path of an image file.") from None
    except IsADirectoryError:
        raise ValueError(f"{what} is a folder; give the path of an image file.") from None
    except PermissionError:
        raise ValueError(f"{what} may not be read; give a file that you may read.") from None
    except UnidentifiedImageError:
        raise ValueError(
            f"{what} is not an image that can be read; give an undamaged file in one of the "
            f"formats {', '.join(_READABLE)}, HEIC."
        ) from None
    except Image.DecompressionBombError:
        raise ValueError(
            f"{what} has more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels, too many to decode "
            "safely; make it smaller."
        ) from None
    except MemoryError:
        raise MemoryError(f"{what} needs more memory than there is; make it smaller.") from None
    except OSError as error:
        if error.errno is None:  # a decoder's own
            raise _undecodable(what, error) from None
        raise ValueError(f"{what} cannot be read ({error.strerror}); give another.") from None
    except Exception as error:  # decoders raise whatever damaged bytes make them trip over
        raise _undecodable(what, error) from None


def _undecodable(what: str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()).rstrip(".")
    if "unsupported" in reason.lower():
        return ValueError(f"{what} is of a kind that is not read ({reason}); save it as PNG.")
    return ValueError(f"{what} cannot be decoded ({reason}); give an undamaged file.")


def open_picture(
    source: str | os.PathLike[str] | Image.Image, what: str
) -> tuple[Image.Image, bytes | None]:
    """A picture whose header is read, and the file's bytes."""
    if isinstance(source, Image.Image):
        return source, None
    data = read_file(source, what)
    return picture_of(io.BytesIO(data), what), data


def read_file(path: str | os.PathLike[str], what: str) -> bytes:
    """A file's bytes: read whole, so that none stays open and what fails next is the decoding."""
    with opened(path, what) as file:
        return file.read()


def picture_of(file: BinaryIO, what: str) -> Image.Image:
    """A picture whose header is read."""
    formats: tuple[str, ...] = _READABLE
    head = file.read(16)
    file.seek(0)
    check_no_raw(head, what)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        _register_heic(what)
        formats = ("HEIF",)
    with silent():
        picture = Image.open(file, formats=formats)
    if picture.format == "TIFF":
        _silence_libtiff()
    if max(picture.size) > MAXIMUM_SIDE:
        raise Refused(
            f"{what} is {picture.width}×{picture.height} pixels; each side may have at most "
            f"{MAXIMUM_SIDE}."
        )
    return picture


@functools.cache
def _silence_libtiff() -> None:
    """Keeps the lines from the terminal that libtiff writes there of damaged and odd files.

    Its handlers belong to the process, so that no thread's own words are lost on the way. Where
    Pillow does not show its libtiff to others, as on Windows, the lines stay.
    """
    with suppress(AttributeError, OSError):
        decoder = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            set_handler = decoder[name]
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)


def check_no_raw(head: bytes, what: str) -> None:
    """Refuses raw files by how they start; those built like TIFF `photos.tiff` knows."""
    if any(head.startswith(start, at) for at, start in _RAW_STARTS):
        raise Refused(f"{what} is a camera's raw file; {RAW_ADVICE}")


@contextmanager
def opened(
    path: str | os.PathLike[str], what: str, kind: str = "an image file"
) -> Iterator[BinaryIO]:
    """A regular file of no absurd size."""
    # Opening a FIFO would otherwise wait for somebody to write to it.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(file, "rb") as reader:
        status = os.fstat(file)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"{what} is no regular file; give the path of {kind}.")
        if status.st_size > MAXIMUM_BYTES:
            raise Refused(
                f"{what} has {status.st_size} bytes; a picture may have at most {MAXIMUM_BYTES}."
            )
        yield reader


def _register_heic(what: str) -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise ImportError(
            f"{what} is HEIC, which needs pillow-heif: pip install 'pydpst[heic]'."
        ) from None
    register_heif_opener(thumbnails=False)
