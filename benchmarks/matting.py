"""Prints the tables of docs/matting.md, on the case in a folder given with --case.

Seconds are of the processor, all threads together, so other programs count for little; with
OMP_NUM_THREADS=1 and NUMBA_NUM_THREADS=1, or threads that wait for one another count.

python benchmarks/matting.py versus           pydpst and pymatting, to the same residual
python benchmarks/matting.py preconditioners  the ways to precondition the solve
python benchmarks/matting.py sizes            0.3 to 12 megapixels
python benchmarks/matting.py masks            region masks from a rough label map
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import pydpst
from pydpst.matting.conjugate_gradients import conjugate_gradients
from pydpst.matting.laplacian import MattingLaplacian
from pydpst.matting.trimap import load_trimap
from pydpst.photos.image import load_image
from pydpst.regions.masks import followed_masks, refined_masks, soft_masks

ROUNDS = 5


def load_case(folder: Path, megapixels: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Image, trimap and true alpha; enlarged on request, with the noise of a camera."""
    image = load_image(folder / "lemur.png")
    trimap = load_trimap(folder / "lemur_trimap.png")
    alpha = load_image(folder / "lemur_alpha.png")[0]
    if megapixels == 0:
        return image, trimap, alpha
    scale = (megapixels * 1e6 / trimap.numel()) ** 0.5
    size = [round(side * scale) for side in trimap.shape]
    image = F.interpolate(image[None], size, mode="bicubic")[0]
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    image = ((image + noise / 255).clamp(0, 1) * 255).round() / 255
    trimap = F.interpolate(trimap[None, None], size, mode="nearest-exact")[0, 0]
    alpha = F.interpolate(alpha[None, None], size, mode="bilinear")[0, 0]
    return image, trimap, alpha


def versus(folder: Path) -> None:
    import pymatting

    image, trimap, truth = load_case(folder)
    arrays = image.movedim(0, -1).double().numpy(), trimap.double().numpy()
    print(f"unknown: {(trimap == 0.5).float().mean():.1%}\n")
    print("| method | what | processor seconds | times pydpst's | residual | mean error |")
    print("|---|---|---|---|---|---|")
    for method, radius, theirs, rounds in [
        ("closed-form", 1, pymatting.estimate_alpha_cf, ROUNDS),
        ("large-kernel", 10, pymatting.estimate_alpha_lkm, 2),
    ]:
        seen: dict[str, float] = {}

        def ours(method: str = method, radius: int = radius, seen: dict = seen) -> Tensor:
            def watch(convergence: pydpst.Convergence) -> None:
                seen["pydpst"] = convergence.residual

            return pydpst.estimate_alpha(image, trimap, method, radius, tol=1e-7, callback=watch)

        def other(function: Callable = theirs, seen: dict = seen) -> Tensor:
            def watch(
                a: object, x: object, b: object, norm_b: float, r: object, norm: float
            ) -> None:
                seen["pymatting"] = norm / norm_b

            return torch.from_numpy(function(*arrays, cg_kwargs={"callback": watch}))

        times: dict[str, list[float]] = {"pydpst": [], "pymatting": []}
        results = {"pydpst": ours(), "pymatting": other()}
        for _ in range(rounds):
            for name, function in [("pydpst", ours), ("pymatting", other)]:
                start = time.process_time()
                function()
                times[name].append(time.process_time() - start)
        medians = {name: sorted(values)[len(values) // 2] for name, values in times.items()}
        for name, seconds in medians.items():
            error = (results[name] - truth).abs().mean()
            print(
                f"| {method}, r = {radius} | {name} | {seconds:.3f} | "
                f"{seconds / medians['pydpst']:.1f} | {seen[name]:.1e} | {error:.5f} |"
            )
        difference = (results["pydpst"] - results["pymatting"]).abs().mean()
        print(f"\nmean difference of the two, {method}: {difference:.1e}\n", flush=True)


class RediscretisedCycle:
    """A V-cycle whose coarse operators are matting Laplacians of the guide scaled down.

    Bilinear between levels, Chebyshev iteration of degree 3 with Jacobi scaling as the smoother.
    The energy of a function is the same on each level, so L needs no scaling between them.
    """

    def __init__(self, guide: Tensor, free: Tensor, eps: float = 1e-7) -> None:
        self.levels = []
        guide, free = guide[None], free[None, None].double()
        while True:
            laplacian = MattingLaplacian(guide[0], eps)
            inverse = free / laplacian.diagonal().clamp(min=1e-9)
            vector = torch.rand_like(free)
            for _ in range(10):
                vector = inverse * laplacian.matvec(free[0] * vector[0] / vector.norm())
            self.levels.append((laplacian, free, inverse, 1.1 * float(vector.norm())))
            if min(guide.shape[-2:]) <= 16 or not free.any():
                break
            pad = [0, guide.shape[-1] % 2, 0, guide.shape[-2] % 2]
            guide = F.avg_pool2d(F.pad(guide, pad, mode="replicate"), 2)
            free = (F.avg_pool2d(F.pad(free, pad), 2) == 1).double()

    def __call__(self, r: Tensor) -> Tensor:
        """One cycle for r (1, N)."""
        full = torch.zeros_like(self.levels[0][1])
        full[self.levels[0][1] > 0] = r[0]
        return self._cycle(full, 0)[self.levels[0][1] > 0][None]

    def _smooth(self, b: Tensor, x: Tensor, depth: int) -> Tensor:
        laplacian, free, inverse, largest = self.levels[depth]
        centre, half = largest * (1 + 1 / 8) / 2, largest * (1 - 1 / 8) / 2
        step, rho = torch.zeros_like(x), half / centre
        for k in range(3):
            r = inverse * (b - free * laplacian.matvec(x[0])[None])
            if k == 0:
                step = r / centre
            else:
                rho, before = 1 / (2 * centre / half - rho), rho
                step = rho * before * step + 2 * rho / half * r
            x = x + step
        return x

    def _cycle(self, b: Tensor, depth: int) -> Tensor:
        laplacian, free, _, _ = self.levels[depth]
        x = self._smooth(b, torch.zeros_like(b), depth)
        if depth + 1 < len(self.levels):
            coarse_free = self.levels[depth + 1][1]
            size = [2 * side for side in coarse_free.shape[-2:]]
            height, width = b.shape[-2:]

            def up(c: Tensor) -> Tensor:
                return F.interpolate(c, size, mode="bilinear")[..., :height, :width] * free

            r = b - free * laplacian.matvec(x[0])[None]
            probe = torch.zeros_like(coarse_free, requires_grad=True)
            (down,) = torch.autograd.grad(up(probe), probe, r)  # the transpose
            x = x + up(coarse_free * self._cycle(coarse_free * down, depth + 1))
        return self._smooth(b, x, depth)


def preconditioners(folder: Path) -> None:
    print("| megapixels | preconditioner | iterations | processor seconds, set-up included |")
    print("|---|---|---|---|")
    for megapixels in (0.3, 1.2):
        image, trimap, _ = load_case(folder, megapixels)
        laplacian = MattingLaplacian(image.double())
        unknown, known = trimap == 0.5, torch.where(trimap == 0.5, 0, trimap)[None].double()
        zeros = torch.zeros_like(known)
        for name in ("jacobi", "multigrid"):
            start = time.process_time()
            _, went = laplacian.solve(
                zeros, zeros[0], known, 1e-7, 9999, free=unknown, preconditioner=name
            )
            seconds = time.process_time() - start
            print(f"| {megapixels} | {name} | {went.iterations} | {seconds:.2f} |", flush=True)
        start = time.process_time()
        cycle = RediscretisedCycle(image.double(), unknown)
        right = -laplacian.matvec(known)[0][unknown][None]

        def product(x: Tensor, laplacian=laplacian, unknown=unknown, zeros=zeros) -> Tensor:
            full = zeros.clone()
            full[0][unknown] = x[0]
            return laplacian.matvec(full)[0][unknown][None]

        _, went = conjugate_gradients(product, cycle, right, 0 * right, 1e-7, 500)
        seconds = time.process_time() - start
        print(f"| {megapixels} | rediscretised V-cycle | {went.iterations} | {seconds:.2f} |")


def one_size(folder: Path, megapixels: float) -> None:
    image, trimap, _ = load_case(folder, megapixels)
    if torch.cuda.is_available():
        image, trimap = image.cuda(), trimap.cuda()
    pydpst.estimate_alpha(
        image[:, :64, :64], (torch.arange(64) / 63).round(decimals=1).expand(64, 64)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    start = clock()
    steps: list[pydpst.Convergence] = []
    pydpst.estimate_alpha(image, trimap, tol=1e-7, callback=steps.append)
    went = steps[-1]
    seconds = clock() - start
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    if torch.cuda.is_available():
        used = torch.cuda.max_memory_allocated() / 2**30
    print(f"| {megapixels} | {went.iterations} | {seconds:.2f} | {used:.2f} |")


def sizes(folder: Path) -> None:
    kind = "seconds" if torch.cuda.is_available() else "processor seconds"
    print(f"| megapixels | iterations | {kind} | GiB |")
    print("|---|---|---|---|", flush=True)
    for megapixels in (0.3, 1, 3, 6, 12):
        command = [sys.executable, __file__, "one", "--case", folder, "--size", str(megapixels)]
        subprocess.run(command, check=True)


def masks(folder: Path) -> None:
    image, _, truth = load_case(folder)
    smooth = F.avg_pool2d(truth[None, None], 9, 1, 4, count_include_pad=False)[0, 0]
    print("| label map off by | what | mean error | processor seconds |")
    print("|---|---|---|---|")
    for shift in (0, 3):
        labels = (torch.roll(smooth, (shift, shift), (0, 1)) > 0.5).long()
        print(f"| {shift} pixels | the label map | {(labels - truth).abs().mean():.4f} | |")
        for function in (soft_masks, followed_masks, refined_masks):
            start = time.process_time()
            mask = function(labels, image, 2)[1]
            seconds = time.process_time() - start
            error = (mask - truth).abs().mean()
            print(f"| {shift} pixels | {function.__name__} | {error:.4f} | {seconds:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["versus", "preconditioners", "sizes", "masks", "one"])
    parser.add_argument("--case", type=Path, default=Path("../shared/matting"))
    parser.add_argument("--size", type=float, default=0.3)
    options = parser.parse_args()
    if options.what == "one":
        one_size(options.case, options.size)
    else:
        functions = {
            "versus": versus,
            "preconditioners": preconditioners,
            "sizes": sizes,
            "masks": masks,
        }
        functions[options.what](options.case)


if __name__ == "__main__":
    main()
