"""Models for other programs: ONNX with standard operators alone, and 3D look-up tables."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pydpst.feedforward.grid import fit_grid
from pydpst.feedforward.model_file import save_model
from pydpst.feedforward.models import apply_model, load_model
from pydpst.feedforward.networks import BilateralGridNet
from pydpst.feedforward.training_photos import find_photos
from pydpst.metrics.levels import is_useless, level_error
from pydpst.ops.reference import bilateral_slice_apply
from pydpst.photos.decode import Source
from pydpst.photos.image import load_image
from pydpst.photos.resizing import resize
from pydpst.photos.writing import check_output, write_whole
from pydpst.transfer.cube import apply_cube, check_cube_size, fit_cube, write_cube

# Pixels of the longer side of the photos that a look-up table is fitted to, and of all together.
_PHOTO_SIZE, _PIXELS = 512, 1 << 22


class _StandardOperators(nn.Module):
    """A BilateralGridNet whose result is made of operators that ONNX has."""

    def __init__(self, network: BilateralGridNet, strength: float) -> None:
        super().__init__()
        self.network, self.strength = network, strength

    def forward(self, image: Tensor) -> Tensor:
        network = self.network
        rows, columns = (copy_weights(n, network.copy_side) for n in image.shape[-2:])
        copy = rows @ image @ columns.transpose(0, 1)
        matrix, offset = network.linear_map(copy)
        grid = network.transforms(copy, matrix, offset)
        guide = network.guide_at_once(image, matrix, offset)
        result = bilateral_slice_apply(grid, guide, image)
        return (image + self.strength * (result - image)).clamp(0, 1)


def copy_weights(pixels: int, side: int) -> Tensor:
    """The matrix (side, pixels) that scales as `interpolate(mode="bilinear", antialias=True)`."""
    scale = pixels / side
    reach = max(scale, 1.0) if isinstance(scale, float) else torch.sym_max(scale, 1.0)
    at = (torch.arange(side, dtype=torch.float32) + 0.5)[:, None] * scale
    distance = (torch.arange(pixels, dtype=torch.float32) + 0.5 - at).abs() / reach
    weights = (1 - distance).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


def check_onnx(path: str | os.PathLike[str]) -> None:
    """Refuses what no ONNX can be written to.

    Raises:
        ValueError: for a path that `check_output` refuses, or if the package onnx is missing.
    """
    check_output(path, (".onnx",))
    try:
        import onnxscript  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        raise ValueError(
            "exporting needs the package onnx; run `pip install pydpst[onnx]`."
        ) from None


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
    check_onnx(path)
    network = model if isinstance(model, nn.Module) else load_model(model)
    if not isinstance(network, BilateralGridNet):
        raise ValueError("only models of the kind grid can be exported as ONNX.")
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
    write_onnx(program, path)


def write_onnx(program: torch.onnx.ONNXProgram, path: str | os.PathLike[str]) -> None:
    """Writes a model as a file of ONNX; whole or not at all."""
    write_whole(Path(path), program.model_proto.SerializeToString())


@dataclass(frozen=True)
class CubeFit:
    """How near a look-up table is to its model, over the photos that it was fitted to.

    Attributes:
        photos: how many; 0 for synthetic ones.
        rms: the root mean square over pixels and channels, in levels of 8 bits.
        percentile: the 95th, likewise.
    """

    photos: int
    rms: float
    percentile: float


def nearest_cube(
    model: nn.Module | str | os.PathLike[str],
    photos: str | os.PathLike[str] | Sequence[Source] | None = None,
    *,
    strength: float = 1.0,
    size: int = 33,
    callback: Callable[[], None] | None = None,
) -> tuple[Tensor, CubeFit]:
    """The global 3D look-up table nearest to what a model does to photos.

    What a model does to a colour depends on the photo and on the place in it; a table knows
    neither. Fitted to one photo it has that photo's look, to several the mean of theirs. Without
    photos it is fitted to synthetic pictures that have the colours of photos and no scene: on
    photos that a table was not fitted to, that is nearer to the model than a table fitted to a few
    others (docs/feedforward.md).

    Args:
        model: as for `apply`.
        photos: a photo, a folder of photos, or a list of them; unreadable ones are named in a
            warning and skipped. They are scaled down to 512 pixels.
        strength: as for `apply`.
        size: entries a side of the table, 2 to 129.
        callback: called after each photo.

    Returns:
        The table as from `fit_cube`, and how near it is.

    Raises:
        ValueError: for an argument that is not as above, or if no photo is readable.
    """
    check_cube_size(size)
    network = model if isinstance(model, nn.Module) else load_model(model)
    sources = None if photos is None else find_photos(photos)
    before, after = [], []
    for picture in _synthetic_photos() if sources is None else _small_photos(sources):
        stride = 1 if sources is None else -(-len(sources) * picture[0].numel() // _PIXELS)
        result = apply_model(network, picture, strength=strength).cpu()
        before.append(picture.flatten(1)[:, ::stride])
        after.append(result.flatten(1)[:, ::stride])
        if callback is not None:
            callback()
    if not before:
        raise ValueError("none of the photos can be read; give at least one that can.")
    colours, wanted = torch.cat(before, 1), torch.cat(after, 1)
    cube = fit_cube(colours, wanted, size)
    rms, percentile = level_error(apply_cube(cube, colours), wanted)
    return cube, CubeFit(0 if sources is None else len(before), rms, percentile)


def export_cube(
    model: nn.Module | str | os.PathLike[str],
    path: str | os.PathLike[str],
    photos: str | os.PathLike[str] | Sequence[Source] | None = None,
    *,
    strength: float = 1.0,
    size: int = 33,
    callback: Callable[[], None] | None = None,
) -> CubeFit:
    """Writes the table of `nearest_cube` to a file ending in .cube; arguments as there.

    Returns:
        How near it is.

    Raises:
        ValueError: likewise, or if the path is refused by `check_output`.
        OSError: if writing fails.
    """
    check_output(path, (".cube",))
    cube, fit = nearest_cube(model, photos, strength=strength, size=size, callback=callback)
    write_cube(cube, path, Path(path).stem)
    return fit


def export_fitted_cube(
    before: Tensor, after: Tensor, path: str | os.PathLike[str]
) -> tuple[float, float]:
    """Writes the 3D look-up table nearest to what became of one photo.

    Args:
        before: (3, H, W) in [0, 1].
        after: likewise.
        path: where to, ending in .cube.

    Returns:
        How far it is off, see `metrics.level_error`.

    Raises:
        ValueError: if one table cannot have the look, which is other in other places; or if the
            path is refused by `check_output`.
    """
    check_output(path, (".cube",))
    cube = fit_cube(before, after)
    rms, percentile = level_error(apply_cube(cube, before), after)
    if is_useless(rms):
        raise ValueError(
            f"the look is another in each region, and the nearest single table {rms:.1f} of 255 "
            f"levels off (RMS), which is of no use; {path} is not written, --export-look writes a "
            "table for each region."
        )
    write_cube(cube, path, Path(path).stem)
    return rms, percentile


def export_fitted_grid(
    before: Tensor, after: Tensor, path: str | os.PathLike[str]
) -> tuple[float, float]:
    """Writes the bilateral grid nearest to what became of one photo, as a model for `apply`.

    The model is for this photo, at any size, and refuses others. Arguments and result as for
    `export_fitted_cube`, but for the suffix .safetensors.
    """
    check_output(path, (".safetensors",))
    grid = fit_grid(before, after)
    save_model(grid, path, {"license": ""})
    return level_error(grid(before[None])[0].clamp(0, 1), after)


def _small_photos(sources: Sequence[Source]) -> Iterator[Tensor]:
    for source in sources:
        try:
            yield resize(load_image(source, "input"), _PHOTO_SIZE)
        except ValueError as error:
            warnings.warn(f"skipped: {error}", stacklevel=2)


def _synthetic_photos() -> Iterator[Tensor]:
    """Pictures (3, 256, 384) of noise with the spectrum and the colours of photos.

    The amplitude falls with the frequency to the power 1.2 (Tolhurst, Tadmor and Chao 1992,
    "Amplitude spectra of natural images"); mean and covariance of the colours are the means of
    those of the photos in examples/photos.
    """
    height, width = 256, 384
    mean = torch.tensor([[0.486], [0.464], [0.433]])
    covariance = torch.tensor(
        [[0.0677, 0.0591, 0.0518], [0.0591, 0.0579, 0.0549], [0.0518, 0.0549, 0.0603]]
    )
    rows = torch.fft.fftfreq(height)[:, None] * height
    columns = torch.fft.rfftfreq(width) * width
    frequency = torch.hypot(rows, columns).clamp(min=1)
    for seed in range(4):
        noise = torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed))
        picture = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency**1.2, s=(height, width))
        picture = picture.flatten(1)
        picture = picture - picture.mean(1, keepdim=True)
        white = torch.linalg.solve_triangular(
            torch.linalg.cholesky(torch.cov(picture)), picture, upper=False
        )
        coloured = torch.linalg.cholesky(covariance) @ white + mean
        yield coloured.clamp(0, 1).view(3, height, width)
