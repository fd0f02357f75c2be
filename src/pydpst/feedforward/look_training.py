"""Training the network that reads looks."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pydpst.feedforward.look_criterion import look_losses
from pydpst.feedforward.look_cuts import Album
from pydpst.feedforward.look_pairs import look_batch
from pydpst.feedforward.model_file import read_tensors, write_tensors
from pydpst.feedforward.search_criterion import SearchCriterion
from pydpst.feedforward.training_files import ctrl_c_later
from pydpst.feedforward.training_photos import random_generator
from pydpst.feedforward.training_state import (
    check_finite,
    restore_state,
    state_fits,
    state_tensors,
    steps_taken,
)
from pydpst.losses.vgg import has_fast_bfloat16
from pydpst.reading.network import LookReader


@dataclass(frozen=True)
class Lesson:
    """A part of the training; the learning rate rises and falls over it.

    Attributes:
        first: its first step.
        steps: how many there are.
        rate: the largest.
        warm_up: over so many steps it rises.
        average: how much of the running average of the weights (Polyak and Juditsky 1992) stays at
            a step.
    """

    first: int
    steps: int
    rate: float
    warm_up: int
    average: float

    def rate_at(self, step: int) -> float:
        """The learning rate of the training's step number `step`."""
        done = step - self.first
        fall = 0.5 + 0.5 * math.cos(math.pi * done / self.steps)
        return self.rate * min(1.0, (done + 1) / self.warm_up) * fall

    def average_at(self, step: int) -> float:
        """How much of the average stays after that step."""
        done = step - self.first
        return min(self.average, (done + 1) / (done + 20))


class ReaderTraining:
    """A network, its optimiser, and where the training stands.

    The first five sixths of the steps teach looks, at little cost a step. In the last sixth photos
    of different scenes are also judged as `stylize` judges them, by VGG-16 (`SearchCriterion`).
    What is kept is halfway between the weights before and after these: it has nearly all that they
    teach, and forgets less of looks (Wortsman et al. 2022, "Robust fine-tuning").

    Every photo, cut and look comes from the seed and the step alone, so that a training that was
    killed and resumed gives the weights of one that was not.

    Args:
        photos: (3, H, W), uint8; at least as many as a step has.
        maps: for each photo the probabilities of kinds of thing, (G, h, w).
        steps: how many there will be; the learning rate falls to 0 twice.
        seed: of weights, photos, cuts and looks.
        start: a network that knows looks already: then all steps are as the last sixth.
        batch: photos of a step, at least two.
        device: where it is trained. The first weights, photos, cuts and looks are those of the CPU;
            grain and the colours that are compared are others.

    Attributes:
        network: in training.
        average: the running average of its weights.
        before: that before the last sixth of the steps.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        maps: Sequence[Tensor],
        steps: int,
        seed: int,
        start: LookReader | None = None,
        batch: int = 8,
        device: torch.device = torch.device("cpu"),  # noqa: B008
    ) -> None:
        self.steps, self.seed, self.batch, self.device = steps, seed, batch, device
        self._album = Album(photos, maps, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = LookReader().train()
        if start is not None:
            self.network.load_state_dict(start.state_dict())
        self.network.to(device)
        self.average = copy.deepcopy(self.network).eval()
        self.before = copy.deepcopy(self.average)
        tuned = steps if start is not None else max(1, steps // 6)
        self._looks = Lesson(0, steps - tuned, 2e-3, 200, 0.998)
        self._tuning = Lesson(steps - tuned, tuned, 1e-3, 50, 0.995)
        self._criterion = SearchCriterion(device)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 2e-3, weight_decay=0.02)
        self.half = has_fast_bfloat16(device)
        self.identity = {
            "steps": steps,
            "seed": seed,
            "batch": batch,
            "photos": _digest(photos),
            "start": "" if start is None else _digest(start.state_dict().values()),
        }

    @property
    def step(self) -> int:
        """How many steps were taken."""
        return steps_taken(self.network, self.optimizer)

    def advance(self) -> dict[str, float]:
        """Takes one step; the losses before it.

        Raises:
            FloatingPointError: if losses or gradients are not finite; the step is not taken.
        """
        step = self.step
        tunes = step >= self._tuning.first
        lesson = self._tuning if tunes else self._looks
        if step == self._tuning.first:
            for network in (self.network, self.before):
                network.load_state_dict(self.average.state_dict())
        batch = look_batch(self._album, self.seed, step, self.batch)
        for group in self.optimizer.param_groups:
            group["lr"] = lesson.rate_at(step)
        self.optimizer.zero_grad()
        generator = random_generator(self.seed, 4, step, device=self.device)
        criterion = self._criterion if tunes else None
        losses = look_losses(self.network, batch, generator, self.half, criterion)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        # In one transfer: each waits for the device.
        *values, length = torch.stack([*losses.values(), norm]).detach().tolist()
        told = dict(zip(losses, values, strict=True))
        check_finite(step + 1, told, length, "try another seed")
        with ctrl_c_later():
            self.optimizer.step()
            _follow(self.average, self.network, lesson.average_at(step))
        return told

    def result(self) -> LookReader:
        """What is kept of the training so far, on its device."""
        found = copy.deepcopy(self.average)
        if self.step > self._tuning.first:
            _follow(found, self.before, 0.5)
        return found

    def save(self, path: Path) -> None:
        """Writes the checkpoint; before the first step there is nothing to write."""
        if self.step == 0:
            return
        tensors = state_tensors(self._networks(), self.optimizer)
        write_tensors(path, tensors, "checkpoint", {"step": self.step, "training": self.identity})

    def restore(self, path: Path) -> None:
        """Goes on from a checkpoint.

        Raises:
            ValueError: if it is damaged, or of a training with other settings or photos.
        """
        tensors, about = read_tensors(path, "checkpoint")
        if about.get("training") != self.identity:
            raise ValueError(
                f"the checkpoint {path} is of a training with other steps, seed, batch, photos or "
                "start; move it away, or train with the same."
            )
        step: Any = about.get("step")
        networks = self._networks()
        counts = type(step) is int and 0 < step <= self.steps
        if not (counts and state_fits(tensors, networks)):
            raise ValueError(f"the checkpoint {path} is damaged; move it away.")
        restore_state(tensors, networks, self.optimizer, step)

    def _networks(self) -> dict[str, nn.Module]:
        return {"network": self.network, "average": self.average, "before": self.before}


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, share: float) -> None:
    """Moves an average of weights towards a network's; so much of it stays."""
    mine, theirs = average.state_dict(), network.state_dict()
    names = [name for name, value in mine.items() if value.is_floating_point()]
    values, new = ([weights[name] for name in names] for weights in (mine, theirs))
    torch._foreach_lerp_(values, new, 1 - share)


def _digest(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
