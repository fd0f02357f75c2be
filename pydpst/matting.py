"""Alpha mattes from trimaps: closed-form and large-kernel matting, and colours for a cut-out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pydpst.decode import open_image
from pydpst.image import Source, load_image
from pydpst.laplacian import MattingLaplacian
from pydpst.solver import Convergence

METHODS = ("closed-form", "large-kernel")
# How far from black and white a trimap's known values may be.
_TOLERANCE = 0.1
# Sides below which the large kernel starts from nothing.
_SMALLEST_LEVEL = 128
# Coarser solutions are starts only.
_COARSE_TOL = 1e-4


@dataclass(frozen=True)
class Matte:
    """What `matte` returns.

    Attributes:
        alpha: (H, W), float32, in [0, 1], where the image was.
        convergence: how the solve at full size went; None where nothing was unknown.
    """

    alpha: Tensor
    convergence: Convergence | None


def estimate_alpha(
    image: Source,
    trimap: Source,
    method: str = "closed-form",
    radius: int | None = None,
    *,
    eps: float = 1e-7,
    tol: float = 1e-6,
    max_iter: int = 1000,
    callback: Callable[[Convergence], None] | None = None,
) -> Tensor:
    """The opacity of an image's foreground, from a rough map of it.

    "closed-form" is that of Levin, Lischinski and Weiss (2008): alpha is locally an affine function
    of colour, in windows of 3×3 pixels. "large-kernel" is that of He, Sun and Tang (2010): larger
    windows carry what is known further, through holes and across thin structures, at the same cost
    an iteration. Alpha minimises αᵀL α with the trimap's known pixels held, which is the limit of
    the papers' weight λ; L is as in `MattingLaplacian`.

    Args:
        image: the photo, as for `load_image`.
        trimap: as for `load_trimap`, of the photo's size.
        method: "closed-form" or "large-kernel".
        radius: windows are 2·radius + 1 pixels a side. By default 1 for the closed form; for the
            large kernel what `adaptive_radius` finds.
        eps: the regularisation of L.
        tol: how exactly to solve, as for `MattingLaplacian.solve`.
        max_iter: iterations at most; beyond, what there is is returned, with a warning.
        callback: called after each iteration. Ctrl-C ends the solve with what it has and warns.

    Returns:
        (H, W), float32, in [0, 1], on the image's device; 0 and 1 where the trimap is known.

    Raises:
        ValueError: if the trimap has another size than the image, or no known foreground or
            background, or an argument is not as above.
    """
    return matte(
        image,
        trimap,
        method,
        radius,
        eps=eps,
        tol=tol,
        max_iter=max_iter,
        callback=callback,
    ).alpha


def matte(
    image: Source,
    trimap: Source,
    method: str = "closed-form",
    radius: int | None = None,
    *,
    eps: float = 1e-7,
    tol: float = 1e-6,
    max_iter: int = 1000,
    callback: Callable[[Convergence], None] | None = None,
) -> Matte:
    """As `estimate_alpha`, and tells how the solve went."""
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(METHODS)}.")
    photo = load_image(image)
    known = load_trimap(trimap).to(photo.device)
    height, width = photo.shape[-2:]
    if known.shape != photo.shape[-2:]:
        raise ValueError(
            f"the trimap is {known.shape[1]}×{known.shape[0]} pixels, but the image is "
            f"{width}×{height}; they must be of one size."
        )
    unknown = known == 0.5
    for value, name, colour in [(1.0, "foreground", "white"), (0.0, "background", "black")]:
        if not (known == value).any():
            raise ValueError(f"the trimap has no known {name}; mark some of it {colour}.")
    largest = (min(height, width) - 1) // 2
    if radius is None:
        radius = 1 if method == "closed-form" else min(adaptive_radius(unknown), largest)
    if not 1 <= radius <= largest:
        raise ValueError(
            f"radius is {radius}; it must be from 1 to {largest} for {width}×{height} pixels."
        )
    if not unknown.any():
        return Matte(known, None)
    start = known
    if method == "large-kernel":
        start = _coarse_start(photo, known, radius, eps)
    laplacian = MattingLaplacian(photo.double(), eps, radius)
    alpha, convergence = laplacian.solve(
        torch.zeros_like(known[None], dtype=torch.float64),
        torch.zeros_like(known),
        start[None].double(),
        tol,
        max_iter,
        free=unknown,
        on_failure="warn",
        callback=callback,
    )
    return Matte(alpha[0].clamp(0, 1).float(), convergence)


def adaptive_radius(unknown: Tensor) -> int:
    """A radius for the large kernel: windows about as wide as the unknown region is.

    He et al. 2010 fit the kernel to the unknown region of each segment of the trimap,
    which they cut up with a KD-tree. Here one radius serves the whole image: half of what an
    unknown pixel's distance to the known is at most, from 2 to 60.

    Args:
        unknown: (H, W), bool.
    """
    pixels = max(1, max(unknown.shape) // 1024)  # a step, on large images
    rest, steps = -F.max_pool2d(-unknown[None].float(), pixels), 0
    while steps * pixels < 120 and bool(rest.any()):
        rest = -F.max_pool2d(-rest, 3, 1, 1)
        steps += 1
    return min(max(math.ceil(steps * pixels / 2), 2), 60)


def _coarse_start(photo: Tensor, known: Tensor, radius: int, eps: float) -> Tensor:
    """Alpha at half the size with windows of as many pixels, enlarged; the same from there down."""
    height, width = known.shape
    small = ((height + 1) // 2, (width + 1) // 2)
    if min(small) < max(_SMALLEST_LEVEL, 2 * radius + 1):
        return known
    image = F.interpolate(photo[None], small, mode="area")[0]
    shrunk = F.interpolate(known[None, None], small, mode="area")[0, 0]
    shrunk = torch.where((shrunk > 0) & (shrunk < 1), 0.5, shrunk)
    unknown = shrunk == 0.5
    if not unknown.any() or not (shrunk == 1).any() or not (shrunk == 0).any():
        return known
    start = _coarse_start(image, shrunk, radius, eps)
    alpha, _ = MattingLaplacian(image.double(), eps, radius).solve(
        torch.zeros_like(start[None], dtype=torch.float64),
        torch.zeros_like(start),
        start[None].double(),
        _COARSE_TOL,
        free=unknown,
        on_failure="warn",
    )
    large = F.interpolate(alpha[None].float(), (height, width), mode="bilinear")[0, 0]
    return torch.where(known == 0.5, large.clamp(0, 1), known)


def load_trimap(source: Source) -> Tensor:
    """A trimap: where the foreground is known to be, where the background, where neither.

    White is foreground, black is background, each within a tenth of the range; between them is
    unknown. Colours are averaged. Transparent pixels are background; where all colours are alike,
    transparency is the trimap. A colour profile is ignored: the values are data.

    Args:
        source: the path of an image file or a PIL image of any mode, an array (H, W), (H, W, 3) or
            (H, W, 4), or a tensor (H, W) or (C, H, W) with C = 1, 3 or 4; uint8, uint16 or floating
            point in [0, 1].

    Returns:
        (H, W), float32: 1 for foreground, 0 for background, 0.5 for unknown.

    Raises:
        ValueError: if the source is not as above or cannot be read.
    """
    if isinstance(source, Tensor):
        values = source.detach()
        values = values.movedim(0, -1) if values.ndim == 3 else values
    elif isinstance(source, np.ndarray):
        values = torch.from_numpy(np.ascontiguousarray(source))
    elif isinstance(source, str | os.PathLike | Image.Image):
        values = _picture_values(open_image(source, "the trimap"))
    else:
        raise ValueError(
            f"the trimap is a {type(source).__name__}; it must be a path, a PIL image, an array or "
            "a tensor."
        )
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[-1] not in (1, 3, 4) or values.numel() == 0:
        raise ValueError(
            f"the trimap has the shape {tuple(source.shape)}; it must be one plane, or three or "
            "four channels."
            if isinstance(source, Tensor | np.ndarray)
            else "the trimap is empty; it must hold pixels."
        )
    levels = _unit_range(values)
    grey = levels[..., :3].mean(-1)
    if levels.shape[-1] == 4:
        opacity = levels[..., 3]
        grey = opacity if bool((grey == grey.flatten()[0]).all()) else grey * opacity
    known = torch.full_like(grey, 0.5)
    known[grey <= _TOLERANCE] = 0
    known[grey >= 1 - _TOLERANCE] = 1
    return known


def _picture_values(picture: Image.Image) -> Tensor:
    """The values of a picture of any mode, (H, W) or (H, W, C)."""
    if picture.mode == "F":
        return torch.from_numpy(np.array(picture))
    if picture.mode.startswith("I"):
        return torch.from_numpy(np.array(picture).astype(np.float32) / 65535)
    try:
        mode = "RGBA" if picture.has_transparency_data else "RGB"
        return torch.from_numpy(np.array(picture.convert(mode)))
    except ValueError as error:
        raise ValueError(f"the trimap cannot be converted to RGB ({error}).") from None


def _unit_range(values: Tensor) -> Tensor:
    """float32 in [0, 1]."""
    if values.dtype in (torch.uint8, torch.uint16):
        return values.float() / torch.iinfo(values.dtype).max
    if not values.is_floating_point():
        raise ValueError(
            f"the trimap is {values.dtype}; it must be uint8, uint16 or floating point in [0, 1]."
        )
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"the trimap has values from {float(values.min()):g} to {float(values.max()):g}; they "
            "must lie in [0, 1]."
        )
    return values.float()


def estimate_foreground(
    image: Tensor, alpha: Tensor, regularization: float = 1e-5, gradient_weight: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The colours of foreground and background from a matte (Germer et al. 2020).

    "Fast Multi-Level Foreground Estimation": minimises, over F and B, the squared error of
    I = α F + (1 − α) B plus squared differences of neighbouring F and of neighbouring B, weighted
    by regularization + gradient_weight · |difference of α| (eq. 3 of the paper). From a single
    pixel up to the image, each size starts from the last one enlarged and is iterated, each pixel
    solving its 2×2 system with its four neighbours fixed. All pixels do so at
    once, from the values of the iteration before.

    Args:
        image: (3, H, W), values in [0, 1].
        alpha: (H, W), values in [0, 1], on the image's device.
        regularization: the weight of smoothness everywhere.
        gradient_weight: the weight of smoothness across edges of alpha.

    Returns:
        F and B, (3, H, W) each, values in [0, 1].
    """
    height, width = alpha.shape
    steps = max(1, math.ceil(math.log2(max(height, width))))
    foreground, background = (image.mean((1, 2), keepdim=True) for _ in range(2))
    for step in range(steps + 1):
        size = (
            max(1, round(height ** (step / steps))),
            max(1, round(width ** (step / steps))),
        )
        photo = F.interpolate(image[None], size, mode="area")[0]
        opacity = F.interpolate(alpha[None, None], size, mode="area")[0, 0]
        layers = torch.stack([foreground, background])
        layers = F.interpolate(layers, size, mode="nearest-exact")
        iterations = 10 if max(size) <= 32 else 2
        layers = _smooth_layers(photo, opacity, layers, iterations, regularization, gradient_weight)
        foreground, background = layers.unbind()
    return foreground, background


def _smooth_layers(
    image: Tensor,
    alpha: Tensor,
    layers: Tensor,
    iterations: int,
    regularization: float,
    gradient_weight: float,
) -> Tensor:
    """Iterates F and B, stacked as (2, 3, H, W)."""

    def neighbours(x: Tensor) -> list[Tensor]:
        padded = F.pad(x.view(1, -1, *x.shape[-2:]), [1] * 4, mode="replicate").view(
            *x.shape[:-2], x.shape[-2] + 2, x.shape[-1] + 2
        )
        return [
            padded[..., :-2, 1:-1],
            padded[..., 2:, 1:-1],
            padded[..., 1:-1, :-2],
            padded[..., 1:-1, 2:],
        ]

    # Beyond the border a pixel has itself for a neighbour.
    weights = [
        regularization + gradient_weight * (alpha - other).abs() for other in neighbours(alpha)
    ]
    total = torch.stack(weights).sum(0)
    share = torch.stack([alpha, 1 - alpha])[:, None]
    # The system (share shareᵀ + total Id) x = share I + Σ weight·neighbour, solved by
    # Sherman and Morrison.
    norm = total + alpha**2 + (1 - alpha) ** 2
    for _ in range(iterations):
        pull = torch.zeros_like(layers)
        for weight, other in zip(weights, neighbours(layers), strict=True):
            pull.addcmul_(weight.expand_as(other), other)
        mean = pull / total
        error = image - (share * mean).sum(0)
        layers = (mean + share * (error / norm)).clamp(0, 1)
    return layers


def composite(foreground: Tensor, background: Tensor, alpha: Tensor) -> Tensor:
    """α F + (1 − α) B, for F and B (3, H, W) and α (H, W)."""
    return alpha * foreground + (1 - alpha) * background
