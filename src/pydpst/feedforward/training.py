"""Training a feed-forward network for one style (Johnson et al. 2016): `train`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pydpst import metrics
from pydpst.feedforward.model_file import save_model
from pydpst.feedforward.training_files import Saving, check_paths, check_steps
from pydpst.feedforward.training_log import TrainingLog
from pydpst.feedforward.training_photos import find_photos, read_photos
from pydpst.feedforward.training_run import Processes, Run
from pydpst.feedforward.training_settings import Settings
from pydpst.ops import choose_device
from pydpst.photos.decode import Source
from pydpst.photos.image import load_image
from pydpst.photos.resizing import resize
from pydpst.transfer.linear import transfer_color
from pydpst.transfer.options import takes

# Photos held out are spread over the list, this many apart at least.
_TRAINED_FOR_EACH_HELD_OUT = 4


@dataclass(frozen=True)
class TrainingProgress:
    """What a callback is told: while photos are read, after each step and each validation.

    Attributes:
        stage: "read", "look" (only `train_universal` looks what photos show), "step" or "validate".
        done: photos read or looked at, or steps done.
        total: of how many.
        losses: of the step, and their weighted sum, total.
        metrics: of the validation; of `train`: style_distance, edge_ssim and residual, means over
            the photos held out, and the same of the linear colour transfer as linear_….
    """

    stage: str
    done: int
    total: int
    losses: dict[str, float]
    metrics: dict[str, float]


@takes(Settings)
def train(
    style: Source,
    photos: str | os.PathLike[str] | Sequence[Source],
    *,
    output: str | os.PathLike[str] | None = None,
    accumulate: int = 1,
    validate_steps: int | None = None,
    checkpoint_steps: int = 200,
    log: str | os.PathLike[str] | None = None,
    tensorboard: bool = False,
    resume: bool = False,
    license: str = "",
    device: str | torch.device | None = None,
    callback: Callable[[TrainingProgress], None] | None = None,
    **options: Any,
) -> nn.Module:
    """Trains a network that gives photos the style of one photo (Johnson et al. 2016).

    The losses are those of `stylize`, without regions. Every photo and cut comes from the seed and
    its number alone, so that a training that was killed and resumed gives the weights of one that
    was not. Under ``torchrun`` the batch is shared among the processes.

    Args:
        style: the photo whose style the network learns, as for `load_image`.
        photos: a folder, searched with its folders, or a list; unreadable ones are skipped with a
            warning that names them. They are kept in memory, scaled down.
        output: where to write the model, ending in .safetensors; while it trains there is a
            checkpoint beside it. None: nothing is written.
        accumulate: in how many parts each process takes its share of the batch, to save memory.
        validate_steps: steps between validations; None is a fifth of the steps.
        checkpoint_steps: steps between checkpoints; one is written every minute, too.
        log: a folder for the losses (losses.jsonl) and for the restyled validation photos.
        tensorboard: whether to log for TensorBoard, too, into the same folder.
        resume: whether to go on from the checkpoint.
        license: a note on authors and terms, kept in the model file.
        device: such as "cpu" or "cuda"; None is the GPU if there is one.
        callback: told of the progress. Ctrl-C (KeyboardInterrupt) leaves a checkpoint.
        **options: what the weights depend on, the fields of `Settings`:
        {options}

    Returns:
        The network, ready to be applied, on the CPU.

    Raises:
        ValueError: for an argument that is not as above, with a sentence that names it.
        FloatingPointError: if the losses become infinite or NaN; the checkpoint is of the step
            before.
    """
    processes = Processes(choose_device(device))
    settings = Settings(**options).on(processes.device)
    per_part = processes.share(settings.batch, accumulate)
    check_steps(checkpoint_steps=checkpoint_steps, validate_steps=validate_steps)
    checkpoint = check_paths(output, log, tensorboard, resume)
    tell = callback or (lambda progress: None)
    example = resize(load_image(style, "style"), settings.size)
    found = read_all(photos, settings.size, tell)
    training, held = hold_out(found, settings.held_out)
    validation = [resize(photo.float() / 255, settings.size) for photo in held]
    run = Run(settings, example, training, processes, per_part, accumulate)
    if resume and checkpoint is not None:
        run.restore(checkpoint)
    records = TrainingLog(log if processes.first else None, tensorboard, run.step)
    saving = Saving(run, checkpoint if processes.first else None, checkpoint_steps)
    every = validate_steps or max(1, settings.steps // 5)
    try:
        for losses in run.steps():
            records.losses(run.step, losses)
            tell(TrainingProgress("step", run.step, settings.steps, losses, {}))
            saving.if_due()
            due = run.step % every == 0 or run.step == settings.steps
            if validation and processes.first and due:
                values = validate(run.network, validation, example, records, run.step)
                tell(TrainingProgress("validate", run.step, settings.steps, {}, values))
    except (KeyboardInterrupt, FloatingPointError):
        saving.now()  # the last good state
        raise
    finally:
        records.close()
        run.close()
    network = run.network.cpu().eval()
    if output is not None and checkpoint is not None and processes.first:
        about = {"training": asdict(settings), "photos": len(training), "license": license}
        save_model(network, output, about)
        checkpoint.unlink(missing_ok=True)
    return network


def read_all(
    photos: str | os.PathLike[str] | Sequence[Source],
    size: int,
    tell: Callable[[TrainingProgress], None],
) -> list[Tensor]:
    """The photos that can be read, (3, H, W), uint8, as `training_photos.read_photos` has them.

    Raises:
        ValueError: if there are none.
    """
    chosen = find_photos(photos)
    read = []
    for number, photo in enumerate(read_photos(chosen, size), start=1):
        read.append(photo)
        tell(TrainingProgress("read", number, len(chosen), {}, {}))
    found = [photo for photo in read if photo is not None]
    if not found:
        raise ValueError("none of the photos can be read; give at least one that can.")
    return found


def hold_out(photos: Sequence[Tensor], count: int) -> tuple[list[Tensor], list[Tensor]]:
    """The photos to train on, and so many to validate with, spread over the list."""
    count = min(count, len(photos) // (1 + _TRAINED_FOR_EACH_HELD_OUT))
    held = {(2 * i + 1) * len(photos) // (2 * count) for i in range(count)}
    training = [photo for i, photo in enumerate(photos) if i not in held]
    return training, [photos[i] for i in sorted(held)]


@torch.no_grad()
def validate(
    network: nn.Module,
    photos: Sequence[Tensor],
    style: Tensor,
    records: TrainingLog | None = None,
    step: int = 0,
) -> dict[str, float]:
    """The measures of `pydpst.metrics` of a network and of the linear colour transfer.

    Args:
        network: to be measured.
        photos: (3, H, W) each, in [0, 1].
        style: (3, H', W'), likewise.
        records: where to keep the restyled photos and the measures.
        step: which they are of.

    Returns:
        style_distance, edge_ssim and residual, means over the photos; those of the linear colour
        transfer as linear_style_distance and so on.
    """
    device = next(network.parameters()).device
    ones = torch.ones_like(style[:1])
    sums: dict[str, float] = {}
    for number, photo in enumerate(photos):
        result = network(photo[None].to(device))[0].clamp(0, 1).cpu()
        linear = transfer_color(photo, style, torch.ones_like(photo[:1]), ones)
        for prefix, image in (("", result), ("linear_", linear)):
            values = {
                "style_distance": metrics.style_distances(
                    metrics.Comparison(image, photo, style)
                ).total,
                "edge_ssim": metrics.edge_ssim(image, photo),
                "residual": metrics.photorealism_residual(image, photo),
            }
            for name, value in values.items():
                sums[prefix + name] = sums.get(prefix + name, 0.0) + value / len(photos)
        if records is not None:
            records.image(step, number, photo, result)
    if records is not None:
        records.metrics(step, sums)
    return sums
