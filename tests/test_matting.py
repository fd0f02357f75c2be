from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import PHOTOS, Run
from PIL import Image, ImageDraw
from torch import Tensor

import pydpst
from pydpst.matting.foreground import composite
from pydpst.matting.trimap import load_trimap
from pydpst.photos.image import load_image
from pydpst.regions.masks import refined_masks, soft_masks

pymatting = pytest.importorskip("pymatting")

LEMUR = Path(
    os.environ.get("PYDPST_MATTING_CASE", Path(__file__).parents[2] / "shared" / "matting")
)
SIZE = (96, 128)


def hair() -> Tensor:
    """A blob with thin strokes around it."""
    picture = Image.new("L", (4 * SIZE[1], 4 * SIZE[0]))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((180, 110, 330, 270), fill=255)
    for angle in np.linspace(0, 2 * np.pi, 40, endpoint=False):
        away = np.array([np.cos(angle), np.sin(angle)])
        start, end = (np.array([255, 190]) + length * away for length in (60, 130))
        draw.line([*start, *end], fill=255, width=5)
    return torch.from_numpy(np.array(picture.resize(SIZE[::-1], Image.Resampling.BOX))) / 255


def blurred_disc() -> Tensor:
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    distance = ((y - 48) ** 2 + (x - 64) ** 2).sqrt()
    return ((36 - distance) / 12).clamp(0, 1)


def glass() -> Tensor:
    """A pane of constant opacity in an opaque frame."""
    alpha = torch.zeros(SIZE)
    alpha[20:76, 30:98] = 1
    alpha[34:62, 46:82] = 0.4
    return alpha


CASES = {"hair": hair, "blurred disc": blurred_disc, "glass": glass}


def a_case(name: str) -> tuple[Tensor, Tensor, Tensor]:
    """A photo composited with known alpha, the trimap, and that alpha."""
    alpha = CASES[name]()
    behind = F.interpolate(load_image(PHOTOS / "city_day.jpg")[None], SIZE, mode="area")[0]
    y, x = torch.meshgrid(
        torch.linspace(0, 1, SIZE[0]), torch.linspace(0, 1, SIZE[1]), indexing="ij"
    )
    front = torch.stack([0.9 - 0.2 * x, 0.3 + 0.2 * y, 0.1 + 0.1 * x])
    image = composite(front, behind, alpha)
    unsure = ((alpha > 0) & (alpha < 1)).float()[None]
    unsure = F.max_pool2d(unsure, 7, 1, 3)[0] > 0
    return image, torch.where(unsure, 0.5, alpha), alpha


def for_pymatting(*tensors: Tensor) -> list[np.ndarray]:
    return [
        (tensor.movedim(0, -1) if tensor.ndim == 3 else tensor).double().numpy().copy()
        for tensor in tensors
    ]


def error(have: Tensor | np.ndarray, want: Tensor) -> float:
    return float((torch.as_tensor(have) - want).abs().mean())


def check(image: Tensor, trimap: Tensor, alpha: Tensor) -> None:
    arrays = for_pymatting(image, trimap)
    closed_form = pymatting.estimate_alpha_cf(*arrays)
    have = pydpst.estimate_alpha(image, trimap, tol=1e-7)
    assert error(closed_form, have) < 1e-3
    assert error(have, alpha) <= error(closed_form, alpha) + 1e-5
    large_kernel = pymatting.estimate_alpha_lkm(*arrays)
    have = pydpst.estimate_alpha(image, trimap, "large-kernel", 10, tol=1e-7)
    assert error(have, alpha) <= error(large_kernel, alpha) + 1e-5


@pytest.mark.parametrize("name", CASES)
def test_as_good_as_pymatting(name: str) -> None:
    check(*a_case(name))


@pytest.mark.skipif(not LEMUR.is_dir(), reason="needs the matting case")
def test_the_lemur() -> None:
    """A half-size part of it, for time's sake."""
    image = load_image(LEMUR / "lemur.png")[:, :300, 200:500]
    trimap = load_trimap(LEMUR / "lemur_trimap.png")[:300, 200:500]
    alpha = load_image(LEMUR / "lemur_alpha.png")[0, :300, 200:500]
    check(image, trimap, alpha)


def test_known_pixels_are_kept() -> None:
    image, trimap, _ = a_case("hair")
    alpha = pydpst.estimate_alpha(image, trimap)
    assert torch.equal(alpha[trimap != 0.5], trimap[trimap != 0.5])
    assert alpha.dtype == torch.float32
    assert 0 <= alpha.min() <= alpha.max() <= 1


def test_radius_fits_the_unknown_region() -> None:
    unknown = torch.zeros(200, 300, dtype=torch.bool)
    unknown[50:60, :] = True
    narrow = pydpst.matting.alpha.adaptive_radius(unknown)
    unknown[100:180, 50:250] = True
    assert narrow == 3
    assert pydpst.matting.alpha.adaptive_radius(unknown) == 20


def test_nothing_unknown_returns_the_trimap() -> None:
    image, trimap, _ = a_case("hair")
    trimap = (trimap > 0.5).float()
    assert torch.equal(pydpst.estimate_alpha(image, trimap), trimap)


@pytest.mark.parametrize(
    ("trimap", "sentence"),
    [
        (torch.full(SIZE, 0.5), "the trimap has no known foreground; mark some of it white."),
        (torch.where(torch.rand(SIZE) > 0.5, 0.5, 1.0), "the trimap has no known background"),
        (torch.zeros(50, 60), "the trimap is 60×50 pixels, but the image is 128×96"),
        (torch.full(SIZE, 2.0), "the trimap has values from 2 to 2"),
        (torch.full(SIZE, torch.nan), "the trimap has values from nan to nan"),
        (torch.zeros(SIZE, dtype=torch.int64), "the trimap is torch.int64"),
        (torch.zeros(1, 2, *SIZE), "the trimap has the shape"),
        (None, "the trimap is a NoneType"),
    ],
)
def test_bad_trimaps(trimap: Tensor, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        pydpst.estimate_alpha(a_case("hair")[0], trimap)


def test_bad_options() -> None:
    image, trimap, _ = a_case("hair")
    with pytest.raises(ValueError, match="method is 'knn'"):
        pydpst.estimate_alpha(image, trimap, "knn")
    with pytest.raises(ValueError, match="radius is 99; it must be from 1 to 47"):
        pydpst.estimate_alpha(image, trimap, radius=99)


def test_kinds_of_trimaps(tmp_path: Path) -> None:
    want = a_case("hair")[1]
    grey = (want * 255).round().to(torch.uint8).numpy()
    noisy = np.clip(grey.astype(int) + np.random.default_rng(0).integers(-12, 13, SIZE), 0, 255)
    opaque = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    in_alpha = np.dstack([np.full((*SIZE, 3), 77, np.uint8), grey])
    cut = np.dstack([grey, grey, grey, np.where(grey == 0, 0, 255).astype(np.uint8)])
    cut[grey == 0, 0] = 255
    pictures = {
        "grey": grey,
        "noisy": noisy.astype(np.uint8),
        "rgb": opaque[..., :3],
        "rgba": opaque,
        "in alpha": in_alpha,
        "cut": cut,
        "16 bit": grey.astype(np.uint16) * 257,
    }
    for name, array in pictures.items():
        Image.fromarray(array).save(tmp_path / "trimap.png")
        assert torch.equal(load_trimap(tmp_path / "trimap.png"), want), name
        assert torch.equal(load_trimap(array), want), name
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    assert torch.equal(load_trimap(tmp_path / "palette.png"), want)
    assert torch.equal(load_trimap(torch.from_numpy(opaque).movedim(-1, 0)), want)
    assert torch.equal(load_trimap((want > 0.4).numpy() * 1.0), (want > 0.4).float())


def test_interruption_is_told() -> None:
    image, trimap, _ = a_case("hair")

    def stop(convergence: pydpst.Convergence) -> None:
        raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="was interrupted"):
        alpha = pydpst.estimate_alpha(image, trimap, callback=stop)
    assert alpha.isfinite().all()


def test_foreground_colours_are_as_good_as_pymattings() -> None:
    image, _, alpha = a_case("blurred disc")
    foreground, background = pydpst.estimate_foreground(image, alpha)
    assert error(composite(foreground, background, alpha), image) < 5e-3
    y, x = torch.meshgrid(
        torch.linspace(0, 1, SIZE[0]), torch.linspace(0, 1, SIZE[1]), indexing="ij"
    )
    front = torch.stack([0.9 - 0.2 * x, 0.3 + 0.2 * y, 0.1 + 0.1 * x])
    theirs = pymatting.estimate_foreground_ml(*for_pymatting(image, alpha))
    theirs = torch.from_numpy(theirs).movedim(-1, 0)
    assert error(alpha * foreground, alpha * front) <= 1.05 * error(alpha * theirs, alpha * front)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    image, trimap, _ = a_case("hair")
    pydpst.save_image(image, tmp_path / "image.png")
    pydpst.save_image(trimap.expand(3, -1, -1), tmp_path / "trimap.png")
    return tmp_path / "image.png", tmp_path / "trimap.png"


def test_command(run: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    cutout = tmp_path / "cutout.png"
    code, said = run("matte", *files, "-o", tmp_path / "alpha.png", "--cutout", cutout)
    assert (code, said.count("\n")) == (0, 1)
    with Image.open(tmp_path / "alpha.png") as alpha, Image.open(cutout) as cut:
        assert (alpha.mode, alpha.size, cut.mode) == ("L", (128, 96), "RGBA")
        assert np.array_equal(np.asarray(alpha), np.asarray(cut)[..., 3])
        eight = np.asarray(alpha) / 255
    arguments = ["--bits", 16, "--cutout", cutout, "--background", PHOTOS / "city_night.jpg"]
    code, _ = run("matte", *files, "-o", tmp_path / "alpha16.png", *arguments)
    assert code == 0
    with Image.open(tmp_path / "alpha16.png") as alpha, Image.open(cutout) as cut:
        sixteen = np.asarray(alpha)
        assert cut.mode == "RGB"
    assert sixteen.dtype == np.uint16
    assert np.abs(sixteen / 65535 - eight).max() < 1 / 255
    assert len(np.unique(sixteen)) > 256


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-o", "image.png"], "is also an input"),
        (["-o", "out.png", "--cutout", "out.png"], "must differ"),
        (["-o", "out.jpg", "--bits", "16"], "must end in one of .png, .tif, .tiff."),
        (["-o", "out.png", "--bits", "12"], "bits is 12"),
        (["-o", "out.png", "--cutout", "cut.jpg"], "must end in one of .png, .tif, .tiff, .webp."),
        (["-o", "out.png", "--background", "image.png"], "needs --cutout"),
        (["-o", "out.png", "--method", "knn"], "method is 'knn'"),
        (["-o", "out.png", "--radius", "0"], "radius is 0"),
    ],
)
def test_bad_commands(
    run: Run,
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir(tmp_path))
    code, said = run("matte", *files, *options)
    assert code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert sentence in said
    assert sorted(os.listdir(tmp_path)) == before


def test_refined_region_masks_are_nearer_to_hair_than_soft_ones() -> None:
    """From a label map whose strokes are lost and whose border is off."""
    image, _, alpha = a_case("hair")
    smooth = F.avg_pool2d(alpha[None, None], 9, 1, 4)[0, 0]
    labels = (torch.roll(smooth, 1, 1) > 0.5).long()
    soft, refined = (function(labels, image, 2) for function in (soft_masks, refined_masks))
    torch.testing.assert_close(refined.sum(0), torch.ones(SIZE))
    assert error(refined[1], alpha) < 0.95 * error(soft[1], alpha)
    assert error(soft[1], alpha) < error(labels, alpha)
    assert (refined_masks(torch.zeros_like(labels), image, 1) == 1).all()


@pytest.mark.skipif(not LEMUR.is_dir(), reason="needs the matting case")
def test_refined_region_masks_follow_fur() -> None:
    image = load_image(LEMUR / "lemur.png")
    alpha = load_image(LEMUR / "lemur_alpha.png")[0]
    labels = (torch.roll(alpha, (3, 3), (0, 1)) > 0.5).long()
    soft, refined = (function(labels, image, 2) for function in (soft_masks, refined_masks))
    assert error(refined[1], alpha) < 0.5 * error(soft[1], alpha)
