"""Builds the kernels; everything else about the package is in pyproject.toml."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from setuptools import Extension, setup
from torch.utils import cpp_extension

# The oldest libtorch whose stable ABI has all that the kernels call (2.11).
TARGET = "-DTORCH_TARGET_VERSION=0x020b000000000000"
# All of GCC's -O3 that makes the loops faster: the rest compiles for a seventh longer. If GCC keeps
# its garbage it is a twelfth quicker, in half a gigabyte for each file.
GCC_ALONE = ["-O2", "-fpeel-loops", "-fsplit-loops", "-funswitch-loops"]
GCC_ALONE += ["--param", "ggc-min-heapsize=1000000"]


def is_gcc() -> bool:
    command = [*shlex.split(cpp_extension.get_cxx_compiler()), "--version"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False  # the build says what is missing
    return "Free Software Foundation" in told


def find_nvcc() -> Path | None:
    if home := os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH"):
        places = [Path(home, "bin", "nvcc")]  # and nowhere else
    else:
        places = [Path("/usr/local/cuda/bin/nvcc"), Path(shutil.which("nvcc") or "nvcc")]
        places += [nvcc for path in sys.path for nvcc in Path(path).glob("nvidia/cu*/bin/nvcc")]
    return next((place.resolve() for place in places if place.is_file()), None)


def has_gpu() -> bool:
    return torch.cuda.is_available() or any(Path("/dev").glob("nvidia[0-9]*"))


wanted, nvcc = os.environ.get("PYDPST_CUDA", ""), find_nvcc()
if wanted not in ("", "0", "1"):
    sys.exit(f"PYDPST_CUDA is {wanted!r}; it must be 0 (CPU only), 1 (CPU and CUDA) or unset.")
if wanted == "1" and not nvcc:
    sys.exit(
        "PYDPST_CUDA=1 asks for the CUDA kernels, but no nvcc was found: point CUDA_HOME at a CUDA "
        "toolkit, or `pip install nvidia-cuda-nvcc nvidia-cuda-runtime nvidia-cuda-cccl` and add "
        "--no-build-isolation."
    )

if nvcc and wanted == "" and not has_gpu():
    print("No GPU here: the CUDA kernels are left out. PYDPST_CUDA=1 builds them all the same.")
    nvcc = None

common = {
    "include_dirs": cpp_extension.include_paths(),
    "library_dirs": cpp_extension.library_paths(),
    "libraries": ["torch_cpu"],
    "depends": [str(path) for path in Path("csrc").rglob("*.*h")],
    "language": "c++",
    "py_limited_api": True,
}
if sys.platform == "win32":
    # The kernels use vectors as GCC and clang have them. torch asks CXX for the compiler.
    os.environ.setdefault("CXX", "clang-cl")
    cxx = ["/O2", "/std:c++20", "/clang:-fno-math-errno", TARGET]
else:
    cxx = ["-fno-math-errno", "-g0", "-std=c++20", "-fvisibility=hidden"]
    cxx += ["-Wall", "-Wno-psabi", TARGET, *(GCC_ALONE if is_gcc() else ["-O3"])]
sources = ["csrc/library.cpp", *sorted(map(str, Path("csrc/cpu").glob("*.cpp")))]
extensions = [Extension("pydpst._C", sources, extra_compile_args={"cxx": cxx}, **common)]

if nvcc and wanted != "0":
    # torch's CPU build neither looks for CUDA nor has a CUDA version to compare with; the kernels
    # link the static CUDA runtime and the stable ABI alone, so one build fits every torch.
    cpp_extension.CUDA_HOME = str(nvcc.parent.parent)
    cpp_extension._check_cuda_version = lambda *_: None
    architectures = [] if "TORCH_CUDA_ARCH_LIST" in os.environ else ["-arch=all-major"]
    cuda = ["-O3", "-std=c++20", "-DUSE_CUDA", TARGET, *architectures]
    common["library_dirs"] += [str(nvcc.parent.parent / lib) for lib in ("lib64", "lib")]
    common["libraries"] = ["torch_cpu", "cudart_static", "rt", "dl"]
    sources = sorted(map(str, Path("csrc/cuda").glob("*.cu")))
    arguments = {"cxx": cxx, "nvcc": cuda}
    extensions += [Extension("pydpst._cuda", sources, extra_compile_args=arguments, **common)]

setup(
    ext_modules=extensions,
    cmdclass={"build_ext": cpp_extension.BuildExtension},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
