"""What restyling a photo will take, before any of it is done: `plan`."""

from __future__ import annotations

import functools
import math
import os
import re
import reprlib
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from pydpst.losses.vgg import quick_dtype
from pydpst.ops import choose_device
from pydpst.photos.decode import Source, size_of
from pydpst.photos.limits import check_size
from pydpst.transfer.full_size import strip_rows
from pydpst.transfer.look import Look

# Levels are halved until the longer side would fall below this.
SMALLEST_LEVEL = 256
# A grade is found on small copies, nearly all of the way on the smallest: their sides, and steps.
GRADE_LEVELS = ((128, 28), (256, 4), (384, 4))
# Without a size given, larger photos are worked on at this.
DEFAULT_SIZE = 1024

# Bytes, as measured (docs/full-resolution.md): what weights and regions take while the look is
# found, and what is left of them afterwards; what a pixel takes for each byte of a feature, those
# of content and style at the working size before the first step, and those of the content in a
# step, and the share of that which the allocator keeps afterwards; and a pixel of a photo while it
# is read, held, and written.
_FIXED = 300e6
_LEFT = 400e6
_BEFORE_STEPS = 450.0
_STEP = 1400.0
_KEPT = 0.5
# What a pixel of the working size takes while its masks are made.
_MASKS = 600.0
_READ = 36
_HELD = 12
_WRITTEN = 40
# Multiply-adds for a pixel in a step, as many as this many pixels of the convolution that is timed.
_STEP_WORK = 28.0
# What a step takes however small the photo is, as if it had so many pixels more.
_STEP_PIXELS = 3500
# Seconds for the weights and the regions, and for a pixel of the photo.
_FIXED_SECONDS = 4.0
_PIXEL_SECONDS = 1.5e-7
# What a pixel of the photo takes after the steps, of what a pixel of a step does.
_PIXEL_WORK = 0.02
# Of the memory that seems to be free, what is planned with.
_SAFE = 0.8

_UNITS = {"": 1, "B": 1} | {
    f"{letter}{infix}B": base**power
    for power, letter in enumerate("KMGT", start=1)
    for infix, base in (("", 1000), ("i", 1024))
}


@dataclass(frozen=True)
class Plan:
    """What `pydpst.stylize` will do, and what it will take.

    Attributes:
        width: of the photo and of the result, in pixels.
        height: likewise.
        size: pixels of the longer side, at most, at which the look is found.
        strips: how many strips it is carried to the photo in; 0 where the photo is no larger.
        memory: bytes that the process will hold at most, by estimate.
        seconds: how long it will take, by estimate, writing the result apart.
    """

    width: int
    height: int
    size: int
    strips: int
    memory: int
    seconds: float

    def __str__(self) -> str:
        scale = min(1.0, self.size / max(self.width, self.height))
        width, height = round(scale * self.width), round(scale * self.height)
        strips = "1 strip" if self.strips == 1 else f"{self.strips} strips"
        carried = f" at {width}×{height}, carried over in {strips}" if self.strips else ""
        return f"{self.width}×{self.height} pixels{carried}: about {self.memory / 1e9:.1f} GB"


def plan(
    content: Source,
    style: Source,
    *,
    size: int | None = None,
    method: str = "grade",
    steps: int | None = None,
    max_memory: int | str | None = None,
    device: str | torch.device | None = None,
) -> Plan:
    """Chooses the working size, and says what a run will take; of files only the head is read.

    Args:
        content: the photo to restyle, as for `pydpst.stylize`.
        style: the photo whose style it gets, likewise.
        size: the working size; None is the largest that the memory holds, at most 1024.
        method: as for `pydpst.stylize`.
        steps: likewise.
        max_memory: what the process may hold, in bytes or such as "4GB" or "4GiB"; None is what is
            free.
        device: as for `pydpst.stylize`.

    Returns:
        The plan.

    Raises:
        ValueError: for an argument that is not as above, if max_memory is too little, or if both
            photos together do not fit into the memory that is there.
    """
    limit = None if max_memory is None else parse_memory(max_memory)
    if size is not None:
        check_size(size)
    target = choose_device(device)
    look = Look(method=method, steps=steps, size=size)
    sizes = size_of(content, "the content image"), size_of(style, "the style image")
    needs = _Needs(*sizes, target, look.method)
    budget = needs.held + _SAFE * _free_memory() if limit is None else limit
    chosen = needs.size_within(budget) if size is None else size
    memory = needs.memory(chosen)
    if limit is not None and memory > limit:
        raise ValueError(
            f"max_memory is {max_memory}, but this photo needs {memory / 1e9:.1f} GB; give more"
            + (", or a smaller size." if chosen > SMALLEST_LEVEL else ", or a smaller photo.")
        )
    if limit is None:
        _check_there_is(memory, "the photos need", chosen > SMALLEST_LEVEL and size is not None)
    height, width = needs.photo
    return Plan(
        width,
        height,
        chosen,
        math.ceil(height / strip_rows(width)) if chosen < max(width, height) else 0,
        round(memory),
        needs.seconds(chosen, look.most_steps),
    )


def check_can_be_read(photo: Source, what: str) -> None:
    """Refuses a photo that does not fit into the memory that is there while it is read.

    Raises:
        ValueError: with a sentence that says so, or as `size_of`.
    """
    pixels = math.prod(size_of(photo, what))
    _check_there_is(_resident() + _READ * pixels, f"{what} needs", False)


def _check_there_is(memory: float, need: str, may_be_smaller: bool) -> None:
    there = _resident() + _free_memory() + _meminfo("SwapFree")
    if memory > there:
        size = " or a smaller size" if may_be_smaller else ""
        raise ValueError(
            f"{need} {memory / 1e9:.1f} GB of memory, and there are {there / 1e9:.1f} GB; give "
            f"smaller photos{size}."
        )


def parse_memory(memory: int | str) -> int:
    """A number of bytes, given as such or as a string such as "4GB", "4GiB" or "500 MB".

    Raises:
        ValueError: for anything else.
    """
    if isinstance(memory, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?i?B?)", memory.strip(), re.IGNORECASE)
        unit = match[2].upper().replace("I", "i") if match else None
        if unit and not unit.endswith("B"):
            unit += "B"
        if match and unit in _UNITS and (size := float(match[1]) * _UNITS[unit]) < 2**63:
            return int(size)
    elif isinstance(memory, int) and 0 < memory < 2**63:
        return memory
    raise ValueError(
        f"max_memory is {reprlib.repr(memory)}; it must be bytes, or such as 4GB or 500MB."
    )


def grade_levels(steps: int) -> list[tuple[int, int]]:
    """The longer side of each level of a grade's search, and its share of the steps."""
    whole = sum(share for _, share in GRADE_LEVELS)
    return [(size, round(steps * share / whole)) for size, share in GRADE_LEVELS]


def level_sizes(size: int) -> list[int]:
    """The longer sides of the levels, from coarse to fine."""
    sizes = [size]
    while sizes[0] // 2 >= SMALLEST_LEVEL:
        sizes.insert(0, sizes[0] // 2)
    return sizes


def level_steps(steps: int, levels: int) -> list[int]:
    """How many steps each level gets: each half as many as the coarser one, at least none."""
    shares = [steps * 2**k // (2**levels - 1) for k in range(levels)]
    shares[-1] += steps - sum(shares)
    return shares[::-1]


def step_works(
    method: str, steps: int, photo: tuple[int, int], size: int
) -> list[tuple[float, int]]:
    """How many pixels of the photo, height and width, a step works on, and how many steps do."""
    longest = min(size, max(photo))
    levels = grade_levels(steps)
    if method == "pixels":
        sizes = level_sizes(longest)
        levels = list(zip(sizes, level_steps(steps, len(sizes)), strict=True))
    return [(_STEP_PIXELS + _pixels(photo, min(level, longest)), share) for level, share in levels]


def after_steps(pixels: int) -> float:
    """Seconds until a photo of so many pixels has its look, once that is found."""
    return _PIXEL_SECONDS * pixels


def work_after_steps(pixels: int) -> float:
    """The same on the machine at hand, as if a step worked on so many pixels."""
    return _PIXEL_WORK * pixels


class _Needs:
    """What a run takes at one working size or another."""

    def __init__(
        self,
        photo: tuple[int, int],
        style: tuple[int, int],
        device: torch.device,
        method: str,
    ) -> None:
        self.photo, self.style, self.device, self.method = photo, style, device, method
        self.held = _resident()

    def memory(self, size: int) -> float:
        """Bytes that the process holds at most."""
        pixels, style_pixels = math.prod(self.photo), math.prod(self.style)
        reading = max(_READ * pixels, _HELD * pixels + _READ * style_pixels)
        looking = self._working(size) if self.device.type == "cpu" else 0.0
        working = _HELD * pixels + _FIXED + looking
        writing = _WRITTEN * pixels + _LEFT + _KEPT * looking
        return self.held + max(reading, working, writing)

    def size_within(self, budget: float) -> int:
        """The largest working size that needs no more, or no more than the smallest level."""
        on_device = math.inf
        if self.device.type == "cuda":
            on_device = _SAFE * torch.cuda.mem_get_info(self.device)[0]
        size, least = DEFAULT_SIZE, self.memory(SMALLEST_LEVEL)
        while size > SMALLEST_LEVEL and (
            self.memory(size) > max(budget, least) or self._working(size) > on_device
        ):
            size -= 16
        return size

    def seconds(self, size: int, steps: int) -> float:
        works = step_works(self.method, steps, self.photo, size)
        if self.method == "pixels":  # which start from a grade
            works += step_works("grade", Look().most_steps, self.photo, size)
        work = sum(pixels * count for pixels, count in works)
        step = _STEP_WORK * work * _convolution_seconds(self.device)
        return _FIXED_SECONDS + step + after_steps(math.prod(self.photo))

    def _working(self, size: int) -> float:
        if self.method == "grade":
            searched = min(size, max(level for level, _ in GRADE_LEVELS))
            masks = _MASKS * max(_pixels(self.photo, size), _pixels(self.style, size))
            return max(masks, self._features(searched))
        return self._features(size)

    def _features(self, size: int) -> float:
        content, style = _pixels(self.photo, size), _pixels(self.style, size)
        bytes_ = quick_dtype(self.device).itemsize
        return bytes_ * max(_STEP * content, _BEFORE_STEPS * (content + style))


def _pixels(shape: tuple[int, int], size: int) -> float:
    """How many are left of a photo at a working size."""
    return math.prod(shape) * min(1.0, size / max(shape)) ** 2


def _resident() -> int:
    """Bytes of memory that this process holds."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not on Linux
        return 300_000_000
    return pages * os.sysconf("SC_PAGE_SIZE")


def _free_memory() -> float:
    """Bytes that this process may hold beyond what it does."""
    free = _meminfo("MemAvailable") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        group = Path("/sys/fs/cgroup")
        most, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        free = min(free, int(most) - int(used))
    except (OSError, ValueError):  # not on Linux, or without such a limit
        pass
    return free


def _meminfo(name: str) -> int:
    """Bytes of memory as Linux tells them; elsewhere 0."""
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


@functools.cache
def _convolution_seconds(device: torch.device) -> float:
    """For a pixel of a convolution of 64 channels, which is timed here and now."""
    dtype = quick_dtype(device)
    layout = torch.channels_last
    x = torch.zeros(1, 64, 128, 128, device=device, dtype=dtype).to(memory_format=layout)
    weight = torch.zeros(64, 64, 3, 3, device=device, dtype=dtype).to(memory_format=layout)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        float(F.conv2d(x, weight, padding=1)[0, 0, 0, 0])  # waits for the device
        times.append(time.perf_counter() - start)
    return min(times) / 128**2
