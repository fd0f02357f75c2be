"""Prints the tables of docs/operator.md.

python benchmarks/laplacian.py accuracy   float32 against float64 on photos
python benchmarks/laplacian.py contenders the ways to compute L p, against each other
python benchmarks/laplacian.py sizes      time a megapixel, for sizes and radii (both are processor
                                          time, of all threads, for machines with other work)
python benchmarks/laplacian.py processors time of one core, by instruction set
python benchmarks/laplacian.py memory     the memory that a product takes
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import contenders
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pydpst.matting.laplacian import MattingLaplacian

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
RADII = [1, 3, 7, 15, 31]
PLANE_BYTES = 4


def medians(
    functions: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """The median time of each in milliseconds; they take turns, so noise strikes all alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            start = clock()
            function()
            times[name].append(1e3 * (clock() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def random_image(megapixels: float, seed: int = 0) -> Tensor:
    side = round((megapixels * 1e6) ** 0.5)
    return torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed))


def copy_of(planes: int, image: Tensor) -> Callable[[], object]:
    """The machine's own copy of half of so many planes onto the other half."""
    source = torch.rand(planes * image[0].numel() // 2)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def accuracy() -> None:
    print("| r | eps | random p, worst | smooth p, worst | smooth p, median |")
    print("|---|---|---|---|---|")
    photos = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(PHOTOS.glob("*.jpg"))]
    guides = [torch.from_numpy(photo.astype(np.float32) / 255).movedim(2, 0) for photo in photos]
    for radius in RADII:
        for eps in (1e-5, 1e-7):
            errors: dict[str, list[float]] = {"random": [], "smooth": []}
            for guide in guides:
                laplacian = MattingLaplacian(guide, eps, radius)
                exact = MattingLaplacian(guide.double(), eps, radius)
                for name, p in [("random", torch.rand_like(guide)), ("smooth", guide**1.5)]:
                    want = exact.matvec(p.double())
                    error = (laplacian.matvec(p) - want).norm() / want.norm()
                    errors[name].append(float(error))
            print(
                f"| {radius} | {eps:.0e} | {max(errors['random']):.1e} | "
                f"{max(errors['smooth']):.1e} | {statistics.median(errors['smooth']):.1e} |"
            )


def compare(megapixels: float, rounds: int) -> None:
    makers = [contenders.pydpst]
    if megapixels <= 2:  # beyond, building the matrix takes tens of gigabytes, and others minutes
        makers += [contenders.eager_torch, contenders.compiled_torch]
        makers += [contenders.jax, contenders.tensorflow]
        makers += [contenders.torch_csr, contenders.scipy_csr]
    makers.append(contenders.torch_csr_pattern)
    image, p = random_image(megapixels), random_image(megapixels, seed=1)
    functions: dict[str, Callable[[], object]] = {
        "copy of the bytes that must move": copy_of(9, image)
    }
    built = {}
    for make in makers:
        start = time.process_time()
        try:
            contender = make(image, p, 1)
        except ImportError as error:
            print(f"{make.__name__} is left out: {error}", file=sys.stderr)
            continue
        built[make.__name__] = 1e3 * (time.process_time() - start)
        functions[f"{make.__name__} matvec"] = contender.matvec
        if contender.energy_and_gradient:
            functions[f"{make.__name__} loss and gradient"] = contender.energy_and_gradient
    times = medians(functions, rounds, time.process_time)
    print(f"\n{megapixels} megapixels, r = 1, 3 channels, {torch.get_num_threads()} threads\n")
    print("| what | ms a megapixel | times pydpst's | set-up, ms a megapixel |")
    print("|---|---|---|---|")
    for name, value in times.items():
        maker, _, kind = name.partition(" ")
        ours = times.get(f"pydpst {kind}")
        ratio = f"{value / ours:.1f}" if ours else f"{value / times['pydpst matvec']:.2f}"
        setup = f"{built[maker] / megapixels:.0f}" if maker in built else ""
        print(f"| {name.replace('_', ' ')} | {value / megapixels:.2f} | {ratio} | {setup} |")


def sizes() -> None:
    print("| megapixels | copy | " + " | ".join(f"r = {radius}" for radius in RADII) + " |")
    print("|---|---|" + "---|" * len(RADII))
    for megapixels in (0.0625, 0.25, 1, 4, 8, 16, 33):
        image, p = random_image(megapixels), random_image(megapixels, seed=1)
        functions = {"copy": copy_of(9, image)}
        for radius in RADII:
            functions[str(radius)] = contenders.pydpst(image, p, radius).matvec
        times = medians(functions, 15 if megapixels <= 4 else 5, time.process_time)
        cells = " | ".join(f"{value / megapixels:.2f}" for value in times.values())
        print(f"| {megapixels} | {cells} |", flush=True)


def core(megapixels: float) -> None:
    """Prints one core's time for a copy and for products in float32 and float64."""
    torch.set_num_threads(1)
    image, p = random_image(megapixels), random_image(megapixels, seed=1)
    functions = {"copy": copy_of(9, image)}
    for dtype in (torch.float32, torch.float64):
        functions[str(dtype)] = contenders.pydpst(image.to(dtype), p.to(dtype), 1).matvec
    shortest = dict.fromkeys(functions, float("inf"))
    for _ in range(40):
        for name, function in functions.items():
            start = time.thread_time()  # what others on the machine do counts for little
            function()
            shortest[name] = min(shortest[name], 1e3 * (time.thread_time() - start))
    print(" | ".join(f"{value / megapixels:.2f}" for value in shortest.values()))


def processors() -> None:
    print("| instructions | megapixels | copy | r = 1, float32 | r = 1, float64 |")
    print("|---|---|---|---|---|")
    for name, limit in [("all there are", ""), ("AVX2", "avx2"), ("SSE2", "baseline")]:
        for megapixels in (0.25, 1):
            command = [sys.executable, __file__, "core", str(megapixels)]
            environment = os.environ | {"PYDPST_CPU": limit}
            done = subprocess.run(command, env=environment, capture_output=True, check=True)
            print(f"| {name} | {megapixels} | {done.stdout.decode().strip()} |", flush=True)


def peak(megapixels: float, radius: int) -> None:
    """Prints the bytes a pixel that are in use at most while L p is computed, all included."""
    MattingLaplacian(torch.rand(3, 99, 99)).matvec(torch.rand(3, 99, 99))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    image, p = random_image(megapixels), random_image(megapixels, seed=1)
    MattingLaplacian(image, radius=radius).matvec(p)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(1024 * (after - before) / image[0].numel())


def memory() -> None:
    print("| megapixels | r | bytes a pixel | of 1.5 × (inputs, output, 9 planes) | GiB |")
    print("|---|---|---|---|---|")
    bound = 1.5 * (3 + 3 + 3 + 9) * PLANE_BYTES
    for megapixels, radius in [(8, 1), (8, 15), (33, 1), (33, 31), (100, 1)]:
        command = [sys.executable, __file__, "peak", str(megapixels), str(radius)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        used = float(done.stdout)
        print(
            f"| {megapixels} | {radius} | {used:.0f} | {used / bound:.2f} | "
            f"{used * megapixels * 1e6 / 2**30:.2f} |"
        )


TABLES = {"accuracy": accuracy, "sizes": sizes, "processors": processors, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*TABLES, "contenders", "core", "peak"])
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    if options.what == "contenders":
        compare(1, rounds=11)
        compare(8, rounds=5)
    elif options.what == "core":
        core(float(options.arguments[0]))
    elif options.what == "peak":
        peak(float(options.arguments[0]), int(options.arguments[1]))
    else:
        TABLES[options.what]()


if __name__ == "__main__":
    main()
