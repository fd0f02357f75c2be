"""Training a network that reads the look of any photo: `train_universal`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from pydpst.feedforward.look_cuts import Album
from pydpst.feedforward.look_pairs import Batch, look_batch
from pydpst.feedforward.look_training import ReaderTraining
from pydpst.feedforward.model_file import save_model
from pydpst.feedforward.training import TrainingProgress, hold_out, read_all
from pydpst.feedforward.training_files import Saving, check_paths, check_steps
from pydpst.feedforward.training_log import TrainingLog
from pydpst.ops import choose_device
from pydpst.photos.color_spaces import oklab
from pydpst.photos.decode import Source
from pydpst.reading.network import LookReader, Reading
from pydpst.reading.second_look import look_twice, rendered
from pydpst.regions.scene import parse_scene
from pydpst.transfer.match import check_reader

# Photos are kept at 1.5 times this longer side.
_SIZE = 192


def train_universal(
    photos: str | os.PathLike[str] | Sequence[Source],
    *,
    output: str | os.PathLike[str] | None = None,
    start: LookReader | None = None,
    steps: int = 7200,
    batch: int = 8,
    seed: int = 0,
    held_out: int = 8,
    validate_steps: int | None = None,
    checkpoint_steps: int = 100,
    log: str | os.PathLike[str] | None = None,
    tensorboard: bool = False,
    resume: bool = False,
    license: str = "",
    device: str | torch.device | None = "cpu",
    callback: Callable[[TrainingProgress], None] | None = None,
) -> LookReader:
    """Trains a network that gives photos the look of any other, for `match`.

    It learns from parts of photos under random looks, and from pairs of different photos (see
    `feedforward.look_criterion`); in the last sixth of the steps these are judged by VGG-16, as
    `stylize` does (see `feedforward.search_criterion`). Every photo, cut and look comes from the
    seed and the step alone, so that a training that was killed and resumed gives the weights of one
    that was not.

    Args:
        photos: a folder, searched with its folders, or a list; unreadable ones are skipped with a
            warning that names them. Without those held out there must be as many as a step has, at
            least. They are kept in memory, scaled down, that of the device, too.
        output: where to write the model, ending in .safetensors; while it trains there is a
            checkpoint beside it. None: nothing is written.
        start: a network that this has trained before, or `load_model` of its file: what it knows
            is kept, and all steps are as those of the last sixth.
        steps: of the optimiser.
        batch: photos of a step, at least 2.
        seed: of weights, photos, cuts and looks.
        held_out: how many photos, spread over the list, are kept for validation.
        validate_steps: steps between validations; None is a fifth of the steps.
        checkpoint_steps: steps between checkpoints; one is written every minute, too.
        log: a folder for the losses (losses.jsonl) and for pictures of the photos held out:
            content, style, result and truth.
        tensorboard: whether to log for TensorBoard, too, into the same folder.
        resume: whether to go on from the checkpoint.
        license: a note on authors and terms, kept in the model file.
        device: such as "cpu" or "cuda"; None is the GPU if there is one. A GPU rounds otherwise
            from run to run, and so its weights come again only nearly.
        callback: told of the progress; a validation has error, the mean distance in OKLab to the
            truth over that of the untouched contents. Ctrl-C (KeyboardInterrupt) leaves a
            checkpoint.

    Returns:
        The network, ready for `match`, on the CPU.

    Raises:
        ValueError: for an argument that is not as above, with a sentence that names it.
        FloatingPointError: if the losses become infinite or NaN; the checkpoint is of the step
            before.
    """
    check_steps(steps=steps, checkpoint_steps=checkpoint_steps, validate_steps=validate_steps)
    for name, value in (("seed", seed), ("held_out", held_out)):
        if not 0 <= value < 2**63:
            raise ValueError(f"{name} is {value}; it must be a whole number from 0 to 2^63 - 1.")
    if batch < 2:
        raise ValueError(f"batch is {batch}; it must be a whole number of at least 2.")
    check_reader(start)
    target = choose_device(device)
    checkpoint = check_paths(output, log, tensorboard, resume)
    tell = callback or (lambda progress: None)
    training, held = hold_out(read_all(photos, _SIZE, tell), held_out)
    if len(training) < batch:
        raise ValueError(f"there are {len(training)} photos to train on; give at least {batch}.")
    run = ReaderTraining(
        training, _scenes(training, target, tell), steps, seed, start, batch, target
    )
    if resume and checkpoint is not None:
        run.restore(checkpoint)
    records = TrainingLog(log, tensorboard, run.step)
    saving = Saving(run, checkpoint, checkpoint_steps)
    shown = look_batch(Album(held, _scenes(held, target), target), seed, 0) if held else None
    every = validate_steps or max(1, steps // 5)
    try:
        while run.step < steps:
            losses = run.advance()
            records.losses(run.step, losses)
            tell(TrainingProgress("step", run.step, steps, losses, {}))
            saving.if_due()
            if shown is not None and (run.step % every == 0 or run.step == steps):
                values = _validate(run, shown, records)
                tell(TrainingProgress("validate", run.step, steps, {}, values))
    except (KeyboardInterrupt, FloatingPointError):
        saving.now()  # the last good state
        raise
    finally:
        records.close()
    # As a file has it, whether or not one is written.
    network = run.result().cpu().half()
    if output is not None and checkpoint is not None:
        about = {
            "training": {"steps": steps, "batch": batch, "seed": seed},
            "photos": len(training),
            "license": license,
        }
        save_model(network, output, about)
        checkpoint.unlink(missing_ok=True)
    return network.float()


def _scenes(
    photos: Sequence[Tensor],
    device: torch.device,
    tell: Callable[[TrainingProgress], None] = lambda progress: None,
) -> list[Tensor]:
    """What is where in each photo: probabilities of kinds of thing, (G, h, w), on the CPU."""
    found = []
    for number, groups in enumerate(_groups(photos, device), start=1):
        found.append(groups)
        tell(TrainingProgress("look", number, len(photos), {}, {}))
    return found


def _groups(photos: Sequence[Tensor], device: torch.device) -> Iterator[Tensor]:
    def groups_of(photo: Tensor) -> Tensor:
        return parse_scene(photo.to(device).float() / 255).groups.half()

    if device.type == "cpu":
        yield from map(groups_of, photos)
        return
    # Small networks behind VGG stay on the CPU, and would keep a GPU waiting.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(groups_of, photos)


@torch.no_grad()
def _validate(run: ReaderTraining, batch: Batch, records: TrainingLog) -> dict[str, float]:
    """How far the network is from the truth on photos held out; keeps pictures of them."""
    network, count = run.result(), batch.clean.shape[1]
    reading = network.read(batch.shown.flatten(0, 1))
    content, style = (
        Reading(reading.tokens[part], reading.cells[part], reading.grid)
        for part in (slice(0, count), slice(3 * count, 4 * count))
    )
    ones = torch.ones_like(content.cells[..., 0])
    photos, truth = batch.clean[0], batch.looks[2](batch.bases[0])
    maps = look_twice(network, batch.shown[0], content, style, ones, ones)
    result = rendered(maps, photos).clamp(0, 1)
    errors = [(oklab(x) - oklab(truth)).norm(dim=1).mean() for x in (result, photos)]
    values = {"error": float(errors[0] / errors[1])}
    records.metrics(run.step, values)
    before, after = torch.cat([photos, batch.clean[3]], 3), torch.cat([result, truth], 3)
    for number, pair in enumerate(zip(before, after, strict=True)):
        records.image(run.step, number, *(image.cpu() for image in pair))
    return values
