"""The global 3D look-up table nearest to a recolouring, and its file for other programs."""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from torch import Tensor

from pydpst.matting.conjugate_gradients import conjugate_gradients, warn_unless_converged
from pydpst.photos.writing import check_output, write_whole
from pydpst.transfer.linear import affine_fit

CUBE_SIZES = (2, 129)

# What curvature and slope cost beside the mean squared error, both of the table as a function on
# the unit cube, so that they do not depend on its size. The first lets colours that do not occur
# continue those that do; the second returns to the affine map far from all of them.
_CURVATURE, _SLOPE = 1e-4, 1e-5
# Of the solve.
_TOL = 1e-4
# Of reweighting.
_ROUNDS = 4


def fit_cube(
    before: Tensor, after: Tensor, size: int = 33, weights: Tensor | None = None
) -> Tensor:
    """The look-up table that takes the colours `before` nearest to those `after`.

    Least squares over the colours, interpolated trilinearly, with a small cost on curvature, as in
    lattice regression (Garcia, Arora and Gupta 2012, "Lattice Regression", section III). So colours
    that do not occur continue those that do; far from all of them the table is the affine map
    nearest to the whole.

    Args:
        before: colours (3, ...), floating point in [0, 1]; one photo, or the pixels of several.
        after: what becomes of each, like before.
        size: entries a side, 2 to 129.
        weights: how much each colour counts, shaped like one channel; None is all alike.

    Returns:
        (size, size, size, 3) in [0, 1], float32, on the CPU: entry [b, g, r] is what becomes of the
        colour (r, g, b) / (size - 1).

    Raises:
        ValueError: if the size is not as above, the shapes differ, or there are no colours.
    """
    check_cube_size(size)
    if before.shape != after.shape or before.shape[0] != 3 or not before.numel():
        raise ValueError(
            f"the colours have the shapes {tuple(before.shape)} and {tuple(after.shape)}; both "
            "must be (3, ...), alike and not empty."
        )
    colours, wanted = (x.detach().cpu().double().flatten(1) for x in (before, after))
    counts = torch.ones_like(colours[0])
    if weights is not None:
        counts = weights.detach().cpu().double().flatten()
        counts = counts / counts.mean()
    affine = affine_fit(colours, wanted, counts)
    wanted = wanted - (affine[:, :3] @ colours + affine[:, 3:])
    entries = identity_cube(size).view(-1, 3)
    change = _fit(colours, wanted, counts, size)
    cube = entries @ affine[:, :3].T + affine[:, 3] + change
    return cube.clamp(0, 1).view(size, size, size, 3).float()


def fit_look(before: Tensor, after: Tensor, size: int = 33) -> Tensor:
    """`fit_cube`, in which pixels that changed as no others of their colour did count for little.

    Iteratively reweighted least squares with the weights of Cauchy's distribution (Holland and
    Welsch 1977, "Robust regression using iteratively reweighted least-squares").

    Args:
        before: (3, H, W) in [0, 1].
        after: likewise.
        size: as for `fit_cube`.

    Returns:
        As `fit_cube`.
    """
    weights = torch.ones_like(before[0])
    for _ in range(_ROUNDS):
        cube = fit_cube(before, after, size, weights)
        error = (apply_cube(cube, before) - after).square().sum(0).sqrt()
        # 2.385 standard deviations, estimated from the median, at least a level of 8 bits.
        spread = 2.385 * max(1.4826 * error.median().item(), 1 / 255)
        weights = 1 / (1 + (error / spread).square())
    return cube


def _fit(colours: Tensor, wanted: Tensor, counts: Tensor, size: int) -> Tensor:
    """The table, as rows (size³, 3), that makes what is wanted (3, N) of colours (3, N)."""
    corners, weights = _corners(colours, size)
    products = _products(corners, weights, counts, size)
    target = torch.stack(
        [_sum_at(corners, weights * (counts * channel), size**3) for channel in wanted], 1
    )
    target /= colours.shape[1]

    # The cost is a sum over the three axes, so the eigenvectors of one serve them all.
    cost = _SLOPE / (size - 1) * _gram(size, 1) + _CURVATURE * (size - 1) * _gram(size, 2)
    values, vectors = torch.linalg.eigh(cost)
    costs = (values + values[:, None] + values[:, None, None])[..., None]

    def turn(x: Tensor, basis: Tensor) -> Tensor:
        for _ in range(3):
            x = (basis @ x.view(size, -1)).view(size, size, size, 3)
            x = x.permute(1, 2, 0, 3).contiguous()
        return x

    def normal(x: Tensor) -> Tensor:
        result = turn(costs * turn(x, vectors.T), vectors).view(-1, 3)
        for offset, weight in products.items():
            rows = slice(max(0, -offset), len(x) - max(0, offset))
            neighbours = x[max(0, offset) : len(x) - max(0, -offset)]
            result[rows].addcmul_(weight[rows, None], neighbours)
        return result

    def precondition(x: Tensor) -> Tensor:
        """The inverse if all entries had the same few pixels."""
        return turn(turn(x, vectors.T) / (costs + 1e-3 / size**3), vectors).view(-1, 3)

    change, convergence = conjugate_gradients(
        lambda x: normal(x.T).T,
        lambda x: precondition(x.T).T,
        target.T,
        torch.zeros_like(target.T),
        _TOL,
        1000,
    )
    warn_unless_converged(convergence, _TOL)
    return change.T


def apply_cube(cube: Tensor, image: Tensor) -> Tensor:
    """Takes colours through a look-up table, interpolating trilinearly.

    Args:
        cube: (S, S, S, 3), as from `fit_cube`.
        image: (3, ...), values in [0, 1].

    Returns:
        What becomes of them, like image.
    """
    places = 2 * image.flatten(1).T - 1
    table = cube.permute(3, 0, 1, 2)[None].to(image)
    result = F.grid_sample(table, places[None, :, None, None], align_corners=True)
    return result.view_as(image)


def write_cube(cube: Tensor, path: str | os.PathLike[str], title: str) -> None:
    """Writes a look-up table as a text file in the format of Adobe and IRIDAS; whole or not at all.

    Args:
        cube: (S, S, S, 3), as from `fit_cube`.
        path: where to, ending in .cube.
        title: what the programs that read it show.

    Raises:
        ValueError: if the path is refused by `check_output`.
        OSError: if writing fails.
    """
    write_whole(check_output(path, (".cube",)), cube_text(cube, title).encode())


def cube_text(cube: Tensor, title: str) -> str:
    """What `write_cube` writes."""
    if not torch.isfinite(cube).all():
        raise ValueError("the look-up table holds NaN or infinity; it is not written.")
    title = "".join(c for c in title if c.isprintable() and c != '"')
    lines = [f'TITLE "{title}"', f"LUT_3D_SIZE {len(cube)}"]
    lines += [f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in cube.flatten(0, 2).tolist()]
    return "\n".join(lines) + "\n"


def check_cube_size(size: int) -> None:
    """Refuses sizes of look-up tables that other programs do not read.

    Raises:
        ValueError: unless size is a whole number from 2 to 129.
    """
    low, high = CUBE_SIZES
    if not isinstance(size, int) or not low <= size <= high:
        raise ValueError(
            f"the cube's size is {size}; it must be a whole number from {low} to {high}."
        )


def identity_cube(size: int) -> Tensor:
    """The look-up table (S, S, S, 3) that changes nothing, float64."""
    steps = torch.linspace(0, 1, size, dtype=torch.float64)
    blue, green, red = torch.meshgrid(steps, steps, steps, indexing="ij")
    return torch.stack([red, green, blue], -1)


def _corners(colours: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The entries about each colour and their trilinear weights, both (8, N)."""
    place = colours.clamp(0, 1) * (size - 1)
    cell = place.floor().clamp(max=size - 2)
    fraction = place - cell
    strides = torch.tensor([1, size, size * size])
    first = (cell.long() * strides[:, None]).sum(0)
    indices, weights = [], []
    for corner in range(8):
        bits = torch.tensor([corner >> axis & 1 for axis in range(3)])
        indices.append(first + int((bits * strides).sum()))
        weights.append(torch.where(bits[:, None] == 1, fraction, 1 - fraction).prod(0))
    return torch.stack(indices), torch.stack(weights)


def _sum_at(indices: Tensor, values: Tensor, length: int) -> Tensor:
    """The sums of the values that share an index: (length)."""
    return torch.bincount(indices.flatten(), values.flatten(), minlength=length)


def _products(corners: Tensor, weights: Tensor, counts: Tensor, size: int) -> dict[int, Tensor]:
    """AᵀC A / N for the matrix A of the interpolation, as its diagonals by their offsets."""
    products: dict[int, Tensor] = {}
    for one, weight in zip(corners, weights, strict=True):
        for other, other_weight in zip(corners, weights, strict=True):
            offset = int(other[0] - one[0])
            part = _sum_at(one, counts * weight * other_weight, size**3) / weight.numel()
            products[offset] = products[offset] + part if offset in products else part
    return products


def _gram(size: int, order: int) -> Tensor:
    """DᵀD for the differences D of this order of `size` values."""
    difference = torch.eye(size, dtype=torch.float64).diff(n=order, dim=0)
    return difference.T @ difference
