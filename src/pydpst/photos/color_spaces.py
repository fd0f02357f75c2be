"""Colour spaces: the curve of sRGB, luma, CIE L*a*b*."""

from __future__ import annotations

import torch
from torch import Tensor

# Of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


def linear_of(srgb: Tensor) -> Tensor:
    """Linear light of levels of sRGB (IEC 61966-2-1), both in [0, 1]."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb_of(linear: Tensor) -> Tensor:
    """Levels of sRGB of linear light, both in [0, 1]."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def luma(image: Tensor) -> Tensor:
    """The luma (H, W) of an image (3, H, W), by the weights of ITU-R BT.601."""
    return torch.einsum("c,chw->hw", image.new_tensor(_LUMA), image)


def lab(rgb: Tensor) -> Tensor:
    """CIE 1976 L*a*b* of sRGB colours (IEC 61966-2-1), with the white of D65.

    Args:
        rgb: (3, N) in [0, 1].

    Returns:
        (3, N): L* in [0, 100], a* and b* about in [-110, 110].
    """
    to_xyz = rgb.new_tensor(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    ratio = (to_xyz / to_xyz.sum(1, keepdim=True)) @ linear_of(rgb)
    x, y, z = torch.where(
        ratio > (6 / 29) ** 3, ratio.clamp_min(0) ** (1 / 3), ratio * (29 / 6) ** 2 / 3 + 4 / 29
    )
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def oklab(rgb: Tensor) -> Tensor:
    """OKLab (Ottosson 2020) of sRGB colours; equal distances look about equally large.

    Deviation: 1e-4 is added to the cones' light, and its root taken away again, so that the slope
    at black has a bound; white has L = 0.954.

    Args:
        rgb: (B, 3, ...), in [0, 1] or a little beyond.

    Returns:
        Like rgb: L in [0, 1], a and b about in [-0.4, 0.4].
    """
    cones = torch.einsum("ij,bj...->bi...", rgb.new_tensor(_TO_CONES), linear_of(rgb.clamp_min(0)))
    roots = (cones + _BLACK) ** (1 / 3) - _BLACK ** (1 / 3)
    return torch.einsum("ij,bj...->bi...", rgb.new_tensor(_TO_OKLAB), roots)


def oklab_inverse(colors: Tensor) -> Tensor:
    """The linear light (B, 3, ...) of OKLab colours like it, beyond [0, 1] outside of sRGB."""
    inverse = torch.tensor(_TO_OKLAB, dtype=torch.float64).inverse().to(colors)
    roots = torch.einsum("ij,bj...->bi...", inverse, colors) + _BLACK ** (1 / 3)
    inverse = torch.tensor(_TO_CONES, dtype=torch.float64).inverse().to(colors)
    return torch.einsum("ij,bj...->bi...", inverse, roots**3 - _BLACK)


_BLACK = 1e-4
_TO_CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
_TO_OKLAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def srgb_of_lab(lab: Tensor) -> Tensor:
    """Levels of sRGB of CIE 1976 L*a*b* with the white of D50, as in pictures.

    Args:
        lab: (3, N): L* in [0, 100], a* and b*.

    Returns:
        (3, N), clipped to [0, 1].
    """
    y = (lab[0] + 16) / 116
    f = torch.stack([y + lab[1] / 500, y, y - lab[2] / 200])
    ratio = torch.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
    # From XYZ of D50, its white being 1 in each, by Bradford's adaptation to D65 to linear sRGB.
    white = lab.new_tensor([0.9642, 1.0, 0.8249])
    from_xyz = lab.new_tensor(
        [
            [3.1338561, -1.6168667, -0.4906146],
            [-0.9787684, 1.9161415, 0.0334540],
            [0.0719453, -0.2289914, 1.4052427],
        ]
    )
    return srgb_of((from_xyz @ (ratio * white[:, None])).clamp(0, 1))
