"""Alpha mattes from trimaps: closed-form and large-kernel matting, and colours for a cut-out."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.matting.conjugate_gradients import Convergence
from pydpst.matting.laplacian import MattingLaplacian
from pydpst.matting.trimap import load_trimap
from pydpst.photos.decode import Source
from pydpst.photos.image import load_image

METHODS = ("closed-form", "large-kernel")
# Sides below which the large kernel starts from nothing.
_SMALLEST_LEVEL = 128
# Coarser solutions are starts only.
_COARSE_TOL = 1e-4


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
        return known
    start = known
    if method == "large-kernel":
        start = _coarse_start(photo, known, radius, eps)
    laplacian = MattingLaplacian(photo.double(), eps, radius)
    alpha, _ = laplacian.solve(
        torch.zeros_like(known[None], dtype=torch.float64),
        torch.zeros_like(known),
        start[None].double(),
        tol,
        max_iter,
        free=unknown,
        on_failure="warn",
        callback=callback,
    )
    return alpha[0].clamp(0, 1).float()


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
