"""Models for other programs: ONNX, with standard operators alone."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from pydpst.models import load
from pydpst.networks import BilateralGridNet
from pydpst.reference import bilateral_slice_apply


class _StandardOperators(nn.Module):
    """A BilateralGridNet whose result is made of operators that ONNX has."""

    def __init__(self, network: BilateralGridNet, strength: float) -> None:
        super().__init__()
        self.network, self.strength = network, strength

    def forward(self, image: Tensor) -> Tensor:
        network = self.network
        rows, columns = (_averages(n, network.copy_side) for n in image.shape[-2:])
        copy = rows @ image @ columns.transpose(0, 1)
        matrix, offset = network.linear_map(copy)
        grid = network.transforms(copy, matrix, offset)
        guide = network.guide_at_once(image, matrix, offset)
        result = bilateral_slice_apply(grid, guide, image)
        return (image + self.strength * (result - image)).clamp(0, 1)


def _averages(pixels: int, side: int) -> Tensor:
    """The matrix (side, pixels) that scales as `interpolate(mode="bilinear", antialias=True)`."""
    scale = pixels / side
    reach = max(scale, 1.0) if isinstance(scale, float) else torch.sym_max(scale, 1.0)
    at = (torch.arange(side, dtype=torch.float32) + 0.5)[:, None] * scale
    distance = (torch.arange(pixels, dtype=torch.float32) + 0.5 - at).abs() / reach
    weights = (1 - distance).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


def export_onnx(
    model: nn.Module | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    strength: float = 1.0,
) -> None:
    """Writes a model as ONNX: ``photo`` (1, 3, H, W) in [0, 1] to ``result``, likewise.

    Args:
        model: a `BilateralGridNet`, or what `load` takes.
        path: where to, ending in .onnx.
        strength: as for `apply`.

    Raises:
        ValueError: for another network or path, or if the package onnx is missing.
    """
    if Path(path).suffix != ".onnx":
        raise ValueError(f"the output {path} must end in .onnx.")
    network = model if isinstance(model, nn.Module) else load(model)
    if not isinstance(network, BilateralGridNet):
        raise ValueError("only models of the kind grid can be exported.")
    try:
        import onnxscript  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        raise ValueError(
            "exporting needs the package onnx; run `pip install pydpst[onnx]`."
        ) from None
    sides = {2: torch.export.Dim("height", min=16), 3: torch.export.Dim("width", min=16)}
    program = torch.onnx.export(
        _StandardOperators(network.cpu(), strength).eval(),
        (torch.rand(1, 3, 300, 400),),
        input_names=["photo"],
        output_names=["result"],
        dynamic_shapes=({**sides},),
        opset_version=20,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(path)
