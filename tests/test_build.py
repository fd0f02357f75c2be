from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent


def setup_py(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_cuda_without_nvcc_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = setup_py(PYDPST_CUDA="1", CUDA_HOME=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("PYDPST_CUDA=1 asks for the CUDA kernels, but no nvcc was found")
    assert "pip install nvidia-cuda-nvcc" in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_nvcc_means_cpu_only(tmp_path: Path) -> None:
    assert setup_py(PYDPST_CUDA="", CUDA_HOME=str(tmp_path)).returncode == 0


def test_another_value_of_pydpst_cuda_is_refused() -> None:
    done = setup_py(PYDPST_CUDA="x")
    assert done.returncode == 1
    assert done.stderr.startswith("PYDPST_CUDA is 'x'; it must be ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="clang-cl has flags of its own")
@pytest.mark.parametrize("compiler", ["clang version 14.0.6", "Free Software Foundation, Inc."])
def test_gcc_alone_gets_flags_of_its_own(tmp_path: Path, compiler: str) -> None:
    """clang stops at -fsplit-loops, which it does not know."""
    program, told = tmp_path / "compiler", tmp_path / "told"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "{compiler}" && exit 0\n'
        f'echo "$@" >> {told}\nexit 1\n'
    )
    program.chmod(0o755)
    built = tmp_path / "built"
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--build-temp", built, "--build-lib", built],
        cwd=ROOT,
        env=os.environ | {"CXX": str(program), "PYDPST_CUDA": "0"},
        capture_output=True,
    )
    assert done.returncode != 0
    arguments = set(told.read_text().split())
    assert "-std=c++20" in arguments
    assert ("-fsplit-loops" in arguments) == ("Free" in compiler)


def test_sdist_has_what_a_build_needs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "-o", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    needed = {"pyproject.toml", "setup.py", "README.md", "src/pydpst/py.typed"}
    needed |= {"LICENSE", "LICENSE-APACHE", "NOTICE"}
    for folder in ("csrc", "src/pydpst/weights"):
        paths = (ROOT / folder).rglob("*")
        needed |= {str(path.relative_to(ROOT)) for path in paths if path.is_file()}
    assert needed <= names


def test_one_build_serves_every_python() -> None:
    """The kernels ask for nothing that the limited API of Python 3.10 does not have."""
    specs = [find_spec(name) for name in ("pydpst._C", "pydpst._cuda")]
    built = [spec.origin for spec in specs if spec is not None and spec.origin is not None]
    command = [sys.executable, "-m", "abi3audit", "--strict", "--assume-minimum-abi3", "3.10"]
    done = subprocess.run([*command, *built], capture_output=True, text=True)
    assert built
    assert done.returncode == 0, done.stdout + done.stderr


def test_cuda_kernels_are_there_for_common_gpus() -> None:
    """Where nvcc built them; what they compute is tested elsewhere."""
    spec = find_spec("pydpst._cuda")
    if spec is None or spec.origin is None:
        pytest.skip("this build has no CUDA kernels")
    contents = re.search(rb"CUDA \d+\.\d+, architectures ([\d,]+)", Path(spec.origin).read_bytes())
    assert contents is not None
    if "TORCH_CUDA_ARCH_LIST" not in os.environ and not torch.cuda.is_available():
        assert {b"800", b"900"} <= set(contents[1].split(b","))
