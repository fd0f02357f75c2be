"""The feed-forward networks: a photo in, the restyled photo out, in one pass."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pydpst.ops import bilateral_slice_apply
from pydpst.transfer.linear import NOISE_VARIANCE


class BilateralGridNet(nn.Module):
    """Predicts local colour transforms from a small copy of the photo (Gharbi et al. 2017).

    Convolutions on a copy of 256×256 pixels give a bilateral grid of affine colour transforms; at
    full resolution each pixel takes the transform at its place and at its value of a guide, which
    is a sum of a learned curve a channel. So the result is a local recolouring by construction.

    Deviation: the photo is first given the mean and covariance of the style's colours, by the
    linear Monge-Kantorovich map (Pitié and Kokaram 2007), and the grid is a change to that, at
    first none. The map is part of the grid, so it costs nothing at full resolution.

    Args:
        depth: cells of the grid along the guide.
        cells: of the grid across and down the photo; 16 or 8.
        width: channels of the first convolution.
    """

    copy_side = 256
    _KNOTS = 8
    # Pixels whose guide is computed at once: few enough for the cache, and enough for all threads;
    # on a GPU enough for launches to be few, and 200 bytes each.
    _PIXELS, _PIXELS_ON_A_GPU = 1 << 17, 1 << 21

    style_mean: Tensor
    style_root: Tensor

    def __init__(self, depth: int = 8, cells: int = 16, width: int = 16) -> None:
        super().__init__()
        self.settings = {"depth": depth, "cells": cells, "width": width}
        self.depth = depth
        self.register_buffer("style_mean", torch.full((3,), 0.5, dtype=torch.float64))
        self.register_buffer("style_root", torch.eye(3, dtype=torch.float64))
        layers: list[nn.Module] = []
        channels, side = 6, self.copy_side
        for _ in range(10):
            if side == cells:
                break
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.ReLU()]
            channels, width, side = width, min(2 * width, 64), side // 2
        self.splat = nn.Sequential(*layers)
        self.local = nn.Sequential(
            nn.Conv2d(channels, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1)
        )
        self.scene = nn.Sequential(
            nn.Conv2d(channels, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(64, 64, 1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        self.grid = nn.Conv2d(64, 12 * depth, 1, bias=False)
        nn.init.zeros_(self.grid.weight)
        # What all cells of all photos have in common.
        self.common = nn.Parameter(torch.zeros(12 * depth, 1, 1))
        # The curve of channel c is Σ slope · max(x - knot, 0); at first the guide is the mean.
        self.mix = nn.Parameter(torch.eye(3))
        self.knots = nn.Parameter(torch.linspace(0, 1, self._KNOTS + 1)[:-1].repeat(3, 1))
        slopes = torch.zeros(3, self._KNOTS)
        slopes[:, 0] = 1 / 3
        self.slopes = nn.Parameter(slopes)
        self.offset = nn.Parameter(torch.zeros(1))

    @torch.no_grad()
    def set_style(self, style: Tensor) -> None:
        """Takes the style's colours, which the photos are given first.

        Args:
            style: (3, H, W) in [0, 1].
        """
        mean, covariance = _statistics(style[None].double())
        values, vectors = torch.linalg.eigh(covariance[0])
        self.style_mean.copy_(mean[0, :, 0])
        self.style_root.copy_((vectors * values.sqrt()) @ vectors.T)

    def forward(self, image: Tensor) -> Tensor:
        """Restyles photos.

        Args:
            image: (B, 3, H, W), float32, in [0, 1].

        Returns:
            (B, 3, H, W); a little may lie outside [0, 1].
        """
        # Colours need all digits of float32.
        with torch.autocast(image.device.type, enabled=False):
            copy = self.small_copy(image)
            matrix, offset = self.linear_map(copy)
            grid = self.transforms(copy, matrix, offset)
            return bilateral_slice_apply(grid, self.guide(image, matrix, offset), image)

    def small_copy(self, image: Tensor) -> Tensor:
        """The photos (B, 3, H, W) at 256×256 pixels."""
        size = (self.copy_side, self.copy_side)
        return F.interpolate(image, size, mode="bilinear", antialias=True)

    def linear_map(self, copy: Tensor) -> tuple[Tensor, Tensor]:
        """The map A x + b of photos to the style's colours: (B, 3, 3) and (B, 3, 1).

        Of the formulas for it this one takes one root of a matrix, which comes from the iteration
        of Newton and Schulz (Higham 2008, eq. 6.35), so that it is made of products alone.
        """
        mean, covariance = _statistics(copy.double())
        matrix = self.style_root @ _inverse_root(self.style_root @ covariance @ self.style_root)
        matrix = matrix @ self.style_root
        offset = self.style_mean[:, None] - matrix @ mean
        return matrix.to(copy.dtype), offset.to(copy.dtype)

    def transforms(self, copy: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
        """The bilateral grid (B, 12, depth, cells, cells) of photos with this linear map."""
        batch = copy.shape[0]
        recoloured = (matrix @ copy.flatten(2) + offset).view_as(copy)
        features = self.splat(4 * (torch.cat([copy, recoloured], 1) - 0.5))
        # Adam moves all weights alike; what many of them add up to would jump.
        own = 0.1 * self.grid(F.relu(self.local(features) + self.scene(features)))
        change = self.common + own
        cells = change.shape[-2:]
        change = change.view(batch, 3, 4, self.depth, -1)
        # y + M (y - mean) + m for y = A x + b, the change's M and m, and the mean of y in the cell:
        # so that M is contrast alone, and m brightness and tint.
        mean = F.adaptive_avg_pool2d(recoloured, cells).flatten(2)
        slope, shift = change[:, :, :3], change[:, :, 3]
        rows = torch.einsum("bikzn,bkj->bijzn", slope, matrix) + matrix[..., None, None]
        shift = shift + torch.einsum("bikzn,bkn->bizn", slope, offset - mean)
        shift = shift + offset[..., None]
        grid = torch.cat([rows, shift[:, :, None]], 2)
        return grid.view(batch, 12, self.depth, *cells)

    def guide(self, image: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
        """The guide (B, H, W) of photos with this linear map."""
        if torch.is_grad_enabled():
            return self.guide_at_once(image, matrix, offset)
        weight, shift = self.mix @ matrix, self.mix @ offset
        pixels, knots, slopes = image.flatten(2), self.knots[..., None], self.slopes.flatten()
        # max(x - knot, 0) is max(x, knot) - knot, and the knots add up beforehand.
        constant = self.offset - slopes @ self.knots.flatten()
        guide = image.new_empty(pixels.shape[0], pixels.shape[2])
        at_once = self._PIXELS_ON_A_GPU if image.is_cuda else self._PIXELS
        size = min(at_once, pixels.shape[2])
        mixed, curves = image.new_empty(3, size), image.new_empty(3, self._KNOTS, size)
        for b in range(len(guide)):
            for start in range(0, pixels.shape[2], size):
                out = guide[b, start : start + size]
                some, high = mixed[:, : len(out)], curves[..., : len(out)]
                torch.addmm(shift[b], weight[b], pixels[b, :, start : start + size], out=some)
                torch.maximum(some[:, None], knots, out=high)
                torch.addmv(constant, high.flatten(0, 1).T, slopes, out=out)
        return guide.view(image.shape[0], *image.shape[-2:])

    def guide_at_once(self, image: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
        """The same, differentiable; it takes the memory of all curves."""
        # For each knot of each channel, what becomes of a colour before its ReLU.
        weight = (self.mix @ matrix).repeat_interleave(self._KNOTS, 1)
        shift = (self.mix @ offset - self.knots).flatten(1)[..., None]
        curves = F.relu(weight @ image.flatten(2) + shift)
        guide = self.slopes.flatten() @ curves + self.offset
        return guide.view(image.shape[0], *image.shape[-2:])


def _statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (B, 3, 1) and covariance (B, 3, 3) of the colours of photos, regularised."""
    pixels = image.flatten(2)
    mean = pixels.mean(2, keepdim=True)
    centred = pixels - mean
    covariance = centred @ centred.transpose(1, 2) / pixels.shape[2]
    return mean, covariance + NOISE_VARIANCE * torch.eye(3, dtype=image.dtype, device=image.device)


def _inverse_root(matrix: Tensor) -> Tensor:
    """The inverse square root of symmetric positive definite matrices (B, 3, 3), float64."""
    identity = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    scale = matrix.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)
    root, inverse = matrix / scale, identity.expand_as(matrix)
    # The smallest eigenvalue grows by 2.25 a step, and colours have condition numbers up to 1e8.
    for _ in range(32):
        step = 1.5 * identity - 0.5 * inverse @ root
        root, inverse = root @ step, step @ inverse
    return inverse / scale.sqrt()


class TransformerNet(nn.Module):
    """The image transformation network of Johnson et al. 2016 (its supplement, table 1).

    Deviations: instance normalisation (Ulyanov et al. 2016) for batch normalisation; upsampling
    and a convolution for strided transposed convolutions, which leave checkerboards (Odena et al.
    2016); each convolution pads by reflection, so that the size is kept.

    Args:
        width: channels of the first convolution, 32 in the paper.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.settings = {"width": width}
        self.layers = nn.Sequential(
            *_convolution(3, width, 9),
            *_convolution(width, 2 * width, 3, stride=2),
            *_convolution(2 * width, 4 * width, 3, stride=2),
            *[_Residual(4 * width) for _ in range(5)],
            nn.Upsample(scale_factor=2),
            *_convolution(4 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2),
            *_convolution(2 * width, width, 3),
            nn.Conv2d(width, 3, 9, padding=4, padding_mode="reflect"),
        )

    def set_style(self, style: Tensor) -> None:
        """Does nothing: this network learns the style's colours."""

    def forward(self, image: Tensor) -> Tensor:
        """Restyles photos.

        Args:
            image: (B, 3, H, W), float32, in [0, 1], at least 16 pixels a side.

        Returns:
            (B, 3, H, W) in [0, 1].
        """
        height, width = image.shape[-2:]
        # Two halvings need multiples of 4.
        padded = F.pad(image, (0, -width % 4, 0, -height % 4), mode="replicate")
        result = self.layers(padded - 0.5)[..., :height, :width]
        return torch.sigmoid(result.to(image.dtype))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(channels, channels, 3), *_convolution(channels, channels, 3)[:-1]
        )

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.layers(x)
        return x + change


def _convolution(channels: int, out: int, side: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out, side, stride, side // 2, padding_mode="reflect"),
        nn.InstanceNorm2d(out, affine=True),
        nn.ReLU(),
    ]


NETWORKS: dict[str, Any] = {"grid": BilateralGridNet, "transformer": TransformerNet}
