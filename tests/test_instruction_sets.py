"""The instruction sets that are in one binary, each forced: all give what plain torch gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pydpst.ops import reference

# Sets that a processor may lack, by what torch calls its own best.
NEEDS = {
    "baseline": ("DEFAULT", "NO AVX", "AVX2", "AVX512"),
    "avx2": ("AVX2", "AVX512"),
    "avx512": ("AVX512",),
}
PROGRAM = """
import sys
from safetensors.torch import load_file, save_file
from pydpst import ops
from pydpst.matting.laplacian import MattingLaplacian

given = load_file(sys.argv[1])
columns = given.pop("columns")
out = {}
for dtype in ("float32", "float64"):
    x = {name: value.to(getattr(ops.library.torch, dtype)) for name, value in given.items()}
    for radius in (1, 2):
        laplacian = MattingLaplacian(x["image"], 1e-5, radius)
        out[f"{dtype} matting {radius}"] = laplacian.matvec(x["p"])
    sliced = ops.bilateral_slice_apply(x["grid"], x["guide"], x["image"])
    out[f"{dtype} slice"] = sliced
    out[f"{dtype} maps"] = ops.affine_maps_apply(x["maps"], x["image"])
    out[f"{dtype} grade"] = ops.grade_apply(x["knots"], x["masks"], x["image"])
    out[f"{dtype} ellpack"] = ops.ellpack_matvec(x["blocks"], columns, given["x"])
save_file(out, sys.argv[2])
print(ops.build_info["instructions"])
"""


def inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "image": (1, 3, 37, 53),
        "p": (1, 4, 37, 53),
        "guide": (1, 37, 53),
        "grid": (1, 12, 4, 5, 6),
        "maps": (1, 12, 9, 11),
        "knots": (1, 2, 7, 8, 12),
        "masks": (1, 2, 37, 53),
        "blocks": (50, 3, 4, 4),
        "x": (2, 20, 4),
    }
    rand = {
        name: torch.rand(shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }
    return {**rand, "columns": torch.arange(150).view(50, 3) % 23 - 1}


def wanted(x: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        "matting 1": reference.matting_matvec(x["image"], x["p"], 1e-5, 1),
        "matting 2": reference.matting_matvec(x["image"], x["p"], 1e-5, 2),
        "slice": reference.bilateral_slice_apply(x["grid"], x["guide"], x["image"]),
        "maps": reference.affine_maps_apply(x["maps"], x["image"]),
        "grade": reference.grade_apply(x["knots"], x["masks"], x["image"]),
        "ellpack": reference.ellpack_matvec(x["blocks"], x["columns"], x["x"]),
    }


@pytest.mark.parametrize("instructions", NEEDS)
def test_each_instruction_set_gives_what_plain_torch_gives(
    instructions: str, tmp_path: Path
) -> None:
    if torch.backends.cpu.get_cpu_capability() not in NEEDS[instructions]:
        pytest.skip(f"this processor has no {instructions}")
    given = inputs()
    save_file(given, tmp_path / "in.safetensors")
    command = [sys.executable, "-c", PROGRAM, tmp_path / "in.safetensors", tmp_path / "out"]
    environment = os.environ | {"PYDPST_CPU": instructions}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == f"{instructions}\n"
    out = load_file(tmp_path / "out")
    assert len(out) == 12
    want = wanted(given)
    for name, have in out.items():
        dtype, _, what = name.partition(" ")
        error = (have - want[what]).norm() / want[what].norm()
        assert error < (1e-5 if dtype == "float32" else 1e-9), name
