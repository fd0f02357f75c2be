"""Luan's optimisation: every pixel is free, and held by the photorealism loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.losses.aesthetic import Aesthetics
from pydpst.losses.content import CONTENT_LAYERS, ContentLoss
from pydpst.losses.gram import pixel_features
from pydpst.losses.photorealism import PhotorealismLoss
from pydpst.losses.style import STYLE_LAYERS, StyleLoss
from pydpst.losses.total_variation import tv_loss
from pydpst.losses.vgg import VGGFeatures, quick_dtype
from pydpst.matting.guided import carry_to_size
from pydpst.photos.resizing import resize
from pydpst.transfer.finish import smoothed
from pydpst.transfer.full_size import Colours, enlarged, recoloured
from pydpst.transfer.grade import Grade
from pydpst.transfer.grade_search import GradeSearch
from pydpst.transfer.linear import transfer_color
from pydpst.transfer.look import Look
from pydpst.transfer.pair import Pair
from pydpst.transfer.planning import level_sizes, level_steps

# Noise is far from any photo: the way there takes longer strides.
_LEARNING_RATES = {"grade": 0.015, "color": 0.015, "content": 0.015, "noise": 0.12}

Losses = dict[str, float]


class Level:
    """Photos and masks scaled down to one level."""

    def __init__(
        self, content: Tensor, style: Tensor, masks: Tensor, style_masks: Tensor, size: int
    ) -> None:
        self.content = resize(content, size)
        self.style = resize(style, size)
        self.masks = F.interpolate(masks[None], self.content.shape[-2:], mode="area")[0]
        self.style_masks = F.interpolate(style_masks[None], self.style.shape[-2:], mode="area")[0]


class Objective:
    """The weighted losses of an image; those of weight 0 are not computed."""

    def __init__(
        self,
        vgg: VGGFeatures,
        weights: dict[str, float],
        level: Level,
        whole_share: float = 0.0,
    ) -> None:
        self.vgg = vgg
        self.weights = {name: weight for name, weight in weights.items() if weight > 0}
        with torch.no_grad():
            content, style = (
                vgg(photo[None]) | pixel_features(photo) for photo in (level.content, level.style)
            )
        if "aesthetic" in self.weights:
            self.aesthetics = Aesthetics(level.content.device)
        self.guide = level.content
        self.content = ContentLoss(content)
        self.style = StyleLoss(content, style, level.masks, level.style_masks, whole_share)
        self.photorealism = PhotorealismLoss(level.content)

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """The losses of an image (3, H, W), and their weighted sum as total."""
        features = self.vgg(image[None]) | pixel_features(image)
        terms: dict[str, Callable[[], Tensor]] = {
            "content": lambda: self.content(features),
            "style": lambda: self.style(features),
            "photorealism": lambda: self.photorealism(image),
            "tv": lambda: tv_loss(image),
            "aesthetic": lambda: self.aesthetics.loss(image),
        }
        losses = {name: terms[name]() for name in self.weights}
        total = torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()
        return {**losses, "total": total}

    @torch.no_grad()
    def smoothed_if_better(self, image: Tensor) -> Tensor:
        """`smoothed`, if that makes it more of a photo and takes nothing of the style."""
        if not {"style", "photorealism"} <= set(self.weights):
            return image
        smooth = smoothed(self.guide, image)
        before, after = self(image), self(smooth)
        better = (
            after["photorealism"] < before["photorealism"] and after["style"] <= before["style"]
        )
        return smooth if better else image


def descend(
    objective: Objective, start: Tensor, steps: int, rate: float = _LEARNING_RATES["color"]
) -> Iterator[tuple[Tensor, Losses]]:
    """Yields after each of the steps the best image so far, and the losses before the step."""
    image = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([image], betas=(0.9, 0.99))
    best, least = start, math.inf
    for step in range(steps):
        warm_up = min(1.0, (step + 1) / 5)
        cool_down = 0.5 + 0.5 * math.cos(math.pi * step / steps)
        optimizer.param_groups[0]["lr"] = rate * warm_up * cool_down
        optimizer.zero_grad()
        losses = objective(image)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
        if values["total"] < least:
            best, least = image.detach().clone(), values["total"]
        optimizer.step()
        with torch.no_grad():
            image.clamp_(0, 1)
        yield best, values


class PixelSearch:
    """The search for the pixels of a look, from coarse to fine.

    Deviations from Luan et al. 2017: starts from a grade (see `GradeSearch`) or a linear colour
    transfer instead of noise, goes from coarse to fine, and takes Adam instead of L-BFGS; so a
    tenth of the steps are enough.
    """

    def __init__(self, pair: Pair, look: Look) -> None:
        self.grade: Grade | None = None
        self._pair, self._look = pair, look
        shared = pair.masks[: pair.regions.shared]
        self._levels = [
            Level(pair.content, pair.style, shared, pair.style_masks, size)
            for size in level_sizes(max(pair.content.shape[-2:]))
        ]
        self._init = look.init or "grade"
        self._guide = self._best = self._levels[0].content
        self._objective: Objective | None = None

    def steps(self) -> Iterator[Losses]:
        """Yields the losses before each step; the best so far is kept."""
        self._best = self._start()
        device = self._pair.content.device
        dtype = quick_dtype(device)
        vgg = VGGFeatures(CONTENT_LAYERS + STYLE_LAYERS, dtype=dtype).to(device)
        shares = level_steps(self._look.most_steps, len(self._levels))
        rate = _LEARNING_RATES[self._init]
        for level, share in zip(self._levels, shares, strict=True):
            self._best, self._guide = self._carried(level.content), level.content
            self._objective = Objective(vgg, self._look.weights(), level, self._pair.whole_share)
            for best, losses in descend(self._objective, self._best, share, rate):
                self._best = best
                yield losses

    def finish(self, complete: bool) -> None:
        """Smooths the result if the look asks for it, or where it helps."""
        self._best, self._guide = self.image(), self._pair.content
        if self._look.smooth:
            self._best = smoothed(self._guide, self._best)
        elif self._look.smooth is None and complete and self._objective is not None:
            self._best = self._objective.smoothed_if_better(self._best)

    def image(self) -> Tensor:
        """The best so far at the working size, (3, h, w) in [0, 1]."""
        return self._carried(self._pair.content)

    def colours(self) -> Colours:
        """The same for the photo as it is."""
        height, width = self._pair.photo.pixels.shape[-2:]
        if self._paints():
            return enlarged(self.image(), height, width)
        return recoloured(self._pair.content, self.image(), height)

    def _paints(self) -> bool:
        """Whether the result need not be a recolouring of the content."""
        return self._look.weights()["photorealism"] == 0

    def _carried(self, content: Tensor) -> Tensor:
        """The best so far at the size of a content."""
        if self._best.shape == content.shape:
            return self._best
        if self._paints():
            size = content.shape[-2:]
            return F.interpolate(self._best[None], size, mode="bicubic")[0].clamp(0, 1)
        return carry_to_size(self._guide, self._best, content).clamp(0, 1)

    def _start(self) -> Tensor:
        level = self._levels[0]
        if self._init == "grade":
            grade = GradeSearch(self._pair, Look())
            for _ in grade.steps():
                pass
            return resize(grade.image(), max(level.content.shape[-2:]))
        if self._init == "color":
            return transfer_color(level.content, level.style, level.masks, level.style_masks)
        if self._init == "content":
            return level.content
        generator = torch.Generator().manual_seed(self._look.seed)
        return torch.rand(level.content.shape, generator=generator).to(level.content.device)
