"""Prints the time and memory of applying a bundled style to a photo, decoding and encoding apart.

python benchmarks/apply.py [STYLE] [MEGAPIXELS]

Seconds are of the processor, all threads together, so other programs count for little.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

import torch

import pydpst
from pydpst.feedforward.bundled import styles


def measure(style: str, megapixels: float) -> None:
    network = pydpst.load_model(style)
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    photo = torch.rand(3, height, round(height * 4 / 3))
    times = []
    for _ in range(9):
        start = time.process_time()
        with torch.no_grad():
            network(photo[None]).clamp_(0, 1)
        times.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"| {style} | {megapixels:g} | {torch.get_num_threads()} | {statistics.median(times):.3f} "
        f"| {max(times):.3f} | {peak:.2f} |"
    )


def main() -> None:
    if len(sys.argv) == 4:
        measure(sys.argv[1], float(sys.argv[2]))
        return
    style = sys.argv[1] if len(sys.argv) > 1 else next(iter(styles()))
    sizes = sys.argv[2:] or ["2", "12", "48"]
    print("| style | megapixels | threads | processor seconds | slowest | peak of all, GiB |")
    print("|---|---|---|---|---|---|", flush=True)
    for megapixels in sizes:
        subprocess.run([sys.executable, __file__, style, megapixels, "alone"], check=True)


if __name__ == "__main__":
    main()
