"""Training a feed-forward network for one style (Johnson et al. 2016): `train`."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pydpst import metrics
from pydpst.color import transfer_color
from pydpst.device import choose_device
from pydpst.image import Source, load_image, resize
from pydpst.losses import (
    CONTENT_LAYERS,
    STYLE_LAYERS,
    ContentLoss,
    Features,
    PhotorealismLoss,
    StyleLoss,
    tv_loss,
)
from pydpst.model_file import read_tensors, save_model, write_tensors
from pydpst.networks import NETWORKS
from pydpst.training_log import TrainingLog
from pydpst.training_photos import find_photos, read_photos, sample, step_shape
from pydpst.vgg import VGGFeatures, has_fast_bfloat16

_WARM_UP = 50
_LEARNING_RATE = {"grid": 1.5e-3, "transformer": 1e-3}
# Of a grid's guide, which moves every pixel's transform at once, and of what all grids share.
_RATES = {"mix": 0.3, "knots": 0.3, "slopes": 0.3, "offset": 0.3, "common": 4.0}
_RANGE_WEIGHT = 30.0
_CHECKPOINT_SECONDS = 60.0
# Photos held out are spread over the list, this many apart at least.
_TRAINED_FOR_EACH_HELD_OUT = 4


@dataclass(frozen=True)
class Settings:
    """What the weights after a step depend on, besides the photos and the machine.

    Attributes:
        model: "grid" or "transformer".
        steps: how many steps of the optimiser.
        batch: photos a step, over all processes.
        size: pixels of the longer side of what is trained on.
        content_weight: of `ContentLoss`.
        style_weight: of `StyleLoss`.
        photorealism_weight: of `PhotorealismLoss`.
        edge_weight: of 1 less `metrics.edge_similarity`.
        tv_weight: of `tv_loss`.
        held_out: how many photos are kept for validation.
        precision: of VGG and of the TransformerNet: "float32" or "bfloat16".
        seed: of whatever is random.
    """

    model: str = "grid"
    steps: int = 1500
    batch: int = 4
    size: int = 384
    content_weight: float = 0.02
    style_weight: float = 1.0
    photorealism_weight: float = 100.0
    edge_weight: float = 0.5
    tv_weight: float = 0.0
    held_out: int = 8
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in NETWORKS:
            raise ValueError(f"the model is {self.model!r}; it must be {' or '.join(NETWORKS)}.")
        for name, least in (("steps", 1), ("batch", 1), ("size", 64), ("held_out", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"{name} is {value}; it must be a whole number of at least {least}."
                )
        for name, weight in self.weights().items():
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"{name}_weight is {weight}; it must be a number of at least 0.")
        if not any(self.weights().values()):
            raise ValueError("the weights are all 0; at least one must be above.")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}; it must be float32 or bfloat16.")

    def weights(self) -> dict[str, float]:
        """The weights of the losses."""
        return {
            "content": self.content_weight,
            "style": self.style_weight,
            "photorealism": self.photorealism_weight,
            "edge": self.edge_weight,
            "tv": self.tv_weight,
        }


@dataclass(frozen=True)
class TrainingProgress:
    """What a callback is told: while photos are read, after each step and each validation.

    Attributes:
        stage: "read", "step" or "validate".
        done: photos read, or steps done.
        total: of how many.
        losses: of the step, and their weighted sum, total.
        metrics: of the validation: style_distance, edge_ssim and residual, means over the photos
            held out, and the same of the linear colour transfer as linear_….
    """

    stage: str
    done: int
    total: int
    losses: dict[str, float]
    metrics: dict[str, float]


def train(
    style: Source,
    photos: str | os.PathLike[str] | Sequence[Source],
    *,
    output: str | os.PathLike[str] | None = None,
    model: str = "grid",
    steps: int = Settings.steps,
    batch: int = Settings.batch,
    accumulate: int = 1,
    size: int = Settings.size,
    content_weight: float = Settings.content_weight,
    style_weight: float = Settings.style_weight,
    photorealism_weight: float = Settings.photorealism_weight,
    edge_weight: float = Settings.edge_weight,
    tv_weight: float = Settings.tv_weight,
    held_out: int = Settings.held_out,
    validate_steps: int | None = None,
    checkpoint_steps: int = 200,
    log: str | os.PathLike[str] | None = None,
    tensorboard: bool = False,
    resume: bool = False,
    license: str = "",
    precision: str | None = None,
    device: str | torch.device | None = None,
    seed: int = 0,
    callback: Callable[[TrainingProgress], None] | None = None,
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
        model: "grid" is `BilateralGridNet`, "transformer" `TransformerNet`.
        steps: of the optimiser.
        batch: photos a step, over all processes.
        accumulate: in how many parts each process takes its share of the batch, to save memory.
        size: pixels of the longer side of what it is trained on, at most.
        content_weight: of `ContentLoss`.
        style_weight: of `StyleLoss`; the content's own is about 1.
        photorealism_weight: of `PhotorealismLoss`.
        edge_weight: of 1 less `metrics.edge_similarity`.
        tv_weight: of `tv_loss`.
        held_out: how many photos, evenly spread over the list, are kept for validation.
        validate_steps: steps between validations; None is a fifth of the steps.
        checkpoint_steps: steps between checkpoints; one is written every minute, too.
        log: a folder for the losses (losses.jsonl) and for the restyled validation photos.
        tensorboard: whether to log for TensorBoard, too, into the same folder.
        resume: whether to go on from the checkpoint.
        license: a note on authors and terms, kept in the model file.
        precision: of the VGG network, and of TransformerNet: "float32" or "bfloat16"; None is
            whichever is faster.
        device: such as "cpu" or "cuda"; None is the GPU if there is one.
        seed: of the weights, photos and cuts.
        callback: told of the progress. Ctrl-C (KeyboardInterrupt) leaves a checkpoint.

    Returns:
        The network, ready to be applied, on the CPU.

    Raises:
        ValueError: for an argument that is not as above, with a sentence that names it.
    """
    target = choose_device(device)
    if precision is None:
        precision = "bfloat16" if has_fast_bfloat16(target) else "float32"
    settings = Settings(
        model=model,
        steps=steps,
        batch=batch,
        size=size,
        content_weight=content_weight,
        style_weight=style_weight,
        photorealism_weight=photorealism_weight,
        edge_weight=edge_weight,
        tv_weight=tv_weight,
        held_out=held_out,
        precision=precision,
        seed=seed,
    )
    processes = _Processes(target)
    per_part, rest = divmod(batch, accumulate * processes.count)
    if accumulate < 1 or rest:
        raise ValueError(
            f"the batch is {batch}; it must be a multiple of accumulate × processes, which is "
            f"{accumulate} × {processes.count}."
        )
    checkpoint = _check_paths(output, log, tensorboard, resume)
    tell = callback or (lambda progress: None)

    example = resize(load_image(style, "style"), size)
    chosen = find_photos(photos)
    read = []
    for number, photo in enumerate(read_photos(chosen, size), start=1):
        read.append(photo)
        tell(TrainingProgress("read", number, len(chosen), {}, {}))
    training, validation = _hold_out([photo for photo in read if photo is not None], held_out, size)
    run = _Run(settings, example, training, processes, per_part, accumulate)
    if resume:
        assert checkpoint is not None
        run.restore(checkpoint)
    records = TrainingLog(log if processes.first else None, tensorboard, run.step)
    every = validate_steps or max(1, steps // 5)
    saved = time.monotonic()
    try:
        while run.step < steps:
            losses = run.advance()
            records.losses(run.step, losses)
            tell(TrainingProgress("step", run.step, steps, losses, {}))
            due = run.step % checkpoint_steps == 0 or time.monotonic() - saved > _CHECKPOINT_SECONDS
            if due and checkpoint is not None and processes.first:
                run.save(checkpoint)
                saved = time.monotonic()
            if validation and processes.first and (run.step % every == 0 or run.step == steps):
                values = validate(run.network, validation, example, records, run.step)
                tell(TrainingProgress("validate", run.step, steps, {}, values))
    except KeyboardInterrupt:
        if checkpoint is not None and processes.first:
            run.save(checkpoint)
        raise
    finally:
        records.close()
        run.close()
    network = run.network.cpu().eval()
    if output is not None and processes.first:
        about = {"training": asdict(settings), "photos": len(training), "license": license}
        save_model(network, output, about)
        assert checkpoint is not None
        checkpoint.unlink(missing_ok=True)
    return network


def _check_paths(
    output: str | os.PathLike[str] | None,
    log: str | os.PathLike[str] | None,
    tensorboard: bool,
    resume: bool,
) -> Path | None:
    """The checkpoint's path, after a look at all paths."""
    if tensorboard and log is None:
        raise ValueError("tensorboard is on, but there is no log folder; give one.")
    if output is None:
        if resume:
            raise ValueError("resume is on, but there is no output whose checkpoint it could be.")
        return None
    path = Path(output)
    if path.suffix != ".safetensors":
        raise ValueError(f"the output {path} must end in .safetensors.")
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"the output {path} must be a file in a folder that exists.")
    checkpoint = path.with_suffix(".checkpoint")
    if resume and not checkpoint.is_file():
        raise ValueError(f"there is no checkpoint {checkpoint} to resume from; start without.")
    return checkpoint


def _hold_out(photos: list[Tensor], count: int, size: int) -> tuple[list[Tensor], list[Tensor]]:
    """The photos to train on, uint8, and those to validate with, in [0, 1], at the size."""
    if not photos:
        raise ValueError("none of the photos can be read; give at least one that can.")
    count = min(count, len(photos) // (1 + _TRAINED_FOR_EACH_HELD_OUT))
    held = {(2 * i + 1) * len(photos) // (2 * count) for i in range(count)}
    training = [photo for i, photo in enumerate(photos) if i not in held]
    return training, [resize(photos[i].float() / 255, size) for i in sorted(held)]


class _Processes:
    """This process among those of ``torchrun``, or alone."""

    def __init__(self, device: torch.device) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.first = self.rank == 0
        self.device = device
        if self.count == 1:
            return
        if device.type == "cuda":
            self.device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(self.device)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def mean(self, values: Tensor) -> Tensor:
        if self.count > 1:
            dist.all_reduce(values)
        return values / self.count


class Criterion:
    """The losses of a batch of restyled photos, means over the photos.

    Args:
        style: the style photo, (3, H, W) in [0, 1].
        settings: whose weights and precision it takes; losses of weight 0 are not computed.
    """

    def __init__(self, style: Tensor, settings: Settings, device: torch.device) -> None:
        self.style = style.to(device)
        self.weights = {name: weight for name, weight in settings.weights().items() if weight > 0}
        dtype = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
        self.vgg = VGGFeatures(CONTENT_LAYERS + STYLE_LAYERS, dtype=dtype).to(device)
        self._style_losses: dict[torch.Size, StyleLoss] = {}

    def __call__(self, contents: Tensor, results: Tensor) -> dict[str, Tensor]:
        """The losses, and their weighted sum as total.

        Args:
            contents: (B, 3, H, W) in [0, 1].
            results: restyled; a little may lie outside [0, 1], which costs.

        Returns:
            Scalars by name.
        """
        with torch.no_grad():
            before = self.vgg(contents)
        after = self.vgg(results.clamp(0, 1))
        sums: dict[str, Tensor] = {name: results.new_zeros(()) for name in self.weights}
        # What lies beyond is lost when the photo is saved.
        sums["range"] = (results - results.clamp(0, 1)).square().mean()
        for i, (content, result) in enumerate(zip(contents, results, strict=True)):
            own = {layer: x[i : i + 1] for layer, x in before.items()}
            features = {layer: x[i : i + 1] for layer, x in after.items()}
            for name in self.weights:
                loss = self._loss(name, own, features, content, result)
                sums[name] = sums[name] + loss / len(contents)
        weights = {**self.weights, "range": _RANGE_WEIGHT}
        total = torch.stack([weights[name] * loss for name, loss in sums.items()]).sum()
        return {**sums, "total": total}

    def _loss(
        self, name: str, own: Features, features: Features, content: Tensor, result: Tensor
    ) -> Tensor:
        if name == "content":
            return ContentLoss(own)(features)
        if name == "style":
            return self._style_loss(content.shape, own)(features)
        if name == "photorealism":
            return PhotorealismLoss(content)(result)
        if name == "edge":
            return 1 - metrics.edge_similarity(result.clamp(0, 1), content)
        return tv_loss(result)

    @torch.no_grad()
    def _style_loss(self, shape: torch.Size, content: Features) -> StyleLoss:
        """For a content of this shape; the style photo has the same longer side."""
        if shape not in self._style_losses:
            style = resize(self.style, max(shape))
            height, width = shape[-2:]
            self._style_losses[shape] = StyleLoss(
                content,
                self.vgg(style[None]),
                style.new_ones(1, height, width),
                torch.ones_like(style[:1]),
            )
        return self._style_losses[shape].for_content(content)


class _Run:
    """A network, its optimiser, and where the training stands."""

    def __init__(
        self,
        settings: Settings,
        style: Tensor,
        photos: Sequence[Tensor],
        processes: _Processes,
        per_part: int,
        accumulate: int,
    ) -> None:
        self.settings, self.photos, self.processes = settings, photos, processes
        self.per_part, self.accumulate = per_part, accumulate
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            network: nn.Module = NETWORKS[settings.model]()
        network.set_style(style)  # type: ignore[operator]
        self.network = network.to(processes.device)
        self.parallel: nn.Module = self.network
        if processes.count > 1:
            self.parallel = DistributedDataParallel(self.network)
        self.criterion = Criterion(style, settings, processes.device)
        groups = [
            {"params": [parameter], "scale": _RATES.get(name, 1.0)}
            for name, parameter in self.network.named_parameters()
        ]
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.999))
        self.step = 0
        digest = hashlib.sha256(style.numpy().tobytes())
        for photo in photos:
            digest.update(photo.numpy().tobytes())
        self.identity = {**asdict(settings), "photos": digest.hexdigest()}
        self._reader = ThreadPoolExecutor(1)
        self._next: Any = None

    def _batch(self, step: int) -> list[Tensor]:
        """The parts of this process's share of a step's photos."""
        shape = step_shape(self.settings.seed, step, self.settings.size)
        share = self.accumulate * self.per_part
        first = step * self.settings.batch + self.processes.rank * share
        photos = [sample(self.photos, self.settings.seed, first + i, shape) for i in range(share)]
        return list(torch.split(torch.stack(photos), self.per_part))

    def advance(self) -> dict[str, float]:
        """Takes one step; the losses before it."""
        parts = self._next.result() if self._next else self._batch(self.step)
        self._next = None
        if self.step + 1 < self.settings.steps:
            self._next = self._reader.submit(self._batch, self.step + 1)
        warm_up = min(1.0, (self.step + 1) / _WARM_UP)
        cool_down = 0.5 + 0.5 * math.cos(math.pi * self.step / self.settings.steps)
        rate = _LEARNING_RATE[self.settings.model] * warm_up * cool_down
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.zero_grad()
        device = self.processes.device
        half = self.settings.precision == "bfloat16"
        sums: list[Tensor] = []
        for number, part in enumerate(parts, start=1):
            contents = part.to(device)
            if isinstance(self.parallel, DistributedDataParallel):
                # Gradients are averaged over the processes once a step.
                self.parallel.require_backward_grad_sync = number == len(parts)
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                results = self.parallel(contents)
            losses = self.criterion(contents, results)
            (losses["total"] / len(parts)).backward()  # type: ignore[no-untyped-call]
            sums.append(torch.stack(list(losses.values())).detach())
        values = self.processes.mean(torch.stack(sums).mean(0)).tolist()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return dict(zip(losses, values, strict=True))

    def save(self, path: Path) -> None:
        """Writes the checkpoint."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            state = self.optimizer.state[parameter]
            tensors[f"mean.{name}"] = state["exp_avg"]
            tensors[f"square.{name}"] = state["exp_avg_sq"]
        write_tensors(path, tensors, "checkpoint", {"step": self.step, "training": self.identity})

    def restore(self, path: Path) -> None:
        """Goes on from a checkpoint.

        Raises:
            ValueError: if it is damaged, or of a training with other settings or photos.
        """
        tensors, about = read_tensors(path, "checkpoint")
        for name, value in self.identity.items():
            if (old := about["training"].get(name)) != value:
                what = "photos or another style" if name == "photos" else f"{name} {old}"
                raise ValueError(
                    f"the checkpoint {path} is of a training with other settings ({what}); "
                    "resume with the same, or start without."
                )
        self.step = about["step"]
        prefix = "network."
        self.network.load_state_dict(
            {
                name[len(prefix) :]: value
                for name, value in tensors.items()
                if name.startswith(prefix)
            }
        )
        for name, parameter in self.network.named_parameters():
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(self.step)),
                "exp_avg": tensors[f"mean.{name}"].to(parameter.device),
                "exp_avg_sq": tensors[f"square.{name}"].to(parameter.device),
            }

    def close(self) -> None:
        """Lets go of the thread that reads ahead."""
        self._reader.shutdown(cancel_futures=True)


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
                "style_distance": metrics.style_distance(image, photo, style),
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
