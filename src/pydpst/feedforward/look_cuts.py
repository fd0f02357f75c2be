"""Parts of photos, and what they show where, as a `LookReader` learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Top, bottom, left and right of a part, of the photo's height and width.
Window = tuple[float, float, float, float]


@dataclass(frozen=True)
class Cut:
    """Two parts of a photo that are wanted.

    Attributes:
        number: of the photo.
        windows: where they are, in [0, 1].
        mirrored: whether left and right change places in both.
    """

    number: int
    windows: tuple[Window, Window]
    mirrored: bool


class Album:
    """Photos, and what is where in them.

    Args:
        photos: (3, H, W), uint8, on the CPU.
        maps: for each photo the probabilities of kinds of thing, (G, h, w).
        device: where parts of them are wanted; unless it is the CPU, all are copied there.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        maps: Sequence[Tensor],
        device: torch.device = torch.device("cpu"),  # noqa: B008
    ) -> None:
        self.photos, self.maps, self.device = photos, maps, device
        on_cpu = device.type == "cpu"
        self._stacks = None if on_cpu else [PlaneStack(x, device) for x in (photos, maps)]

    def __len__(self) -> int:
        return len(self.photos)

    def parts(self, cuts: Sequence[Cut], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Both parts of P photos, scaled to a size.

        Returns:
            (2, P, 3, *size) in [0, 1], and of the maps (2, P, G, *size), on the device.
        """
        if self._stacks is not None:
            photos, maps = (stack.parts(cuts, size) for stack in self._stacks)
        else:
            photos, maps = (parts_of(planes, cuts, size) for planes in (self.photos, self.maps))
        return photos, maps


def parts_of(planes: Sequence[Tensor], cuts: Sequence[Cut], size: tuple[int, int]) -> Tensor:
    """Both parts of some of the planes, one by one, (2, P, C, *size)."""
    found = []
    for cut in cuts:
        own = _levels(planes[cut.number])
        both = torch.stack([_part(own, window, size) for window in cut.windows])
        found.append(both.flip(-1) if cut.mirrored else both)
    return torch.stack(found, 1)


def _part(planes: Tensor, window: Window, size: tuple[int, int]) -> Tensor:
    rows, columns = (slice(*span) for span in _spans(window, *planes.shape[-2:]))
    part = planes[None, :, rows, columns]
    return F.interpolate(part, size, mode="bilinear", antialias=True)[0].clamp(0, 1)


class PlaneStack:
    """Planes of several sizes in one tensor, of which parts take few operations, whatever P is.

    Args:
        planes: (C, H, W) each, uint8 or floating point.
        device: where they are kept.
    """

    def __init__(self, planes: Sequence[Tensor], device: torch.device) -> None:
        self._sizes = [(x.shape[1], x.shape[2]) for x in planes]
        height, width = (max(sides) for sides in zip(*self._sizes, strict=True))
        stack = planes[0].new_zeros(len(planes), len(planes[0]), height, width)
        for place, (tall, wide), own in zip(stack, self._sizes, planes, strict=True):
            place[:, :tall, :wide] = own
        self._stack = stack.to(device)

    def parts(self, cuts: Sequence[Cut], size: tuple[int, int]) -> Tensor:
        """As `parts_of`, but for rounding."""
        device = self._stack.device
        spans = [
            [_spans(cut.windows[k], *self._sizes[cut.number]) for cut in cuts] for k in range(2)
        ]
        rows, columns = torch.tensor(spans).to(device).unbind(2)
        mirrored = torch.tensor([cut.mirrored for cut in cuts]).to(device)
        planes = _levels(self._stack[torch.tensor([cut.number for cut in cuts]).to(device)])
        height, width = planes.shape[-2:]
        down, across = _sampling(rows, height, size[0]), _sampling(columns, width, size[1])
        across = torch.where(mirrored[:, None, None], across.flip(-2), across)
        return (down[:, :, None] @ planes @ across[:, :, None].mT).clamp(0, 1)


def _levels(planes: Tensor) -> Tensor:
    return planes.float() / 255 if planes.dtype == torch.uint8 else planes.float()


def _spans(window: Window, height: int, width: int) -> list[tuple[int, int]]:
    """The rows and the columns of a window: the first, and the one after the last."""
    sides = ((*window[:2], height), (*window[2:], width))
    return [
        (int(low * side), max(int(low * side) + 1, round(high * side))) for low, high, side in sides
    ]


def _sampling(spans: Tensor, length: int, count: int) -> Tensor:
    """How spans (..., 2) of a line of pixels are scaled to so many: matrices (..., count, length).

    What `torch.nn.functional.interpolate` does in its mode "bilinear", antialiased.
    """
    start, stop = spans[..., None, :1], spans[..., None, 1:]
    scale = (stop - start) / count
    pixel = torch.arange(length, device=spans.device)
    center = start + scale * (torch.arange(count, device=spans.device)[:, None] + 0.5)
    weights = (1 - (pixel + 0.5 - center).abs() / scale.clamp_min(1)).clamp_min(0)
    weights = weights * ((pixel >= start) & (pixel < stop))
    return weights / weights.sum(-1, keepdim=True)
