"""A training under way: its network, its optimiser, its processes and its checkpoints."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pydpst.feedforward.criterion import Criterion
from pydpst.feedforward.model_file import read_tensors, write_tensors
from pydpst.feedforward.networks import NETWORKS
from pydpst.feedforward.training_files import ctrl_c_later
from pydpst.feedforward.training_photos import sample, step_shape
from pydpst.feedforward.training_settings import Settings
from pydpst.feedforward.training_state import (
    check_finite,
    restore_state,
    state_fits,
    state_tensors,
    steps_taken,
)

_WARM_UP = 50
_LEARNING_RATE = {"grid": 1.5e-3, "transformer": 1e-3}
# Of a grid's guide, which moves every pixel's transform at once, and of what all grids share.
_RATES = {"mix": 0.3, "knots": 0.3, "slopes": 0.3, "offset": 0.3, "common": 4.0}


class Processes:
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

    def share(self, batch: int, accumulate: int) -> int:
        """How many photos a part has, of a batch that each process takes in so many parts."""
        if accumulate < 1:
            raise ValueError(f"accumulate is {accumulate}; it must be at least 1.")
        per_part, rest = divmod(batch, accumulate * self.count)
        if rest:
            raise ValueError(
                f"the batch is {batch}; it must be a multiple of accumulate × processes, which is "
                f"{accumulate} × {self.count}."
            )
        return per_part

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes of a tensor that each has."""
        if self.count > 1:
            dist.all_reduce(values)
        return values / self.count


class Run:
    """A network, its optimiser, and where the training stands."""

    def __init__(
        self,
        settings: Settings,
        style: Tensor,
        photos: Sequence[Tensor],
        processes: Processes,
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
        digest = hashlib.sha256(style.numpy().tobytes())
        for photo in photos:
            digest.update(photo.numpy().tobytes())
        self.identity = {**asdict(settings), "photos": digest.hexdigest()}
        self._reader = ThreadPoolExecutor(1)
        self._next: Any = None

    @property
    def step(self) -> int:
        """How many steps were taken."""
        return steps_taken(self.network, self.optimizer)

    def _batch(self, step: int) -> list[Tensor]:
        """The parts of this process's share of a step's photos."""
        shape = step_shape(self.settings.seed, step, self.settings.size)
        share = self.accumulate * self.per_part
        first = step * self.settings.batch + self.processes.rank * share
        photos = [sample(self.photos, self.settings.seed, first + i, shape) for i in range(share)]
        return list(torch.split(torch.stack(photos), self.per_part))

    def steps(self) -> Iterator[dict[str, float]]:
        """Takes the steps that are left; the losses before each."""
        while self.step < self.settings.steps:
            yield self.advance()

    def advance(self) -> dict[str, float]:
        """Takes one step; the losses before it.

        Raises:
            FloatingPointError: if losses or gradients are not finite; the step is not taken.
        """
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
        told = dict(zip(losses, values, strict=True))
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        check_finite(self.step + 1, told, float(norm), "give smaller weights")
        with ctrl_c_later():
            self.optimizer.step()
        return told

    def save(self, path: Path) -> None:
        """Writes the checkpoint; before the first step there is nothing to write."""
        if self.step == 0:
            return
        tensors = state_tensors({"network": self.network}, self.optimizer)
        write_tensors(path, tensors, "checkpoint", {"step": self.step, "training": self.identity})

    def restore(self, path: Path) -> None:
        """Goes on from a checkpoint.

        Raises:
            ValueError: if it is damaged, or of a training with other settings or photos.
        """
        tensors, about = read_tensors(path, "checkpoint")
        training = about.get("training")
        for name, value in self.identity.items():
            if isinstance(training, dict) and (old := training.get(name)) != value:
                what = "photos or another style" if name == "photos" else f"{name} {old}"
                raise ValueError(
                    f"the checkpoint {path} is of a training with other settings ({what}); "
                    "resume with the same, or start without."
                )
        step: Any = about.get("step")
        counts = type(step) is int and 0 < step <= self.settings.steps
        networks = {"network": self.network}
        if not (counts and isinstance(training, dict) and state_fits(tensors, networks)):
            raise ValueError(f"the checkpoint {path} is damaged; start without --resume.")
        restore_state(tensors, networks, self.optimizer, step)

    def close(self) -> None:
        """Lets go of the thread that reads ahead."""
        self._reader.shutdown(cancel_futures=True)
