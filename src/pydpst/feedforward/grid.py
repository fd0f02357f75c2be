"""The local recolouring nearest to a result: one bilateral grid of affine colour transforms."""

from __future__ import annotations

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pydpst.matting.conjugate_gradients import conjugate_gradients, warn_unless_converged
from pydpst.ops import bilateral_slice_apply, bilateral_slice_apply_backward
from pydpst.transfer.linear import affine_fit

# What differences between neighbouring cells cost, and changes to the affine map nearest to the
# whole, beside the squared error of a cell's pixels: the first fills cells that have few pixels
# from those around them, the second those that no pixel is near.
_DIFFERENCE, _CHANGE = 0.005, 1e-5
# Of the copy by which a scene is known; and from how many levels of 8 bits (RMS) on another photo
# is another of the scene, or of another scene.
_THUMBNAIL, _OTHER_PHOTO, _OTHER_SCENE = 16, 8.0, 30.0
# Of the solve.
_TOL = 1e-3


class FittedGrid(nn.Module):
    """A bilateral grid of affine colour transforms, fitted to one photo.

    The guide is the mean of the three channels. What `fit_grid` gives; `model_file` keeps it like
    the networks, so that `pydpst apply` takes it to the photo at another size, or to others of the
    same scene. On another scene, cells that had no such pixels would stain it: by a small copy of
    its photo it knows such, and refuses.

    Args:
        depth: cells of the grid along the guide.
        rows: down the photo.
        columns: across the photo.
        thumbnail: pixels a side of the small copy; 0 is none.
    """

    def __init__(
        self, depth: int = 8, rows: int = 16, columns: int = 16, thumbnail: int = 0
    ) -> None:
        super().__init__()
        self.settings = {"depth": depth, "rows": rows, "columns": columns, "thumbnail": thumbnail}
        if thumbnail:
            self.register_buffer("photo", torch.zeros(3, thumbnail, thumbnail))
        identity = torch.eye(3, 4).flatten()[:, None, None, None]
        self.grid = nn.Parameter(identity.repeat(1, depth, rows, columns), requires_grad=False)

    photo: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """Restyles photos.

        Args:
            image: (B, 3, H, W), float32, in [0, 1].

        Returns:
            (B, 3, H, W); a little may lie outside [0, 1].

        Raises:
            ValueError: if a photo is of another scene than the one that this was fitted to.
        """
        if self.settings["thumbnail"]:
            self._check_scene(image)
        grid = self.grid.expand(image.shape[0], -1, -1, -1, -1).contiguous()
        return bilateral_slice_apply(grid, image.mean(1), image)

    def _check_scene(self, image: Tensor) -> None:
        side = self.settings["thumbnail"]
        copies = F.interpolate(image, (side, side), mode="bilinear", antialias=True)
        away = 255 * float((copies - self.photo).square().mean((1, 2, 3)).amax().sqrt())
        if not away < _OTHER_SCENE:
            raise ValueError(
                "the model was fitted to one photo, and this one shows something else, which its "
                "look would stain; pydpst stylize --save-recipe keeps a look for other photos."
            )
        if away > _OTHER_PHOTO:
            warnings.warn(
                "the model was fitted to one photo, and this is another of the scene; look for "
                "stains.",
                stacklevel=4,
            )


def fit_grid(
    before: Tensor, after: Tensor, depth: int = 8, rows: int = 16, columns: int = 16
) -> FittedGrid:
    """The bilateral grid of affine transforms that takes one photo nearest to another.

    Least squares over the pixels with a small cost on differences between cells, as in bilateral
    guided upsampling (Chen, Adams, Wadhwa and Hasinoff 2016, eqs. 2 to 4), by conjugate gradients.

    Args:
        before: (3, H, W) in [0, 1].
        after: likewise.
        depth: cells of the grid along the guide.
        rows: down the photo.
        columns: across the photo.

    Returns:
        The grid, float32, on the CPU.

    Raises:
        ValueError: if the shapes differ or are not as above, or a number of cells is not positive.
    """
    if before.shape != after.shape or before.ndim != 3 or before.shape[0] != 3:
        raise ValueError(
            f"the photos have the shapes {tuple(before.shape)} and {tuple(after.shape)}; both must "
            "be (3, H, W), and alike."
        )
    if min(depth, rows, columns) < 1:
        raise ValueError(f"the grid has {depth}×{rows}×{columns} cells; each must be at least 1.")
    photo, wanted = (x.detach().cpu().double()[None] for x in (before, after))
    guide = photo.mean(1)
    colours = photo[0].flatten(1)
    affine = affine_fit(colours, wanted[0].flatten(1))
    wanted = wanted - (affine[:, :3] @ colours + affine[:, 3:]).view_as(wanted)
    # In colours of unit covariance the slopes and the offset of a cell hardly depend on each other.
    mean = colours.mean(1, keepdim=True)
    root = torch.linalg.cholesky(torch.cov(colours) + 1e-4 * torch.eye(3, dtype=torch.float64))
    whitened = torch.linalg.solve_triangular(root, colours - mean, upper=False).view_as(photo)
    change = _fit(guide, whitened, wanted, (1, 12, depth, rows, columns))
    # Back from the whitened colours: M W (x - mean) + m = (M W) x + (m - M W mean).
    cells = change.view(3, 4, -1)
    slopes = torch.einsum("ikn,kj->ijn", cells[:, :3], torch.linalg.inv(root))
    offsets = cells[:, 3] - torch.einsum("ijn,j->in", slopes, mean[:, 0])
    maps = torch.cat([slopes, offsets[:, None]], 1) + affine[..., None]
    fitted = FittedGrid(depth, rows, columns, _THUMBNAIL)
    side = (_THUMBNAIL, _THUMBNAIL)
    small = F.interpolate(before[None].cpu(), side, mode="bilinear", antialias=True)
    fitted.photo.copy_(small[0])
    fitted.grid.copy_(maps.view(12, depth, rows, columns))
    return fitted


def _fit(
    guide: Tensor, whitened: Tensor, wanted: Tensor, shape: tuple[int, int, int, int, int]
) -> Tensor:
    """The grid of this shape, as a row, that makes what is wanted of whitened colours."""
    share = guide.numel() / math.prod(shape[2:])
    nothing = torch.zeros(shape, dtype=torch.float64)

    def gather(residual: Tensor) -> Tensor:
        gradient = bilateral_slice_apply_backward(residual, nothing, guide, whitened)[0]
        return gradient.view(1, -1)

    def normal(x: Tensor) -> Tensor:
        grid = x.view(shape)
        cost = _CHANGE * share * grid
        for dim in (2, 3, 4):
            difference = _DIFFERENCE * share * grid.diff(dim=dim)
            cost.narrow(dim, 1, shape[dim] - 1).add_(difference)
            cost.narrow(dim, 0, shape[dim] - 1).sub_(difference)
        return gather(bilateral_slice_apply(grid, guide, whitened)) + cost.view(1, -1)

    # The weights of the pixels for their squares, which add up to about half.
    pixels = gather(torch.ones_like(whitened)).view(shape)[:, 3::4].sum(1, keepdim=True) / 3
    diagonal = (0.5 * pixels + share * (6 * _DIFFERENCE + _CHANGE)).expand(shape).reshape(1, -1)
    b = gather(wanted)
    start = torch.zeros_like(b)
    change, convergence = conjugate_gradients(normal, lambda r: r / diagonal, b, start, _TOL, 500)
    warn_unless_converged(convergence, _TOL)
    return change
