"""The network that compares two photos and says which grade takes one to the look of the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pydpst.photos.color_spaces import oklab
from pydpst.reading.cells import (
    COLOR_FEATURES,
    KNOTS,
    REGION_FEATURES,
    color_features,
    color_statistics,
    greys,
    identity_like,
    knot_amounts,
    knot_features,
    moments,
    region_features,
    region_mean,
)

# Pixels a side of what one token stands for.
CELL = 8
_TOKEN, _HEADS = 128, 4
# What knots are told of a cell: its colours, and how those that each head found differ.
_CARRIED = (1 + _HEADS) * COLOR_FEATURES
# Slopes of the linear map beyond this are none.
_STEEPEST = 3.0
# How far an output of 1 moves greys, and how much it changes the slopes of colours.
_SHIFT, _SLOPE = 0.2, 0.5


@dataclass(frozen=True, eq=False)
class Reading:
    """What the network sees in photos.

    Attributes:
        tokens: (B, N, 128), one for each cell, row by row.
        cells: (B, N, 50), the statistics of the cells' colours.
        grid: cells down and across.
    """

    tokens: Tensor
    cells: Tensor
    grid: tuple[int, int]


class LookReader(nn.Module):
    """Reads both photos with one encoder, compares them, and gives maps along the luminance.

    Each cell of the content looks for what of the style is of its kind (cross-attention, Vaswani et
    al. 2017) and sees how its colours differ; cells exchange what they found; each knot gathers
    from cells of its luminance. What comes out is how much to trust the linear map between the
    regions' colours (Pitié and Kokaram 2007) at that luminance, and what to add.
    """

    # There is one kind; a model file says so.
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            _convolution(6, 32, stride=2),
            _convolution(32, 64, stride=2),
            _Residual(_convolution(64, 64)),
            _convolution(64, 128, stride=2),
            _Residual(_convolution(128, 128)),
            _Residual(_convolution(128, 128, dilation=2)),
        )
        self.token = nn.Linear(128 + COLOR_FEATURES, _TOKEN)
        self.whole = _perceptron(3 * REGION_FEATURES, 256, _TOKEN)
        self.match = _Attention(_TOKEN, COLOR_FEATURES)
        self.difference = _perceptron(2 * _TOKEN + (1 + 2 * _HEADS) * COLOR_FEATURES, 256, _TOKEN)
        self.before_maps = nn.LayerNorm(3 * _TOKEN)
        self.blocks = nn.ModuleList(_Block(_TOKEN) for _ in range(2))
        self.knot = nn.Parameter(0.1 * torch.randn(KNOTS, _TOKEN))
        self.knot_colors = _perceptron(3 * 4, 64, _TOKEN)
        self.gather = _Attention(_TOKEN, _CARRIED)
        self.maps = _perceptron(3 * _TOKEN + _HEADS * _CARRIED, 256, 14)
        last = self.maps[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def read(self, images: Tensor) -> Reading:
        """Encodes photos.

        Args:
            images: (B, 3, H, W) in [0, 1], sides multiples of 8, of about 128 pixels.
        """
        with torch.autocast(images.device.type, enabled=False):
            lab = oklab(images)
            planes = F.avg_pool2d(color_statistics(images, lab), CELL)
        cells = planes.flatten(2).mT
        seen = self.encoder(torch.cat([images - 0.5, 2 * lab - _CENTRE.to(lab)], 1))
        tokens = self.token(torch.cat([seen.flatten(2).mT, color_features(cells)], 2))
        return Reading(tokens, cells, (planes.shape[2], planes.shape[3]))

    def compare(
        self, content: Reading, style: Reading, shares: Tensor, style_shares: Tensor
    ) -> Tensor:
        """The maps that give the content's region the look of the style's.

        Args:
            content: of B photos.
            style: likewise.
            shares: (B, N), how much of each cell is in the region, in [0, 1].
            style_shares: (B, M).

        Returns:
            (B, 8, 12), as `ops.grade_apply` takes them.
        """
        content, shares = _coarser(content, shares)
        means = [region_mean(x.cells, y) for x, y in ((content, shares), (style, style_shares))]
        own, theirs = (region_features(mean) for mean in means)
        whole = self.whole(torch.cat([own, theirs, theirs - own], 1))
        shown, wanted = color_features(content.cells), color_features(style.cells)
        matched, colors = self.match(content.tokens, style.tokens, wanted, _bias(style_shares))
        change = colors - shown.repeat(1, 1, _HEADS)
        found = self.difference(torch.cat([content.tokens, matched, shown, colors, change], 2))
        x = content.tokens + found
        inside = _bias(shares)
        for block in self.blocks:
            x = block(x, inside)
        near = (knot_amounts(content.cells).mT + 0.02).log()
        here, there = knot_features(own), knot_features(theirs)
        by_knot = torch.cat([here, there, there - here], 2)
        knots = self.knot + self.knot_colors(by_knot)
        carried = torch.cat([shown, change], 2)
        gathered, raw = self.gather(knots, x, carried, _bias(shares) + near)
        known = self.before_maps(torch.cat([knots, gathered, whole[:, None].expand_as(knots)], 2))
        out = self.maps(torch.cat([known, raw], 2)).float()
        with torch.autocast(out.device.type, enabled=False):
            return _as_maps(out, _linear_map(*means), _shift_of(raw.float()))


def _coarser(reading: Reading, shares: Tensor) -> tuple[Reading, Tensor]:
    """The same with four cells in one: grades need less of the content than of the style."""
    planes = torch.cat([reading.tokens, reading.cells, shares[..., None]], 2).mT
    down, across = reading.grid
    grid = planes.reshape(len(planes), -1, down, across)
    pooled = F.avg_pool2d(grid, 2, ceil_mode=True)
    found = pooled.flatten(2).mT
    tokens, cells = found[..., :_TOKEN], found[..., _TOKEN:-1]
    return Reading(tokens, cells, (pooled.shape[2], pooled.shape[3])), found[..., -1]


# Of OKLab, twice: L lies in [0, 1], the others about 0.
_CENTRE = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)


def _shift_of(raw: Tensor) -> Tensor:
    """How RGB of the cells of a knot differs from what they found, (B, K, 3)."""
    by_head = raw.reshape(*raw.shape[:2], _HEADS, 1 + _HEADS, COLOR_FEATURES)
    return by_head[:, :, :, 1:, -3:].mean((2, 3)) / 2


def _as_maps(out: Tensor, linear: Tensor, found: Tensor) -> Tensor:
    """Maps (B, K, 12) of the outputs (B, K, 14).

    They are a share of the linear map (B, 3, 4), a share of the shift that was found (B, K, 3), and
    what is added: it moves greys by a shift, and changes what differs from them by slopes.
    """
    trust = torch.sigmoid(out[..., 12, None, None] - 2)
    share = torch.sigmoid(out[..., 13, None] - 1)
    identity = torch.eye(3, 4, device=out.device, dtype=out.dtype)
    grey = greys(out)
    shift = _SHIFT * out[..., :3] + share * found
    slopes = _SLOPE * out[..., 3:12].reshape(*out.shape[:2], 3, 3)
    constant = shift - slopes.sum(3) * grey[:, None]
    more = torch.cat([slopes, constant[..., None]], 3)
    maps = identity + trust * (linear[:, None] - identity) + more
    return maps.flatten(2)


def _linear_map(own: Tensor, theirs: Tensor) -> Tensor:
    """The Monge-Kantorovich map (B, 3, 4) between colours of mean statistics (B, 50)."""
    (mean, covariance), (wanted_mean, wanted) = (moments(x.float()) for x in (own, theirs))
    root, inverse = _roots(covariance)
    between, _ = _roots(root @ wanted @ root)
    matrix = (inverse @ between @ inverse).clamp(-_STEEPEST, _STEEPEST)
    return torch.cat([matrix, wanted_mean[..., None] - matrix @ mean[..., None]], 2)


def _roots(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """The roots of positive definite (B, 3, 3) and their inverses, by Newton and Schulz.

    No decomposition: other programs that run networks have none.
    """
    scale = matrices.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    identity = identity_like(matrices)
    y, z = matrices / scale, identity.expand_as(matrices)
    for _ in range(_ROOT_STEPS):
        change = 1.5 * identity - 0.5 * z @ y
        y, z = y @ change, change @ z
    return y * scale.sqrt(), z / scale.sqrt()


_ROOT_STEPS = 18


def _bias(shares: Tensor) -> Tensor:
    """What is added to attention's logits, (B, 1, N): outside the region nothing is looked at."""
    return shares.clamp_min(1e-4).log()[:, None]


def _convolution(before: int, after: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


def _perceptron(before: int, between: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(before, between), nn.GELU(), nn.Linear(between, after))


class _Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)  # type: ignore[no-any-return]


class _Attention(nn.Module):
    """Attention of several heads, which also carries raw numbers of what it looks at."""

    def __init__(self, width: int, carried: int) -> None:
        super().__init__()
        self.carried = carried
        self.before = nn.LayerNorm(width)
        self.before_keys = nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(
        self, x: Tensor, keys: Tensor, carried: Tensor | None, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What x (B, N, C) finds in keys (B, M, C), and each head's mean of carried (B, M, P)."""
        batch, count, width = x.shape
        keys = self.before_keys(keys)
        q, k, v = (
            y.unflatten(2, (_HEADS, -1)).transpose(1, 2)
            for y in (self.query(self.before(x)), self.key(keys), self.value(keys))
        )
        logits = q @ k.mT * (width // _HEADS) ** -0.5 + bias[:, None]
        weights = logits.softmax(-1)
        found = self.out((weights @ v).transpose(1, 2).flatten(2))
        if carried is None:
            return found, found.new_zeros(batch, count, 0)
        raw = weights @ carried[:, None].to(weights.dtype)
        return found, raw.transpose(1, 2).flatten(2)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = _Attention(width, 0)
        self.before = nn.LayerNorm(width)
        self.mix = _perceptron(width, 2 * width, width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = x + self.attention(x, x, None, bias)[0]
        return x + self.mix(self.before(x))  # type: ignore[no-any-return]
