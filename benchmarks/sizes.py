"""What `pydpst.stylize` takes at each size: seconds, memory, and which part takes the time.

    python benchmarks/sizes.py [--sizes 256,512,1024,2048] [--content C --style S] [--device cpu]

Each size runs twice, each time in a process of its own: once for the seconds, everything after the
imports included, and the most memory that the process held; once under torch's profiler for the
shares. Photos smaller than the size are enlarged first.
"""

# No import of torch here: what the first process holds would count as memory of the others.
from __future__ import annotations

import functools
import inspect
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from torch.autograd.profiler_util import FunctionEvent

PHOTOS = Path(__file__).parent.parent / "examples/photos"
LOADING, REGIONS, VGG, GRAM, PHOTOREALISM, REST = PARTS = (
    "loading",
    "regions",
    "VGG convolutions",
    "Gram matrices",
    "photorealism",
    "rest",
)


def measure(content: Path, style: Path, size: int, device: str) -> dict[str, float]:
    """Seconds, and the most MB that the process and the GPU held."""
    import torch

    from pydpst.transfer.stylize import stylize

    start, worked = time.perf_counter(), time.process_time()
    stylize(content, style, size=size, device=device)
    held = {
        "seconds": time.perf_counter() - start,
        "processor seconds": time.process_time() - worked,
        "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }
    if device.startswith("cuda"):
        held["GPU MB"] = torch.cuda.max_memory_allocated(device) / 1e6
    return held


def mark(owner: Any, name: str, part: str) -> None:
    """Makes calls of owner.name show in a profile as the part."""
    from torch.profiler import record_function

    function = getattr(owner, name)

    @functools.wraps(function)
    def marked(*args: Any, **kwargs: Any) -> Any:
        with record_function(part):
            return function(*args, **kwargs)

    setattr(owner, name, marked)


def mark_parts() -> None:
    from pydpst.losses.photorealism import PhotorealismLoss
    from pydpst.losses.style import StyleLoss
    from pydpst.losses.vgg import VGGFeatures
    from pydpst.matting.laplacian import MattingLaplacian
    from pydpst.regions.masks import Regions
    from pydpst.transfer import pair

    modules = {
        "pydpst.photos.image": LOADING,
        "pydpst.regions.labels": REGIONS,
        "pydpst.regions.clusters": REGIONS,
        "pydpst.regions.scene_regions": REGIONS,
    }
    for name, value in list(vars(pair).items()):
        if inspect.isfunction(value) and value.__module__ in modules:
            mark(pair, name, modules[value.__module__])
    mark(Regions, "masks", REGIONS)
    mark(VGGFeatures, "__init__", LOADING)
    mark(VGGFeatures, "forward", VGG)
    for name in ("__init__", "__call__"):
        mark(StyleLoss, name, GRAM)
        mark(PhotorealismLoss, name, PHOTOREALISM)
    for name in ("__init__", "matvec", "energy"):
        mark(MattingLaplacian, name, PHOTOREALISM)


def shares(content: Path, style: Path, size: int, device: str) -> dict[str, float]:
    """The share of time in each part, its backward pass included."""
    os.environ["KINETO_LOG_LEVEL"] = "9"  # the profiler speaks of itself otherwise
    from torch.profiler import ProfilerActivity, profile, record_function

    from pydpst.transfer.stylize import stylize

    mark_parts()
    on_gpu = device.startswith("cuda")
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiler, record_function("stylize"):
        stylize(content, style, size=size, device=device)
    events = sorted(profiler.events() or [], key=lambda event: event.time_range.start)
    microseconds = dict.fromkeys(PARTS, 0.0)
    whole = next(event for event in events if event.name == "stylize").cpu_time_total
    part_of_node: dict[int, str] = {}  # by the sequence number of the node of the backward pass
    for event in events:
        outer = ancestors(event)
        part = next((other.name for other in outer if other.name in PARTS), None)
        backward = next((other for other in outer if other.name.startswith("autograd::")), None)
        if backward is not None:
            part = part_of_node.get(backward.sequence_nr)
        elif event.sequence_nr >= 0:
            # Operations that make no node show the number of the next one, which comes later.
            part_of_node[event.sequence_nr] = part or REST
        if part is not None:
            # A GPU's work is charged to what launched it; photos are loaded by the CPU.
            of_gpu = on_gpu and part != LOADING
            microseconds[part] += (
                event.self_device_time_total if of_gpu else event.self_cpu_time_total
            )
    microseconds[REST] = whole - sum(microseconds[part] for part in PARTS if part != REST)
    return {part: microseconds[part] / whole for part in PARTS}


def ancestors(event: FunctionEvent) -> list[FunctionEvent]:
    """The event and those it is within, outermost first."""
    line = [event]
    while line[0].cpu_parent is not None:
        line.insert(0, line[0].cpu_parent)
    return line


def enlarged(path: Path, size: int, folder: Path) -> Path:
    with Image.open(path) as photo:
        scale = size / max(photo.size)
        if scale <= 1:
            return path
        larger = photo.convert("RGB").resize([round(side * scale) for side in photo.size])
    larger.save(folder / f"{path.stem}_{size}.png")
    return folder / f"{path.stem}_{size}.png"


def main(
    sizes: Annotated[str, typer.Option(help="Of the longer side.")] = "256,512,1024,2048",
    content: Annotated[Path, typer.Option(exists=True)] = PHOTOS / "mountain_path.jpg",
    style: Annotated[Path, typer.Option(exists=True)] = PHOTOS / "hilltop_sunset.jpg",
    device: str = "cpu",
) -> None:
    columns: dict[str, list[str]] = {}
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, Console(stderr=True).status("") as status:
        for size in map(int, sizes.split(",")):
            photos = [enlarged(path, size, Path(folder)) for path in (content, style)]
            status.update(f"{size} pixels")
            with processes.Pool(1, maxtasksperchild=1) as pool:
                held = pool.apply(measure, (*photos, size, device))
                part_shares = pool.apply(shares, (*photos, size, device))
            columns[f"{size} px"] = [
                *(f"{value:.4g}" for value in held.values()),
                *(f"{100 * share:.1f} %" for share in part_shares.values()),
            ]
    table = Table("", *columns)
    for name, *cells in zip((*held, *part_shares), *columns.values(), strict=True):
        table.add_row(name, *cells)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
