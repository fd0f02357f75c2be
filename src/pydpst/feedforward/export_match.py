"""The network that reads looks, with the grade it gives, as ONNX with standard operators alone."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from pydpst.feedforward.export import check_onnx, copy_weights, write_onnx
from pydpst.ops.reference import grade_apply
from pydpst.reading.network import LookReader
from pydpst.reading.reader import SEEN_SIDE, reader
from pydpst.reading.second_look import look_twice, rendered


class _StandardMatch(nn.Module):
    """What `pydpst.match` does, of operators that ONNX has."""

    def __init__(self, network: LookReader, strength: float) -> None:
        super().__init__()
        self.network, self.strength = network, strength

    def forward(self, photo: Tensor, style: Tensor) -> Tensor:
        small = _small(photo)
        content, example = self.network.read(small), self.network.read(_small(style))
        ones = torch.ones_like(content.cells[..., 0])
        maps = look_twice(self.network, small, content, example, ones, ones, apply=grade_apply)
        result = rendered(maps, photo, grade_apply)
        return (photo + self.strength * (result.clamp(0, 1) - photo)).clamp(0, 1)


def _small(image: Tensor) -> Tensor:
    """As a square: other programs know no sizes that depend on the photo's."""
    rows, columns = (copy_weights(n, SEEN_SIDE) for n in image.shape[-2:])
    return (rows @ image @ columns.transpose(0, 1)).clamp(0, 1)


def export_match(
    path: str | os.PathLike[str], network: LookReader | None = None, *, strength: float = 1.0
) -> None:
    """Writes ONNX: ``photo`` and ``style``, (1, 3, H, W) each in [0, 1], to ``result``.

    Both have any size of at least 16. Deviation from `match`: the network sees both as squares.

    Args:
        path: where to, ending in .onnx.
        network: None is the bundled one.
        strength: as for `match`.

    Raises:
        ValueError: for another path, or if the package onnx is missing.
    """
    check_onnx(path)
    sides = [
        {2: torch.export.Dim(f"{of}_height", min=16), 3: torch.export.Dim(f"{of}_width", min=16)}
        for of in ("photo", "style")
    ]
    program = torch.onnx.export(
        _StandardMatch(network or reader(), strength).eval(),
        (torch.rand(1, 3, 300, 400), torch.rand(1, 3, 240, 250)),
        input_names=["photo", "style"],
        output_names=["result"],
        dynamic_shapes=tuple(sides),
        opset_version=20,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    write_onnx(program, path)
