"""Prints the times of bilateral_slice_apply and of the same by torch's grid_sample.

python benchmarks/bilateral_slice.py [MEGAPIXELS ...]
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from laplacian import medians
from torch import Tensor

from pydpst import ops
from pydpst.ops import reference


def contender(
    function: Callable[..., Tensor], arguments: list[Tensor]
) -> tuple[Callable[[], object], Callable[[], object]]:
    """The function by itself, and with its gradients in all arguments."""
    leaves = [argument.clone().requires_grad_() for argument in arguments]

    def forward() -> Tensor:
        with torch.no_grad():
            return function(*arguments)

    def both() -> tuple[Tensor, ...]:
        out = function(*leaves)
        return torch.autograd.grad(out, leaves, torch.ones_like(out))

    return forward, both


def main() -> None:
    print(f"{torch.get_num_threads()} threads, grid 8×16×16, float32, milliseconds\n")
    print("| megapixels | what | copy of the bytes | pydpst | grid_sample | ratio |")
    print("|---|---|---|---|---|---|")
    for megapixels in [float(argument) for argument in sys.argv[1:]] or [0.25, 1, 4]:
        side = round((megapixels * 1e6) ** 0.5)
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(1, 3, side, side, generator=generator)
        arguments = [torch.randn(1, 12, 8, 16, 16, generator=generator), image.mean(1), image]
        ours, ours_both = contender(ops.bilateral_slice_apply, arguments)
        theirs, theirs_both = contender(reference.bilateral_slice_apply, arguments)
        # forward: image, guide, result; with gradients also the gradients of all three.
        few, many = (torch.rand(planes, side * side // 2) for planes in (7, 18))
        to_few, to_many = torch.empty_like(few), torch.empty_like(many)
        times = medians(
            {
                "copy": lambda a=to_few, b=few: a.copy_(b),
                "ours": ours,
                "theirs": theirs,
                "copy both": lambda a=to_many, b=many: a.copy_(b),
                "ours both": ours_both,
                "theirs both": theirs_both,
            },
            rounds=7 if megapixels <= 1 else 3,
        )
        for what, end in [("forward", ""), ("forward and backward", " both")]:
            copy, mine, other = (times[name + end] for name in ("copy", "ours", "theirs"))
            print(
                f"| {megapixels:g} | {what} | {copy:.2f} | {mine:.2f} | {other:.0f} | "
                f"{other / mine:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
