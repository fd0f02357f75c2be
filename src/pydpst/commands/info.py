"""`pydpst info`."""

from __future__ import annotations

import gc
import sys
from pathlib import Path


def info() -> None:
    """Print versions, what the build contains, devices and bundled weights."""
    from importlib.metadata import version
    from importlib.util import find_spec

    from rich.console import Console
    from rich.table import Table

    gc.disable()  # torch makes many objects, and no garbage
    import torch

    import pydpst
    from pydpst import ops

    gc.enable()
    cuda = ops.build_info["cuda"] or "CPU only"
    if find_spec("pydpst._cuda") and not torch.version.cuda:
        cuda = "CUDA kernels, idle: this torch has no CUDA"
    devices = ["cpu"] + [
        f"cuda:{index} {torch.cuda.get_device_name(index)}"
        for index in range(torch.cuda.device_count())
    ]
    weights = [
        f"{path.name} {path.stat().st_size / 1e6:.1f} MB"
        for path in sorted(Path(pydpst.__file__).parent.glob("weights/**/*.safetensors"))
    ]
    table = Table(show_header=False, box=None)
    table.add_row("pydpst", version("pydpst"))
    table.add_row("python", sys.version.split()[0])
    table.add_row("torch", torch.__version__)
    table.add_row("compiler", ops.build_info["compiler"])
    table.add_row("torch headers", ops.build_info["torch_headers"])
    table.add_row("kernels", cuda)
    table.add_row("instructions", ops.build_info["instructions"])
    table.add_row("devices", "\n".join(devices))
    table.add_row("weights", "\n".join(weights) or "none")
    Console().print(table)
