"""The search for the grade that gives a photo the style of another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.losses.aesthetic import Aesthetics
from pydpst.losses.content import CONTENT_LAYERS, ContentLoss
from pydpst.losses.gram import pixel_features
from pydpst.losses.photorealism import PhotorealismLoss
from pydpst.losses.remembered import Remembered
from pydpst.losses.style import STYLE_LAYERS, StyleLoss
from pydpst.losses.total_variation import tv_loss
from pydpst.losses.vgg import VGGFeatures, quick_dtype
from pydpst.matting.guided import EnlargedPlanes
from pydpst.ops import grade_apply
from pydpst.photos.resizing import resize
from pydpst.transfer.descent import Descent
from pydpst.transfer.full_size import Colours, graded
from pydpst.transfer.grade import Grade, identity_maps
from pydpst.transfer.grade_costs import BlackPoint, GradeCosts, GreenCast
from pydpst.transfer.grade_maps import RegionMaps
from pydpst.transfer.look import INITS, Look
from pydpst.transfer.matches import Matches, find_matches
from pydpst.transfer.near_reading import NearReading
from pydpst.transfer.pair import Pair
from pydpst.transfer.planning import grade_levels
from pydpst.transfer.read_look import read_regions

COSTS = {
    "roughness": 1.0,
    "distance": 0.02,
    "hues": 0.05,
    "falling": 10.0,
    "inversion": 3.0,
    "noise": 2.0,
    "green": 10.0,
    "overshoot": 10.0,
    "blacks": 20.0,
    "reading": 20.0,
    "matches": 20000.0,
}
# How far blacks follow those of a style that are deeper; all the way turns colours in the shade.
_DEEPENED = 0.5
# A level's shorter side, at least: the deepest layer halves it four times.
_LEAST_SIDE = 32
# Costs of single colours are taken of about so many a side.
_SAMPLE_SIDE = 120
# Masks that are nowhere do not divide by 0.
_FAINT = 1e-6
# Two photos are one if copies of this side differ by less than so many levels of 8 bits; regions
# that are found twice, if they differ by less than this share.
_COPY_SIDE, _SAME_LEVELS, _SAME_SHARE = 32, 2, 0.2
# Features of the style at both sizes, which the photos of a folder share.
_styles = Remembered[dict[str, Tensor]](2)
# A level ends when its loss fell by less than this share over so many steps.
_STALLED = 2e-3
_PATIENCE = 6


class GradeSearch:
    """The search for a grade, as `stylize` does it."""

    def __init__(self, pair: Pair, look: Look) -> None:
        self._pair, self._look = pair, look
        self._shared = pair.masks[: pair.regions.shared]
        self.grade = Grade(identity_maps(len(self._shared)).to(pair.content))

    def steps(self) -> Iterator[dict[str, float]]:
        """Yields the losses before each step; the best grade so far is kept."""
        pair, look = self._pair, self._look
        device = pair.content.device
        dtype = quick_dtype(device)
        found = find_grade(
            pair.content,
            pair.style,
            self._shared,
            pair.style_masks,
            VGGFeatures(CONTENT_LAYERS + STYLE_LAYERS, dtype=dtype).to(device),
            weights=look.weights(),
            whole_share=pair.whole_share,
            guessed=pair.guessed,
            steps=look.most_steps,
            init=look.init or INITS["grade"][0],
        )
        for grade, losses in found:
            self.grade = grade
            yield losses

    def finish(self, complete: bool) -> None:
        """Does nothing: a grade is a recolouring already."""

    def image(self) -> Tensor:
        """The best so far at the working size, (3, h, w) in [0, 1]."""
        return self.grade.apply(self._pair.content, self._shared)

    def colours(self) -> Colours:
        """The same for the photo as it is."""
        pair = self._pair
        masks = EnlargedPlanes(pair.content, pair.masks, pair.photo.pixels.shape[1])
        return graded(self.grade.maps, masks)


def find_grade(
    content: Tensor,
    style: Tensor,
    masks: Tensor,
    style_masks: Tensor,
    vgg: VGGFeatures,
    *,
    weights: Mapping[str, float],
    whole_share: float = 0.0,
    guessed: bool = True,
    steps: int = 30,
    init: str = "color",
) -> Iterator[tuple[Grade, dict[str, float]]]:
    """Finds the grade, step by step, from small copies of the photos to larger ones.

    Deviation from Luan et al. 2017: what is found is not the pixels but one colour map a region,
    so the result is a recolouring by construction and of no resolution.

    Args:
        content: (3, H, W) in [0, 1], at the working size.
        style: (3, H', W'), likewise.
        masks: (R, H, W), soft, in [0, 1].
        style_masks: (R, H', W').
        vgg: gives CONTENT_LAYERS and STYLE_LAYERS.
        weights: of the losses style, content, photorealism, tv and aesthetic.
        whole_share: as for `losses.StyleLoss`.
        guessed: whether nobody has said what is to look like what: then hues are kept near those
            that the network of `match` reads.
        steps: how many, at most, over all sizes.
        init: where to start, as `Look.init` of a grade.

    Yields:
        After each step the best grade so far, and the losses of the step and their weighted sum
        with the costs, total. The first comes before any step: the start.
    """
    if _is_same(content, style, masks, style_masks):
        yield Grade(identity_maps(len(masks)).to(content)), {"total": 0.0}
        return
    maps = RegionMaps(content, style, masks, style_masks)
    matches = find_matches(content, style, masks, style_masks)
    if init == "content":
        maps.start = torch.eye(3, 4).to(content).expand_as(maps.start)
    elif matches is not None:
        maps.start = matches.start(content, style).view_as(maps.start[:1]).expand_as(maps.start)
    costs = GradeCosts(maps.shares, content, masks)
    samples = (sample(content), sample(masks)), (sample(style), sample(style_masks))
    near = None
    if guessed and matches is None:
        near = NearReading(read_regions(content, style, masks, style_masks), *samples[0])
    theta = maps.zeros()
    descent = Descent(theta.flatten())
    aesthetics = Aesthetics(content.device) if weights["aesthetic"] > 0 else None
    for size, share in grade_levels(steps):
        level = Level(content, style, masks, style_masks, size, vgg, whole_share, aesthetics)
        objective = Objective(level, maps, costs, *samples, near, matches, weights)
        descent.start_over()
        for losses in _descend(descent, objective, share, theta.shape):
            yield Grade(maps(descent.best.view_as(theta))), losses
        if level.size >= max(content.shape[-2:]):
            return


def _is_same(content: Tensor, style: Tensor, masks: Tensor, style_masks: Tensor) -> bool:
    """Whether both are one photo, and its regions are to look like themselves."""
    aspects = [x.shape[-1] / x.shape[-2] for x in (content, style)]
    if abs(aspects[0] / aspects[1] - 1) > 0.02:
        return False
    size = (_COPY_SIDE, _COPY_SIDE)
    both = [
        F.interpolate(torch.cat(planes)[None], size, mode="area")[0]
        for planes in ((content, masks), (style, style_masks))
    ]
    change = (both[0] - both[1]).abs()
    return bool(
        change[:3].max() < _SAME_LEVELS / 255 and change[3:].mean((1, 2)).max() < _SAME_SHARE
    )


def sample(planes: Tensor) -> Tensor:
    """Pixels of a grid over planes (C, H, W), as they are: small copies have no extremes."""
    stride = max(1, max(planes.shape[-2:]) // _SAMPLE_SIDE)
    return planes[:, ::stride, ::stride].contiguous()


class Level:
    """The photos and masks at one size, and the losses there."""

    def __init__(
        self,
        content: Tensor,
        style: Tensor,
        masks: Tensor,
        style_masks: Tensor,
        size: int,
        vgg: VGGFeatures,
        whole_share: float,
        aesthetics: Aesthetics | None,
    ) -> None:
        sides = content.shape[-2:]
        # A panorama's small copy must not become a thread.
        self.size = max(size, math.ceil(_LEAST_SIDE * max(sides) / min(sides)))
        self.vgg = vgg
        self._aesthetics = aesthetics
        self.content = resize(content, self.size)
        self.masks = _fitted(masks, self.content)
        style_sides = style.shape[-2:]
        style_size = max(size, math.ceil(_LEAST_SIDE * max(style_sides) / min(style_sides)))
        small_style = resize(style, style_size)

        def features_of(photo: Tensor) -> dict[str, Tensor]:
            features: dict[str, Tensor] = vgg(photo[None])
            return features | pixel_features(photo)

        with torch.no_grad():
            own = features_of(self.content)
            wanted = _styles(features_of, small_style, (vgg.layers, vgg.dtype))
        self._content_loss = ContentLoss(own)
        small_masks = _fitted(style_masks, small_style).clamp_min(_FAINT)
        self._style_loss = StyleLoss(
            own, wanted, self.masks.clamp_min(_FAINT), small_masks, whole_share
        )
        self._photorealism_loss = PhotorealismLoss(self.content)
        self.laplacian = self._photorealism_loss.laplacian

    def losses(self, image: Tensor) -> dict[str, Tensor]:
        """The losses of an image (3, h, w) in [0, 1] of this level's size."""
        features = self.vgg(image[None]) | pixel_features(image)
        found = {
            "style": self._style_loss(features),
            "content": self._content_loss(features),
            "photorealism": self._photorealism_loss(image),
            "tv": tv_loss(image),
        }
        if self._aesthetics is not None:
            found["aesthetic"] = self._aesthetics.loss(image)
        return found


def _fitted(masks: Tensor, photo: Tensor) -> Tensor:
    return F.interpolate(masks[None], photo.shape[-2:], mode="area")[0]


class Objective:
    """Losses and costs of θ at one level."""

    def __init__(
        self,
        level: Level,
        maps: RegionMaps,
        costs: GradeCosts,
        sample: tuple[Tensor, Tensor],
        style_sample: tuple[Tensor, Tensor],
        near: NearReading | None,
        matches: Matches | None,
        weights: Mapping[str, float],
    ) -> None:
        self._level, self._maps, self._costs, self._sample = level, maps, costs, sample
        self._near, self._matches = near, matches
        self._weights = {**weights, **COSTS}
        self._green = GreenCast(maps.start, *sample, *style_sample)
        self._blacks = BlackPoint(sample[0], style_sample[0], _DEEPENED)

    def __call__(self, theta: Tensor) -> dict[str, Tensor]:
        """The losses, and their weighted sum with the costs as total."""
        level, maps = self._level, self._maps(theta)
        image = grade_apply(maps[None], level.masks[None], level.content[None])[0]
        losses = level.losses(image.clamp(0, 1))
        costs = self._costs(theta, maps)
        pixels, masks = self._sample
        colors = grade_apply(maps[None], masks[None], pixels[None])[0]
        costs["green"] = self._green(colors)
        costs["blacks"] = self._blacks(colors)
        if self._near is not None:
            costs["reading"] = self._near(colors)
        costs["overshoot"] = (colors - colors.clamp(0, 1)).square().mean()
        if self._matches is not None:
            costs["matches"] = self._matches.loss(maps)
        both = losses | costs
        total = torch.stack([self._weights[name] * value for name, value in both.items()]).sum()
        weighted = {name: value for name, value in losses.items() if self._weights[name] > 0}
        return {**weighted, "total": total}


def _descend(
    descent: Descent, objective: Objective, steps: int, shape: torch.Size
) -> Iterator[dict[str, float]]:
    """Yields the losses of each θ that was looked at, as the descent goes on."""
    history = [math.inf]
    for _ in range(steps):
        point = descent.point.clone().requires_grad_()
        losses = objective(point.view(shape))
        values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
        (gradient,) = torch.autograd.grad(losses["total"], point)
        descent.tell(values["total"], gradient)
        history.append(descent.value)
        yield values
        if _has_stalled(history):
            return


def _has_stalled(history: list[float]) -> bool:
    """Whether a falling loss has all but stopped."""
    before = history[-1 - _PATIENCE] if len(history) > _PATIENCE else math.inf
    return before - history[-1] < _STALLED * before
