"""What `pydpst.stylize` does to large photos: time, memory, agreement and detail.

    python benchmarks/full_size.py PHOTO STYLE FOLDER [--megapixels 24,100] [--max-memory 4GB]

For each size, PHOTO is enlarged by tiling it, mirrored, with grain of three levels of 255 added,
and written to FOLDER as a JPEG, if it is not there yet. A process of its own then does what
`pydpst stylize` does, reading and writing included, and says how long that took and the most memory
that it held; writing the figures apart, which are:

agreement: the edge SSIM of the result, scaled down to the working size, against the working one.
detail lost: fine detail is what an image has beyond the mean of 5×5 pixels. In all windows of 5×5
    pixels, what is left of the result's after the best affine map of the content's, relative to the
    content's own, both as the root of the mean square.
"""

# No import of torch here: what the first process holds would count as memory of the others.
from __future__ import annotations

import multiprocessing
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from torch import Tensor

RADIUS = 2


def enlarged(photo: Path, megapixels: float, folder: Path) -> Path:
    """A photo of 3:2 made of mirrored tiles, with grain, so that there is detail at every pixel."""
    path = folder / f"{photo.stem}_{megapixels:g}.jpg"
    if path.exists():
        return path
    width = round((megapixels * 1.5e6) ** 0.5)
    height = round(width / 1.5)
    with Image.open(photo) as picture:
        tile = np.asarray(picture.convert("RGB"))
    rows, columns = -(-height // tile.shape[0]), -(-width // tile.shape[1])
    row = np.concatenate([tile[:, :: 1 - 2 * (i % 2)] for i in range(columns)], 1)[:, :width]
    whole = np.concatenate([row[:: 1 - 2 * (i % 2)] for i in range(rows)])[:height]
    grain = np.random.default_rng(0)
    for top in range(0, height, 256):
        strip = whole[top : top + 256]
        noisy = strip + grain.normal(0, 3, strip.shape[:2])[..., None]
        whole[top : top + 256] = noisy.round().clip(0, 255)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(whole).save(path, quality=95)
    return path


def detail_lost(result: Tensor, content: Tensor) -> float:
    """How much of the result's fine detail is no local recolouring of the content's."""
    import torch.nn.functional as F

    from pydpst import MattingLaplacian

    side, height = 2 * RADIUS + 1, content.shape[1]

    def fine(image: Tensor) -> Tensor:
        """What the mean of a window takes away, without the border."""
        inner = image[:, RADIUS:-RADIUS, RADIUS:-RADIUS]
        return inner - F.avg_pool2d(image, side, 1)

    left = varied = 0.0
    for top in range(0, height - 2 * side, 256):
        rows = slice(top, top + 256 + 2 * (side - 1))
        guide, p = (fine(image[:, rows].double()) for image in (content, result))
        left += float(MattingLaplacian(guide, radius=RADIUS).energy(p))
        mean = F.avg_pool2d(guide, side, 1)
        varied += float((F.avg_pool2d(guide.square(), side, 1) - mean.square()).sum()) * side**2
    return (max(left, 0.0) / varied) ** 0.5


def restyle(
    content: Path, style: Path, output: Path, options: dict[str, Any]
) -> dict[str, float | str]:
    """What `pydpst stylize` does, and the figures."""
    start, worked = time.perf_counter(), time.process_time()
    import pydpst
    from pydpst.metrics import edge_ssim
    from pydpst.photos.resizing import resize

    plans: list[pydpst.Plan] = []
    result = pydpst.stylize(content, style, planned=plans.append, **options)
    result.save(output)
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    working = result.working
    return {
        "pixels": f"{result.image.shape[2]}×{result.image.shape[1]}",
        "working size": f"{working.shape[2]}×{working.shape[1]}",
        "strips": f"{plans[0].strips}",
        "seconds": seconds,
        "processor seconds": processor_seconds,
        "planned seconds": plans[0].seconds,
        "peak memory, GB": peak / 1e9,
        "planned memory, GB": plans[0].memory / 1e9,
        "agreement": edge_ssim(resize(result.image, max(working.shape)), working),
        "detail lost, %": 100 * detail_lost(result.image, pydpst.load_image(content)),
    }


def main(
    photo: Annotated[Path, typer.Argument(exists=True)],
    style: Annotated[Path, typer.Argument(exists=True)],
    folder: Path,
    megapixels: Annotated[str, typer.Option(help="Sizes; 0 is the photo as it is.")] = "24,100",
    max_memory: str | None = None,
    size: int | None = None,
    steps: int | None = None,
) -> None:
    columns: dict[str, dict[str, float | str]] = {}
    options = {"max_memory": max_memory, "size": size, "steps": steps}
    processes = multiprocessing.get_context("spawn")
    for count in map(float, megapixels.split(",")):
        content = enlarged(photo, count, folder) if count else photo
        output = folder / f"{content.stem}_as_{style.stem}.jpg"
        with processes.Pool(1, maxtasksperchild=1) as pool:
            columns[content.name] = pool.apply(restyle, (content, style, output, options))
    table = Table("", *columns)
    for name in next(iter(columns.values())):
        cells = [column[name] for column in columns.values()]
        table.add_row(name, *(c if isinstance(c, str) else f"{c:.4g}" for c in cells))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
