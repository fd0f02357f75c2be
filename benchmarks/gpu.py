"""Prints what the kernels, and runs that are made of them, take on a GPU, as tables.

python benchmarks/gpu.py [--device cuda]

Times of kernels are between two events on the device, medians of repeated calls on random inputs,
with the second-level cache overwritten before each. Where launches are to count, the device is idle
when a call begins. With --device cpu, the same by the wall clock at small sizes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

# JAX would take most of the device's memory for itself.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import contenders
import torch
import torch.nn.functional as F
from grade import KNOTS, bands
from torch import Tensor

import pydpst
from pydpst import ops

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
RADII = [1, 3, 7, 15, 31]
PLANE_BYTES = 4
# What is written before a call: many times the second-level cache, and for long enough that the
# call's launches wait for it and not the device for them.
FLUSH_BYTES = 2**29
# A measurement has so many calls; slow ones fewer, but some, once so many seconds are over.
CALLS, FEWEST, SECONDS = 30, 3, 1.0
JAX_CALLS = 20


@dataclass
class Bench:
    """A device, and how calls on it are timed."""

    device: torch.device
    copy_rate: float = 0.0  # GB/s, read and written
    generator: torch.Generator = field(init=False)
    flush: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator(self.device).manual_seed(0)
        size = FLUSH_BYTES if self.on_gpu else FLUSH_BYTES // 128
        self.flush = torch.empty(size, dtype=torch.uint8, device=self.device)

    @property
    def on_gpu(self) -> bool:
        """Whether events and streams are there."""
        return self.device.type == "cuda"

    def wait(self) -> None:
        """Until the device is done."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def random(self, *shape: int) -> Tensor:
        """Values spread evenly over [0, 1]."""
        return torch.rand(shape, device=self.device, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """Values of mean 0 and deviation 1."""
        return torch.randn(shape, device=self.device, generator=self.generator)

    def seconds(self, function: Callable[[], object]) -> float:
        """Of one call by the wall clock, until the device is done."""
        self.wait()
        start = time.perf_counter()
        function()
        self.wait()
        return time.perf_counter() - start

    def median(self, function: Callable[[], object], launches: bool = False) -> float:
        """Of calls, in milliseconds; with launches, of calls that find the device idle."""
        for _ in range(2):
            function()
        self.wait()
        times: list[float] = []
        begin = time.perf_counter()
        while len(times) < CALLS:
            if len(times) >= FEWEST and time.perf_counter() - begin > SECONDS:
                break
            self.flush.fill_(len(times))
            times.append(self._once(function, launches))
        return statistics.median(times)

    def _once(self, function: Callable[[], object], launches: bool) -> float:
        if not self.on_gpu:
            return 1e3 * self.seconds(function)
        if launches:
            self.wait()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        end.record()
        end.synchronize()
        return start.elapsed_time(end)

    def copy(self, bytes_: int) -> float:
        """Milliseconds of a copy of half of so many bytes onto the other half."""
        source = self.random(bytes_ // 2 // PLANE_BYTES)
        target = torch.empty_like(source)
        return self.median(lambda: target.copy_(source))


def table(title: str, columns: str) -> None:
    """Begins a table; its columns are separated by |."""
    print(f"\n{title}\n\n| {columns} |\n|{'---|' * len(columns.split('|'))}", flush=True)


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def complain(what: str, error: Exception) -> None:
    lines = str(error).splitlines() or [""]
    print(f"{what} failed: {type(error).__name__}: {lines[0]}", file=sys.stderr, flush=True)


def ceilings(bench: Bench) -> None:
    table("What the device does at most", "what | rate")
    bytes_ = 2**31 if bench.on_gpu else 2**26  # as many read as written
    bench.copy_rate = bytes_ / bench.copy(bytes_) / 1e6
    row(
        "copy of 1 GiB, read and written" if bench.on_gpu else "copy", f"{bench.copy_rate:.0f} GB/s"
    )
    side = 8192 if bench.on_gpu else 512
    for dtype in (torch.float32, torch.bfloat16):
        first, second = (bench.normal(side, side).to(dtype) for _ in range(2))
        out = torch.empty_like(first)
        elapsed = bench.median(lambda a=first, b=second, out=out: torch.mm(a, b, out=out))
        name = str(dtype).removeprefix("torch.")
        row(f"{name} product of {side}² matrices", f"{2 * side**3 / elapsed / 1e9:.1f} TFLOP/s")


def random_image(bench: Bench, megapixels: float) -> Tensor:
    side = round((megapixels * 1e6) ** 0.5)
    return bench.random(3, side, side)


def sizes(bench: Bench) -> None:
    radii = " | ".join(f"r = {radius}" for radius in RADII)
    title = "L p, 3 channels, float32, ms a megapixel; the copy is of the 9 planes that must move"
    table(title, f"megapixels | copy | {radii}")
    for megapixels in (0.25, 1, 4, 8, 33) if bench.on_gpu else (0.05, 0.1):
        image, p = random_image(bench, megapixels), random_image(bench, megapixels)
        times = [bench.copy(9 * PLANE_BYTES * image[0].numel())]
        for radius in RADII:
            times.append(bench.median(contenders.pydpst(image, p, radius).matvec))
        row(megapixels, *(f"{value / megapixels:.4f}" for value in times))


def of_jax(bench: Bench, function: Callable[[], object]) -> float:
    """Milliseconds of a call that waits for its result, by the wall clock: events are torch's."""
    function()
    return 1e3 * bench.seconds(lambda: [function() for _ in range(JAX_CALLS)]) / JAX_CALLS


def compare(bench: Bench) -> None:
    table(
        "Ways to compute L p, r = 1, 3 channels, float32; the rate is of the 9 planes that must "
        "move, and set-up is to make it and to call it once; loss and gradient, and all of JAX, "
        "with launches",
        "megapixels | what | ms | times pydpst's | GB/s | of the copy | set-up, ms",
    )
    contenders.pydpst(bench.random(3, 64, 64), bench.random(3, 64, 64), 1).matvec()
    ours: dict[tuple[float, str], float] = {}
    # The slowest to set up come last.
    makers = [contenders.pydpst, contenders.eager_torch, contenders.torch_csr_pattern]
    for make in [*makers, contenders.jax, contenders.compiled_torch]:
        for megapixels in (1, 8) if bench.on_gpu else (0.05, 0.1):
            try:
                _contender(bench, make, megapixels, ours)
            except Exception as error:  # the others are to be measured all the same
                complain(f"{make.__name__} at {megapixels} megapixels", error)
            _forget(bench)


def _contender(
    bench: Bench,
    make: Callable[[Tensor, Tensor, int], contenders.Contender],
    megapixels: float,
    ours: dict[tuple[float, str], float],
) -> None:
    in_jax = make is contenders.jax
    if in_jax and import_module("jax").default_backend() != "gpu" and bench.on_gpu:
        raise RuntimeError("JAX finds no GPU")
    if make is contenders.compiled_torch:
        torch.compiler.reset()  # or else a second size is compiled for all sizes
    image, p = random_image(bench, megapixels), random_image(bench, megapixels)
    made: list[contenders.Contender] = []
    making = 1e3 * bench.seconds(lambda: made.append(make(image, p, 1)))
    functions = {"matvec": made[0].matvec, "loss and gradient": made[0].energy_and_gradient}
    for kind, function in functions.items():
        if function is None:
            continue
        setup = making + 1e3 * bench.seconds(function)
        elapsed = of_jax(bench, function) if in_jax else bench.median(function, kind != "matvec")
        if make is contenders.pydpst:
            ours[megapixels, kind] = elapsed
        rate = 9 * PLANE_BYTES * p[0].numel() / elapsed / 1e6
        mine = ours.get((megapixels, kind))
        row(
            megapixels,
            f"{make.__name__.replace('_', ' ')} {kind}",
            f"{elapsed:.4f}",
            f"{elapsed / mine:.2f}" if mine else "",
            f"{rate:.0f}",
            f"{rate / bench.copy_rate:.2f}" if bench.copy_rate else "",
            f"{setup:.1f}",
        )


def grades(bench: Bench) -> None:
    height, width = (2160, 3840) if bench.on_gpu else (135, 240)
    title = f"A frame of {width}×{height}, float32, ms; the copy is of the bytes that must move"
    table(title, "what | copy | kernels | times the copy")
    plane = PLANE_BYTES * height * width
    photo = pydpst.load_image(PHOTOS / "lake.jpg")[None]
    image = F.interpolate(photo, (height, width), mode="bilinear").to(bench.device)

    def measure(what: str, bytes_: int, function: Callable[[], object]) -> None:
        copy, elapsed = bench.copy(bytes_), bench.median(function)
        row(what, f"{copy:.4f}", f"{elapsed:.4f}", f"{elapsed / copy:.1f}")

    for regions, hues in [(1, 1), (1, 7), (4, 7)]:
        rows = bands(regions, height)[..., :1].to(bench.device)
        masks = rows.expand(-1, -1, -1, width).contiguous()
        maps = bench.normal(1, regions, 1, KNOTS, 12).repeat(1, 1, hues, 1, 1)
        # as the search has them: hues differ by offsets
        maps[..., 3::4] = bench.normal(1, regions, hues, KNOTS, 3)
        name = f"grade_apply, regions: {regions}, hues: {hues}"
        bytes_ = (regions + 6) * plane
        measure(name, bytes_, lambda maps=maps, masks=masks: ops.grade_apply(maps, masks, image))
    variable = maps.clone().requires_grad_()
    out, grad = ops.grade_apply(variable, masks, image), bench.random(1, 3, height, width)
    backward = lambda: torch.autograd.grad(out, variable, grad, retain_graph=True)  # noqa: E731
    measure(f"{name}, backward (maps)", bytes_, backward)

    grid, guide = bench.normal(1, 12, 8, 16, 16), image.mean(1)
    sliced = lambda: ops.bilateral_slice_apply(grid, guide, image)  # noqa: E731
    measure("bilateral_slice_apply, grid 8×16×16", 7 * plane, sliced)
    small = (576, 1024) if bench.on_gpu else (36, 64)
    enlarged = bench.normal(1, 12, *small)
    applied = lambda: ops.affine_maps_apply(enlarged, image)  # noqa: E731
    bytes_ = 6 * plane + PLANE_BYTES * enlarged.numel()
    measure(f"affine_maps_apply, maps {small[1]}×{small[0]}", bytes_, applied)


def whole(bench: Bench) -> None:
    size = 720 if bench.on_gpu else 128
    title = "Whole runs, by the wall clock; of two photos the second run, that remembers the style"
    table(title, "what | seconds")
    photos = (PHOTOS / "city_day.jpg", PHOTOS / "city_night.jpg")

    def stylize() -> object:
        steps = None if bench.on_gpu else 3
        return pydpst.stylize(*photos, size=size, steps=steps, device=bench.device)

    def match() -> object:
        return pydpst.match(*photos, device=bench.device)

    for what, function in [(f"stylize, size {size}", stylize), ("match", match)]:
        try:
            function()
            row(f"{what}, city_day after city_night", f"{bench.seconds(function):.2f}")
        except Exception as error:  # the others are to be measured all the same
            complain(what, error)
    network = pydpst.load_model("dusk").to(bench.device)
    height, width = (2160, 3840) if bench.on_gpu else (135, 240)
    frames = [bench.random(3, height, width) for _ in range(3)]
    pydpst.apply(network, frames[0])
    elapsed = bench.seconds(lambda: [pydpst.apply(network, frames[k % 3]) for k in range(30)])
    row(f"apply of the style dusk, 30 frames of {width}×{height}", f"{elapsed:.3f}")
    row("the same, a frame", f"{elapsed / 30:.5f}")


def matte(bench: Bench) -> None:
    table(
        "estimate_alpha, closed form, tol 1e-7, by the wall clock",
        "megapixels | unknown | iterations | seconds | peak of device memory, GiB",
    )
    photo = pydpst.load_image(PHOTOS / "dandelion.jpg")
    lightness = F.avg_pool2d(photo.mean(0)[None, None], 9, 1, 4)
    dark, light = lightness.quantile(0.5), lightness.quantile(0.9)
    known = torch.where(lightness < dark, 0.0, torch.where(lightness > light, 1.0, 0.5))
    megapixels = 12 if bench.on_gpu else 0.1
    scale = (megapixels * 1e6 / lightness.numel()) ** 0.5
    sides = [round(side * scale) for side in photo.shape[-2:]]
    image = F.interpolate(photo[None], sides, mode="bicubic")[0].to(bench.device)
    # without the noise of a camera an enlarged photo is locally singular
    image = (image + bench.normal(*image.shape) / 255).clamp(0, 1)
    trimap = F.interpolate(known, sides, mode="nearest-exact")[0, 0].to(bench.device)
    ramp = (torch.arange(64, device=bench.device) / 63).expand(64, 64)
    pydpst.estimate_alpha(image[:, :64, :64], ramp)  # loads what is loaded once
    if bench.on_gpu:
        torch.cuda.reset_peak_memory_stats(bench.device)
    steps: list[pydpst.Convergence] = []
    elapsed = bench.seconds(
        lambda: pydpst.estimate_alpha(image, trimap, tol=1e-7, callback=steps.append)
    )
    peak = f"{torch.cuda.max_memory_allocated(bench.device) / 2**30:.2f}" if bench.on_gpu else ""
    unknown = f"{float((trimap == 0.5).float().mean()):.0%}"
    row(megapixels, unknown, steps[-1].iterations, f"{elapsed:.2f}", peak)


def _forget(bench: Bench) -> None:
    """Gives memory that nobody uses back to the device, for programs beside torch."""
    if bench.on_gpu:
        torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", type=torch.device)
    device = parser.parse_args().device
    on_gpu = device.type == "cuda"
    card = torch.cuda.get_device_name(device) if on_gpu else "CPU"
    print(f"{card}, torch {torch.__version__}, CUDA {torch.version.cuda}", flush=True)
    bench = Bench(device)
    for section in (ceilings, sizes, grades, whole, matte, compare):
        start = time.perf_counter()
        try:
            section(bench)
        except Exception as error:  # the other sections are to be measured all the same
            complain(section.__name__, error)
        _forget(bench)
        print(f"{section.__name__}: {time.perf_counter() - start:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
