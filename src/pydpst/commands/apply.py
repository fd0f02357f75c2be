"""`pydpst apply` and `pydpst styles`."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydpst.commands import one_pass, say
from pydpst.commands.batch import (
    FAILURES,
    Outcome,
    finish_batch,
    outputs_for,
    reason_of,
)
from pydpst.commands.cluster import RayAddress, check_ray, restyle_on
from pydpst.commands.files import Files, check_files
from pydpst.commands.journal import (
    NAME,
    Journal,
    Pairs,
    Record,
    Restyle,
    checksum_before,
    checksum_of,
)
from pydpst.commands.pipes import check_pipes, piped
from pydpst.commands.progress import progress_bar, stages
from pydpst.commands.report import AsJson, print_report, result_of
from pydpst.commands.stores import place

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pydpst.commands.one_pass import OnePass
    from pydpst.photos.photo import Photo

# Photos that are decoded ahead, and results that wait to be written.
_AHEAD = 2
_TOO_LARGE = "apply it on the CPU, by --device cpu"
# Of photos with more pixels, one at a time is held.
_LARGE = 32_000_000


def apply(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] PHOTOS...",
            help="A model file or the name of a bundled style, unless there is --style, where it "
            "may be a model of train --universal; then photos and folders, or clips; - is a photo "
            "from standard input.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="<path>",
            parser=place,
            help="A folder; for one photo also a file, or - for standard output.",
            rich_help_panel="Output",
        ),
    ],
    style: Annotated[
        Path | None,
        typer.Option(
            help="Instead of a model: a photo whose look the others get.",
            rich_help_panel="Look",
        ),
    ] = None,
    regions: Annotated[
        str,
        typer.Option(
            help="With --style: none is one look for all of a photo; auto grades sky like sky and "
            "ground like ground, and takes longer.",
            rich_help_panel="Look",
        ),
    ] = "none",
    export_cube: Annotated[
        Path | None,
        typer.Option(
            help="With --style, of one photo: the look as LOOK.cube, too.", rich_help_panel="Output"
        ),
    ] = None,
    strength: Annotated[
        float,
        typer.Option(
            help="0 the photo itself, 1 the full style; of a model up to 2.", rich_help_panel="Look"
        ),
    ] = 1.0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N.", rich_help_panel="Limits")
    ] = None,
    ray: RayAddress = None,
    as_json: AsJson = False,
) -> None:
    """Restyle PHOTOS, or video, in one pass, at full resolution: by MODEL, or like --style."""
    from pydpst.feedforward.bundled import model_path
    from pydpst.ops import choose_device
    from pydpst.photos.opening import read_file
    from pydpst.transfer.finish import check_strength
    from pydpst.video.clip import CLIPS

    _check_look_options(style, export_cube, regions)
    has_model = style is None or Path(names[0]).suffix.lower() == ".safetensors"
    if has_model and len(names) < 2:
        more = "MODEL and PHOTOS, or --style" if style is None else "PHOTOS, too"
        raise ValueError(f"{names[0]} is all there is; give {more}.")
    check_strength(strength, 2 if style is None else 1)
    photos = [place(name) for name in (names[1:] if has_model else names)]
    reads: dict[str, Path] = {} if style is None else {"--style": style}
    if has_model:
        reads["MODEL"] = model_path(names[0])
    sources = list(reads.values())
    check_pipes(photos, output, as_json)
    is_clip = any(photo.suffix.lower() in CLIPS for photo in photos)
    check_ray(ray, device, is_clip or export_cube is not None, [*photos, output])
    target = choose_device(device if ray is None else "cpu")
    with piped(photos[0], output) as (first, result):
        photos[0] = first
        if style is not None and export_cube is not None:
            _export_cube(reads, photos, result, export_cube, strength, target, as_json)
            return
        options = {"strength": strength} | ({} if regions == "none" else {"regions": regions})
        recipe = partial(_recipe_of, sources, options)
        of_photo = partial(one_pass.of_photo, regions=regions)
        look = one_pass.of_model if style is None else of_photo
        load = partial(look, sources, strength, target)
        if is_clip:
            _apply_to_clips(load, photos, result, reads, strength, target, as_json)
            return
        is_bundled = style is None and sources != [Path(names[0])]
        on_ray = None
        if ray is not None:
            files = [(file.name, read_file(file, str(file))) for file in sources]
            sent = names[0] if is_bundled else files
            elsewhere = partial(_on_worker, look, sent, strength)
            on_ray = partial(restyle_on, ray, device, 1, elsewhere)
        _apply_to_photos(load, photos, result, reads, recipe, on_ray, as_json)


def _check_look_options(style: Path | None, export_cube: Path | None, regions: str) -> None:
    from pydpst.transfer.read_look import check_read_regions

    check_read_regions(regions)
    if export_cube is not None and style is None:
        raise ValueError("--export-cube goes with --style; `pydpst export` has models' tables.")
    if regions != "none" and style is None:
        raise ValueError(f"--regions {regions} goes with --style.")
    if regions != "none" and export_cube is not None:
        raise ValueError("--export-cube is a table of one look; leave --regions out.")


def _apply_to_clips(
    load: Callable[[], OnePass],
    clips: list[Path],
    output: Path,
    reads: Files,
    strength: float,
    device: torch.device,
    as_json: bool,
) -> None:
    from pydpst.commands.clip import apply_to_clip, clip_results

    results = clip_results(clips, output)
    check_files({**reads, "clips": clips}, {"--output": results})
    look = load()
    start = time.monotonic()
    done = [
        apply_to_clip(look.frames(), clip, result, strength, device)
        for clip, result in zip(clips, results, strict=True)
    ]
    if as_json:
        print_report(start, done)


def _apply_to_photos(
    load: Callable[[], OnePass],
    photos: list[Path],
    output: Path,
    reads: Files,
    recipe: Callable[[], dict[str, Any]],
    on_ray: Callable[[Pairs, Journal], Outcome] | None,
    as_json: bool,
) -> None:
    pairs = outputs_for(photos, output)
    results = [result for _, result in pairs]
    in_folder = results != [output]
    if on_ray is not None and not in_folder:
        raise ValueError(f"--ray is for many photos; the output {output} must be a folder.")
    check_files(
        {**reads, "PHOTOS": [photo for photo, _ in pairs]},
        {"--output": [*results, *([output / NAME] if in_folder else [])]},
    )
    journal = None
    if in_folder:
        journal = Journal(output, recipe())
        journal.check(results)
    look = load()
    start = time.monotonic()
    if journal is None:
        with stages(3, too_large=_TOO_LARGE) as begin:
            one_pass.restyle_file(look, *pairs[0], begin)
        finish_batch(output, pairs, [], ({}, None), start, as_json)
        return
    there = journal.done_of(pairs)
    left = [(photo, result) for photo, result in pairs if result not in there]
    with journal:
        outcome = (on_ray or partial(_restyle_all, look))(left, journal)
    finish_batch(output, pairs, there, outcome, start, as_json)


def _export_cube(
    reads: dict[str, Path],
    photos: list[Path],
    output: Path,
    cube: Path,
    strength: float,
    device: torch.device,
    as_json: bool,
) -> None:
    """Restyles one photo like another, and writes the look as a table, too."""
    import pydpst
    from pydpst.photos.writing import check_output

    ((photo, result),) = outputs_for(photos, output) if len(photos) == 1 else [(None, output)]
    if photo is None or photo.is_dir():
        raise ValueError("--export-cube is for one photo; give one.")
    check_files({**reads, "PHOTOS": photo}, {"--output": result, "--export-cube": cube})
    check_output(cube, (".cube",))
    start = time.monotonic()
    with stages(2, too_large=_TOO_LARGE) as begin:
        begin("restyling")
        network = pydpst.load_model(reads["MODEL"]) if "MODEL" in reads else None
        style = reads["--style"]
        found = pydpst.match(photo, style, strength=strength, network=network, device=device)
        begin("writing")
        found.save(result)
        found.save_cube(cube)
    say(f"{result}, {cube}: {time.monotonic() - start:.1f} s")
    if as_json:
        report = [result_of(photo, result, "written")]
        print_report(start, report, also={"--export-cube": os.fspath(cube)})


def _recipe_of(sources: list[Path], options: dict[str, Any]) -> dict[str, Any]:
    """What results depend on, but for the photos; laid out as the recipes of `pydpst stylize`."""
    from importlib.metadata import version

    from pydpst.transfer.recipe import checksum

    return {
        "kind": "pydpst apply",
        "files": {
            name: {"path": os.fspath(path.resolve()), "sha256": checksum(path)}
            for name, path in zip(("model", "network"), sources, strict=False)
        },
        "options": options,
        "versions": {name: version(name) for name in ("pydpst", "torch")},
    }


def styles() -> None:
    """List the bundled styles."""
    from rich.console import Console
    from rich.table import Table

    from pydpst.feedforward.bundled import styles as bundled

    table = Table("style", "trained from", box=None)
    for name, note in bundled().items():
        table.add_row(name, note)
    Console().print(table)


def _on_worker(
    look: Callable[[Sequence[Path], float, torch.device], OnePass],
    sources: str | list[tuple[str, bytes]],
    strength: float,
    device: str,
) -> Restyle:
    """What restyles photos elsewhere, by a bundled style or by the names and bytes of files."""
    import torch

    from pydpst.feedforward.bundled import model_path

    on = torch.device(device)
    if isinstance(sources, str):
        return partial(one_pass.restyle_file, look([model_path(sources)], strength, on))
    with TemporaryDirectory(prefix="pydpst-") as folder:
        paths = [Path(folder, f"{number}-{name}") for number, (name, _) in enumerate(sources)]
        for path, (_, data) in zip(paths, sources, strict=True):
            path.write_bytes(data)
        return partial(one_pass.restyle_file, look(paths, strength, on))


def _restyle_all(look: OnePass, pairs: Pairs, journal: Journal) -> Outcome:
    """Restyles photos while the next are decoded and the last are encoded."""
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    from pydpst.photos.photo import open_photo, save_photo

    failures: dict[Path, str] = {}
    writing: deque[tuple[Path, Path, Future[Record]]] = deque()
    current: Path | None = None

    def read(photo: Path) -> tuple[str, Photo]:
        return checksum_before(photo), open_photo(photo, "input")

    def save(image: Tensor, result: Path, original: Photo, before: str) -> Record:
        save_photo(image, result, original)
        return {"photo": before, "sha256": checksum_of(result)}

    def finish(photo: Path, result: Path, future: Future[Record]) -> None:
        try:
            journal.finish({result: future.result()})
        except FAILURES as error:
            failures[photo] = reason_of(error)

    columns = ("photo", MofNCompleteColumn(), "", TimeRemainingColumn())
    with (
        ThreadPoolExecutor(_AHEAD) as readers,
        ThreadPoolExecutor(_AHEAD) as writers,
        progress_bar(*columns, too_large=_TOO_LARGE) as bar,
    ):
        decoded = _ahead(readers, read, [photo for photo, _ in pairs])
        numbered = iter(bar.track(decoded, total=len(pairs)))
        try:
            for current, result in pairs:
                try:
                    future = next(numbered)
                    before, original = future.result()
                    image = look.restyle(original)
                    journal.begin(result)
                except FAILURES as error:
                    failures[current] = reason_of(error)
                    continue
                saved = writers.submit(save, image, result, original, before)
                writing.append((current, result, saved))
                ahead = 0 if image[0].numel() > _LARGE else _AHEAD
                del image, original, future
                while len(writing) > ahead:
                    finish(*writing.popleft())
            current = None
        except KeyboardInterrupt:
            readers.shutdown(wait=False, cancel_futures=True)
        while writing:
            finish(*writing.popleft())
    return failures, current


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[[Path], tuple[str, Photo]], photos: list[Path]
) -> Iterator[Future[tuple[str, Photo]]]:
    """Photos in turn, the next few being read meanwhile, unless they are large."""
    waiting: deque[Future[tuple[str, Photo]]] = deque()
    ahead = 0
    for photo in photos:
        waiting.append(pool.submit(read, photo))
        while len(waiting) > ahead:
            ahead = 0 if _is_large(waiting[0]) else _AHEAD
            yield waiting.popleft()
    yield from waiting


def _is_large(future: Future[tuple[str, Photo]]) -> bool:
    return future.exception() is None and future.result()[1].pixels[0].numel() > _LARGE
