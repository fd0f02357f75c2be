"""Deep photo style transfer by optimisation (Luan et al. 2017): `stylize`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.losses.content import CONTENT_LAYERS, ContentLoss
from pydpst.losses.gram import pixel_features
from pydpst.losses.photorealism import PhotorealismLoss
from pydpst.losses.style import STYLE_LAYERS, StyleLoss
from pydpst.losses.total_variation import tv_loss
from pydpst.losses.vgg import VGGFeatures, has_fast_bfloat16
from pydpst.matting.guided import carry_to_size
from pydpst.ops import choose_device
from pydpst.photos.image import Source, load_image
from pydpst.photos.photo import Photo, open_photo, save_photo
from pydpst.photos.resizing import resize
from pydpst.regions.clusters import REGIONS_SIZE, joint_regions
from pydpst.regions.labels import label_maps
from pydpst.regions.masks import Regions, one_region
from pydpst.transfer.finish import blended, smoothed, strengths_of, with_luminance_of
from pydpst.transfer.full_size import carry_to_photo
from pydpst.transfer.linear import transfer_color
from pydpst.transfer.planning import Plan, level_sizes, level_steps, plan

# How much the photos as a whole count beside regions that were found and may be wrong.
_WHOLE_SHARE = 0.4
# Noise is far from any photo: the way there takes longer strides.
_LEARNING_RATES = {"color": 0.015, "content": 0.015, "noise": 0.12}
_REGIONS = ("auto", "none")


@dataclass(frozen=True)
class Progress:
    """What a callback is told after each step.

    Attributes:
        step: how many steps are done, from 1.
        steps: how many there are.
        losses: the losses of weight above 0, and their weighted sum, total.
        image: gives the best image so far, (3, h, w) in [0, 1], at the working size.
    """

    step: int
    steps: int
    losses: dict[str, float]
    image: Callable[[], Tensor]


@dataclass
class Result:
    """What `stylize` returns.

    Attributes:
        image: (3, H, W), float32, in [0, 1], on the CPU, of the content's own size.
        working: (3, h, w), likewise, at the working size, where the look was found.
        regions: what was styled after what, at the working size.
        photo: the content, with what else its file says.
        losses: for each step the losses of weight above 0, and their weighted sum, total.
        interrupted: whether Ctrl-C ended it before all steps were done.
    """

    image: Tensor
    working: Tensor
    regions: Regions
    photo: Photo
    losses: list[dict[str, float]] = field(default_factory=list)
    interrupted: bool = False

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the image like the content's file (see `pydpst.save_photo`)."""
        save_photo(self.image, path, self.photo)


def stylize(
    content: Source,
    style: Source,
    *,
    content_mask: Source | None = None,
    style_mask: Source | None = None,
    regions: str | Regions = "auto",
    segmentation_model: str | None = None,
    refine_masks: bool = False,
    size: int | None = None,
    steps: int = 100,
    content_weight: float = 0.2,
    style_weight: float = 1.0,
    photorealism_weight: float = 225.0,
    tv_weight: float = 0.0,
    init: str = "color",
    smooth: bool | None = None,
    preserve_luminance: bool = False,
    strength: float | Mapping[str, float] = 1.0,
    lock: Sequence[str] = (),
    device: str | torch.device | None = None,
    seed: int = 0,
    max_memory: int | str | None = None,
    planned: Callable[[Plan], None] | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> Result:
    """Gives a photo the style of another and keeps it a photo (Luan et al. 2017).

    The look is found at a working size, which memory bounds, and then carried to the photo as it is
    (see `full_size.carry_to_photo`).

    Deviations from the paper: starts from a linear colour transfer instead of noise, goes from
    coarse to fine, and takes Adam instead of L-BFGS; so a tenth of the steps are enough.

    Args:
        content: the photo to restyle: a path, PIL image, array or tensor, as for `load_image`.
        style: the photo whose style it gets, likewise.
        content_mask: a label map of the content's regions, in the paper's colours or any flat
            colours or integers: a path, PIL image, array or tensor. Each region takes the style of
            the region of the same label.
        style_mask: the style's; both masks or none.
        regions: without masks: "auto" finds regions that both photos have (see
            `pydpst.regions.clusters.joint_regions`); "none" takes each photo as one. Those found
            before are taken as they are.
        segmentation_model: for "auto", a semantic segmentation model of the transformers library,
            a name or a local folder, instead of clustered features.
        refine_masks: whether to solve for the regions' borders, which then follow hair and
            branches, but take longer.
        size: pixels of the longer side at which the look is found; None is the photo's own, at
            most 1024, or what the memory holds (see `pydpst.plan`). Photos are never enlarged.
        steps: how many steps over all sizes.
        content_weight: of `ContentLoss`.
        style_weight: of `StyleLoss`; the content's own is about 2.
        photorealism_weight: of `PhotorealismLoss`; 0 is plain neural style transfer.
        tv_weight: of `tv_loss`.
        init: where to start: "color", the content recoloured region by region; "content"; "noise".
        smooth: whether to end with the local recolouring of the content that is nearest to the
            result; None does so if it lowers the photorealism loss and not raises the style loss.
        preserve_luminance: keep the content's brightness and take the style's colours only.
        strength: from 0, the content, to 1, the result; a dictionary gives it by region, and those
            that it leaves out have 1. Regions are named by their mask's colours or integers;
            `pydpst segment` shows those found.
        lock: regions that must not change.
        device: such as "cpu", "cuda" or "cuda:1"; None is the GPU if there is one.
        seed: of the noise.
        max_memory: what the process may hold, in bytes or such as "4GB" or "4GiB"; None is what is
            free.
        planned: called with the plan once the photos are read, before the work begins.
        callback: called after each step. Ctrl-C (KeyboardInterrupt), also from within it, ends the
            run with the best image so far.

    Returns:
        The result's image, of the content's own size, and losses.

    Raises:
        ValueError: for an argument that is not as above, with a sentence that names it; also if
            max_memory is too little for the photo.
    """
    weights = {
        "content": content_weight,
        "style": style_weight,
        "photorealism": photorealism_weight,
        "tv": tv_weight,
    }
    _check_arguments(steps, weights, init, regions, content_mask, style_mask)
    _check_strength(strength)
    target = choose_device(device)
    the_plan = plan(content, style, size=size, steps=steps, max_memory=max_memory, device=target)
    size = the_plan.size
    whole_photo = open_photo(content, "content")
    original = whole_photo.pixels
    photo = resize(original, size).to(target)
    original_style = load_image(style, "style")
    example = resize(original_style, size).to(target)
    given = None
    if content_mask is not None and style_mask is not None:
        given = label_maps(original, original_style, content_mask, style_mask, size)
    if planned is not None:
        planned(the_plan)
    if given is not None:
        found = given
    elif isinstance(regions, Regions):
        found = regions
    elif regions == "auto":
        seen = [
            resize(whole, max(size, REGIONS_SIZE)).to(target)
            for whole in (original, original_style)
        ]
        found = joint_regions(seen[0], seen[1], segmentation_model)
    else:
        found = one_region(photo, example)
    del original_style
    whole_share = _WHOLE_SHARE if content_mask is None else 0.0
    strengths = strengths_of(found.names, strength, lock)
    masks, example_masks = found.masks(photo, example, refine_masks)
    dtype = torch.bfloat16 if has_fast_bfloat16(target) else torch.float32
    vgg = VGGFeatures(CONTENT_LAYERS + STYLE_LAYERS, dtype=dtype).to(target)

    sizes = level_sizes(max(photo.shape[-2:]))
    levels = [
        Level(photo, example, masks[: found.shared], example_masks, level_size)
        for level_size in sizes
    ]
    content_of_best, best = levels[0].content, _start(init, levels[0], seed)
    rate = _LEARNING_RATES[init]

    def carried(content: Tensor) -> Tensor:
        if best.shape == content.shape:
            return best
        if photorealism_weight == 0:  # then it need not be a recolouring of the content
            return F.interpolate(best[None], content.shape[-2:], mode="bicubic")[0].clamp(0, 1)
        return carry_to_size(content_of_best, best, content).clamp(0, 1)

    def image() -> Tensor:
        return carried(photo).cpu()

    all_losses: list[dict[str, float]] = []
    interrupted = False
    try:
        for level, share in zip(levels, level_steps(steps, len(levels)), strict=True):
            best, content_of_best = carried(level.content), level.content
            objective = Objective(vgg, weights, level, whole_share)
            for improved, losses in descend(objective, best, share, rate):
                best = improved
                all_losses.append(losses)
                if callback is not None:
                    callback(Progress(len(all_losses), steps, losses, image))
    except KeyboardInterrupt:
        interrupted = True
    final = carried(photo)
    if smooth:
        final = smoothed(photo, final)
    elif smooth is None and not interrupted:
        final = objective.smoothed_if_better(final)
    bright = with_luminance_of(photo, final) if preserve_luminance else final
    working = blended(photo, bright, masks, strengths).cpu()
    if original.shape == photo.shape:
        whole = working
    else:
        whole = carry_to_photo(
            original,
            photo,
            final,
            masks,
            strengths,
            recolour=photorealism_weight > 0,
            preserve_luminance=preserve_luminance,
        )
    return Result(whole, working, found, whole_photo, all_losses, interrupted)


def _check_arguments(
    steps: int,
    weights: dict[str, float],
    init: str,
    regions: str | Regions,
    content_mask: Source | None,
    style_mask: Source | None,
) -> None:
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps is {steps}; it must be a whole number of at least 1.")
    for name, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"{name}_weight is {weight}; it must be a number of at least 0.")
    if not any(weights.values()):
        raise ValueError("the weights are all 0; at least one must be above.")
    if init not in _LEARNING_RATES:
        raise ValueError(f"init is {init!r}; it must be one of {', '.join(_LEARNING_RATES)}.")
    if not isinstance(regions, Regions) and regions not in _REGIONS:
        raise ValueError(f"regions is {regions!r}; it must be one of {', '.join(_REGIONS)}.")
    if (content_mask is None) != (style_mask is None):
        given, missing = ("content", "style") if style_mask is None else ("style", "content")
        raise ValueError(f"there is a {given}_mask but no {missing}_mask; give both or none.")


def _check_strength(strength: float | Mapping[str, float]) -> None:
    for value in strength.values() if isinstance(strength, Mapping) else [strength]:
        if not 0 <= value <= 1:
            raise ValueError(f"a strength is {value}; it must be from 0 to 1.")


class Level:
    """Photos and masks scaled down to one level."""

    def __init__(
        self, content: Tensor, style: Tensor, masks: Tensor, style_masks: Tensor, size: int
    ) -> None:
        self.content = resize(content, size)
        self.style = resize(style, size)
        self.masks = F.interpolate(masks[None], self.content.shape[-2:], mode="area")[0]
        self.style_masks = F.interpolate(style_masks[None], self.style.shape[-2:], mode="area")[0]


def _start(init: str, level: Level, seed: int) -> Tensor:
    if init == "color":
        return transfer_color(level.content, level.style, level.masks, level.style_masks)
    if init == "content":
        return level.content
    noise = torch.rand(level.content.shape, generator=torch.Generator().manual_seed(seed))
    return noise.to(level.content.device)


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
) -> Iterator[tuple[Tensor, dict[str, float]]]:
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
