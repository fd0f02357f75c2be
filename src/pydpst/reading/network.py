"""The network that compares two photos and says which grade takes one to the look of the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pydpst.photos.color_spaces import oklab

# Maps along the luminance, as in a grade.
KNOTS = 8
# Pixels a side of what one token stands for.
CELL = 8
_TOKEN, _HEADS = 128, 4
# The statistics of a cell: means of RGB, of OKLab and of its products, of the knots' weights and
# of these times RGB, of RGB's products.
_PLANES = 3 + 3 + 6 + KNOTS + 3 * KNOTS + 6
# Of these, what a token shows of its colours: means of OKLab and roots of its moments, and RGB.
_SHOWN = 12
# What knots are told of a cell: its colours, and how those that each head found differ.
_CARRIED = (1 + _HEADS) * _SHOWN
_PRODUCTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
# Squared deviations below this are no contrast that could be stretched; slopes beyond are none.
_LEAST_VARIANCE, _STEEPEST = 1e-3, 3.0
# How far an output of 1 moves greys, and how much it changes the slopes of colours.
_SHIFT, _SLOPE = 0.2, 0.5
_FAINT = 1e-3


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
        self.token = nn.Linear(128 + _SHOWN, _TOKEN)
        self.whole = _perceptron(3 * (_PLANES - 6), 256, _TOKEN)
        self.match = _Attention(_TOKEN, _SHOWN)
        self.difference = _perceptron(2 * _TOKEN + (1 + 2 * _HEADS) * _SHOWN, 256, _TOKEN)
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
            planes = F.avg_pool2d(_statistics(images, lab), CELL)
        cells = planes.flatten(2).mT
        seen = self.encoder(torch.cat([images - 0.5, 2 * lab - _CENTRE.to(lab)], 1))
        tokens = self.token(torch.cat([seen.flatten(2).mT, _shown(cells)], 2))
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
        means = [_mean(x.cells, y) for x, y in ((content, shares), (style, style_shares))]
        own, theirs = (_pooled(mean) for mean in means)
        whole = self.whole(torch.cat([own, theirs, theirs - own], 1))
        shown, wanted = _shown(content.cells), _shown(style.cells)
        matched, colors = self.match(content.tokens, style.tokens, wanted, _bias(style_shares))
        change = colors - shown.repeat(1, 1, _HEADS)
        found = self.difference(torch.cat([content.tokens, matched, shown, colors, change], 2))
        x = content.tokens + found
        inside = _bias(shares)
        for block in self.blocks:
            x = block(x, inside)
        near = (_amounts(content.cells).mT + 0.02).log()
        by_knot = torch.cat([_knots(own), _knots(theirs), _knots(theirs) - _knots(own)], 2)
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
    by_head = raw.reshape(*raw.shape[:2], _HEADS, 1 + _HEADS, _SHOWN)
    return by_head[:, :, :, 1:, -3:].mean((2, 3)) / 2


def _as_maps(out: Tensor, linear: Tensor, found: Tensor) -> Tensor:
    """Maps (B, K, 12) of the outputs (B, K, 14).

    They are a share of the linear map (B, 3, 4), a share of the shift that was found (B, K, 3), and
    what is added: it moves greys by a shift, and changes what differs from them by slopes.
    """
    trust = torch.sigmoid(out[..., 12, None, None] - 2)
    share = torch.sigmoid(out[..., 13, None] - 1)
    identity = torch.eye(3, 4, device=out.device, dtype=out.dtype)
    grey = torch.linspace(0, 1, KNOTS, device=out.device, dtype=out.dtype)
    shift = _SHIFT * out[..., :3] + share * found
    slopes = _SLOPE * out[..., 3:12].reshape(*out.shape[:2], 3, 3)
    constant = shift - slopes.sum(3) * grey[:, None]
    more = torch.cat([slopes, constant[..., None]], 3)
    maps = identity + trust * (linear[:, None] - identity) + more
    return maps.flatten(2)


def _linear_map(own: Tensor, theirs: Tensor) -> Tensor:
    """The Monge-Kantorovich map (B, 3, 4) between colours of mean statistics (B, 50)."""
    (mean, covariance), (wanted_mean, wanted) = (_moments(x.float()) for x in (own, theirs))
    root, inverse = _roots(covariance)
    between, _ = _roots(root @ wanted @ root)
    matrix = (inverse @ between @ inverse).clamp(-_STEEPEST, _STEEPEST)
    return torch.cat([matrix, wanted_mean[..., None] - matrix @ mean[..., None]], 2)


def _moments(mean: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (B, 3) and covariance (B, 3, 3) of RGB of statistics (B, 50)."""
    color, products = mean[:, :3], mean[:, -6:]
    rows = [[products[:, _PLACES[i][j]] for j in range(3)] for i in range(3)]
    second = torch.stack([torch.stack(row, 1) for row in rows], 1)
    covariance = second - color[:, :, None] * color[:, None]
    return color, covariance + _LEAST_VARIANCE * _identity_like(mean)


def _identity_like(values: Tensor) -> Tensor:
    """The identity (3, 3) where values are; made there, since a copy would wait for the device."""
    return torch.eye(3, device=values.device, dtype=values.dtype)


def _roots(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """The roots of positive definite (B, 3, 3) and their inverses, by Newton and Schulz.

    No decomposition: other programs that run networks have none.
    """
    scale = matrices.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    identity = _identity_like(matrices)
    y, z = matrices / scale, identity.expand_as(matrices)
    for _ in range(_ROOT_STEPS):
        change = 1.5 * identity - 0.5 * z @ y
        y, z = y @ change, change @ z
    return y * scale.sqrt(), z / scale.sqrt()


_ROOT_STEPS = 18
# Where the product of two channels is among the six.
_PLACES = ((0, 3, 4), (3, 1, 5), (4, 5, 2))


def _statistics(images: Tensor, lab: Tensor) -> Tensor:
    """What is averaged over cells, (B, 50, H, W)."""
    products = [lab[:, i] * lab[:, j] for i, j in _PRODUCTS]
    place = images.mean(1) * (KNOTS - 1)
    knots = torch.arange(KNOTS, device=images.device, dtype=images.dtype).view(-1, 1, 1)
    weights = (1 - (place[:, None] - knots).abs()).clamp_min(0)
    colors = (weights[:, :, None] * images[:, None]).flatten(1, 2)
    squares = [images[:, i] * images[:, j] for i, j in _PRODUCTS]
    parts = [images, lab, torch.stack(products, 1), weights, colors, torch.stack(squares, 1)]
    return torch.cat(parts, 1)


def _shown(cells: Tensor) -> Tensor:
    """Of statistics (..., 50), OKLab's means, deviations and correlations, and RGB, scaled."""
    mean, products = cells[..., 3:6], cells[..., 6:12]
    deviation = (products[..., :3] - mean.square()).clamp_min(1e-6).sqrt()
    mixed = torch.stack(
        [products[..., 3 + k] - mean[..., i] * mean[..., j] for k, (i, j) in _MIXED], -1
    )
    correlation = mixed / torch.stack(
        [deviation[..., i] * deviation[..., j] + 1e-4 for _, (i, j) in _MIXED], -1
    )
    scale = mean.new_tensor([2.0, 8.0, 8.0])
    rgb = 2 * cells[..., :3] - 1
    return torch.cat([mean * scale, 2 * deviation * scale, correlation, rgb], -1)


_MIXED = tuple(enumerate(_PRODUCTS[3:]))


def _mean(cells: Tensor, shares: Tensor) -> Tensor:
    """The statistics of a region, (B, 50)."""
    weights = (shares + 1e-6) / (shares + 1e-6).sum(1, keepdim=True)
    return (weights[..., None] * cells).sum(1)


def _pooled(mean: Tensor) -> Tensor:
    """A region's statistics, (B, 44), in a form that is easily compared."""
    amounts = mean[:, 12 : 12 + KNOTS]
    colors = mean[:, 12 + KNOTS : -6].reshape(-1, KNOTS, 3)
    grey = torch.linspace(0, 1, KNOTS, device=mean.device, dtype=mean.dtype)
    offsets = (colors - (amounts * grey)[..., None]) / (amounts + _FAINT)[..., None]
    lab = _shown(mean)[:, :9]
    return torch.cat([mean[:, :3], lab, amounts.cumsum(1), (4 * offsets).flatten(1)], 1)


def _knots(pooled: Tensor) -> Tensor:
    """Of `_pooled`, for each knot how much lies below it and its colour: (B, K, 4)."""
    below = pooled[:, 12 : 12 + KNOTS, None]
    return torch.cat([below, pooled[:, 12 + KNOTS :].reshape(-1, KNOTS, 3)], 2)


def _amounts(cells: Tensor) -> Tensor:
    """How much of each cell is near each knot, (B, N, K)."""
    return cells[..., 12 : 12 + KNOTS]


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
