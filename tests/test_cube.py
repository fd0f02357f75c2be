"""The nearest look-up table: what it recovers, and what other programs make of its file."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Run
from torch import Tensor

import pydpst
from pydpst.metrics import level_error
from pydpst.photos.resizing import resize
from pydpst.transfer.cube import apply_cube, fit_cube, identity_cube, write_cube


def _read(path: Path) -> np.ndarray:
    """Entries [b, g, r] of a .cube file, by the specification and nothing of ours."""
    size, rows = 0, []
    for line in path.read_text("ascii").splitlines():
        words = line.split()
        if words and words[0] == "LUT_3D_SIZE":
            size = int(words[1])
        elif words and words[0][0] in "-.0123456789":
            rows.append([float(word) for word in words])
    assert len(rows) == size**3
    return np.array(rows).reshape(size, size, size, 3)


def _look_up(table: np.ndarray, image: Tensor) -> np.ndarray:
    """Trilinear interpolation, by its definition."""
    place = image.double().numpy() * (len(table) - 1)
    low = np.minimum(place.astype(int), len(table) - 2)
    part = place - low
    result = np.zeros((*image.shape[1:], 3))
    for corner in np.ndindex(2, 2, 2):
        (r, g, b), weight = (low[i] + corner[i] for i in range(3)), 1.0
        for i in range(3):
            weight = weight * (part[i] if corner[i] else 1 - part[i])
        result += weight[..., None] * table[b, g, r]
    return result.transpose(2, 0, 1)


def _bent(image: Tensor) -> Tensor:
    red, green, blue = image
    return torch.stack([red**1.5, 0.8 * green + 0.2 * red * blue, 0.1 + 0.7 * (blue + 0.2).sqrt()])


def test_nothing_changed_is_the_identity(city_day: Path) -> None:
    photo = resize(pydpst.load_image(city_day), 128)
    torch.testing.assert_close(
        fit_cube(photo, photo, 17), identity_cube(17).float(), rtol=0, atol=1e-4
    )


def test_an_affine_map_holds_for_colours_that_do_not_occur(city_day: Path) -> None:
    photo = resize(pydpst.load_image(city_day), 128)
    matrix = torch.tensor([[0.6, 0.1, 0.0], [0.1, 0.5, 0.1], [0.0, 0.1, 0.7]])
    after = torch.einsum("ij,jhw->ihw", matrix, photo) + 0.1
    wanted = identity_cube(9).float() @ matrix.T + 0.1
    torch.testing.assert_close(fit_cube(photo, after, 9), wanted, rtol=0, atol=5e-3)


def test_a_known_table_is_recovered() -> None:
    colours = torch.rand(3, 100_000, generator=torch.Generator().manual_seed(0))
    known = _bent(identity_cube(9).movedim(-1, 0)).movedim(0, -1).float()
    cube = fit_cube(colours, apply_cube(known, colours), 9)
    assert (cube - known).abs().mean() < 1 / 255
    assert (cube - known).abs().max() < 8 / 255


def test_more_entries_are_nearer(city_day: Path) -> None:
    photo = resize(pydpst.load_image(city_day), 128)
    after = _bent(photo)
    errors = [
        level_error(apply_cube(fit_cube(photo, after, n), photo), after)[0] for n in (2, 5, 33)
    ]
    assert errors[0] > 2 * errors[1] > 2 * errors[2]
    assert errors[2] < 0.5


def test_colours_that_do_not_fit_are_refused() -> None:
    for before, after in [((3, 4), (3, 5)), ((4, 4), (4, 4)), ((3, 0), (3, 0))]:
        with pytest.raises(ValueError, match="both must be"):
            fit_cube(torch.zeros(before), torch.zeros(after))
    for size in (1, 130):
        with pytest.raises(ValueError, match="the cube's size is"):
            fit_cube(torch.zeros(3, 4), torch.zeros(3, 4), size)


def test_the_error_printed_is_that_of_the_file(run: Run, city_day: Path, tmp_path: Path) -> None:
    output = tmp_path / "night.cube"
    code, err = run("export", "night", "--cube", output, "--photos", city_day, "--cube-size", "9")
    assert code == 0
    photo = resize(pydpst.load_image(city_day), 512)
    error = 255 * np.abs(
        _look_up(_read(output), photo) - pydpst.apply_model("night", photo).numpy()
    )
    assert f"off the model by {math.sqrt((error**2).mean()):.1f} of 255 levels" in err
    assert f"95 % by less than {np.percentile(error, 95):.1f}, over the photo" in err


def test_without_photos_it_is_nearer_than_nothing(run: Run, city_day: Path, tmp_path: Path) -> None:
    assert run("export", "night", "--cube", tmp_path / "night.cube", "--cube-size", "17")[0] == 0
    photo = resize(pydpst.load_image(city_day), 256)
    wanted = pydpst.apply_model("night", photo)
    result = torch.from_numpy(_look_up(_read(tmp_path / "night.cube"), photo))
    assert level_error(result, wanted)[0] < 0.7 * level_error(photo, wanted)[0]


def test_ffmpeg_reads_it(city_day: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    photo = resize(pydpst.load_image(city_day), 128)
    cube = fit_cube(photo, _bent(photo))
    write_cube(cube, tmp_path / "look.cube", 'a "look"')
    levels = (photo * 255).round().byte()
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=levels.shape[2], height=levels.shape[1], format="rgb24", time_base=Fraction(1, 25)
    )
    lut = graph.add("lut3d", f"file={tmp_path / 'look.cube'}:interp=trilinear")
    source.link_to(lut)
    lut.link_to(sink := graph.add("buffersink"))
    graph.configure()
    graph.push(av.VideoFrame.from_ndarray(levels.permute(1, 2, 0).contiguous().numpy(), "rgb24"))
    have = torch.from_numpy(sink.pull().to_ndarray(format="rgb24")).permute(2, 0, 1)
    wanted = apply_cube(cube, levels / 255)
    assert (have / 255 - wanted).abs().max() < 1.01 / 255


@pytest.mark.filterwarnings("ignore:skipped")
def test_bad_input_is_one_sentence(run: Run, city_day: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    for arguments, sentence in [
        ((), "there is nothing to write"),
        (("-o", tmp_path / "a.onnx", "--photos", city_day), "--photos is for the look-up table"),
        (("--cube", tmp_path / "a.png"), "must end in .cube"),
        (("--cube", tmp_path / "a.cube", "--cube-size", "1"), "the cube's size is 1"),
        (("--cube", tmp_path / "a.cube", "--photos", tmp_path / "gone"), "do not exist"),
        (("--cube", tmp_path / "a.cube", "--photos", broken), "none of the photos can be read"),
        (("--cube", tmp_path / "a.cube", "--strength", "3"), "strength is 3.0"),
    ]:
        code, err = run("export", "night", *arguments)
        assert code == 2
        assert sentence in err
        assert not list(tmp_path.glob("*.cube"))
