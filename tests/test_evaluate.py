"""`pydpst evaluate` on real photos, and its report."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from conftest import Run
from PIL import Image

import pydpst
from pydpst.metrics import Comparison, evaluate
from pydpst.metrics.report import heat_picture
from pydpst.photos.resizing import match_size, resize
from pydpst.regions.labels import MaskPair, label_maps

MASKS = Path(__file__).parent.parent / "examples" / "masks"
BITMAP = "data:image/jpeg;base64,"


class Page(HTMLParser):
    """What a page holds: its tags with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data + " "

    def pictures(self) -> list[Image.Image]:
        sources = [str(attributes["src"]) for tag, attributes in self.tags if tag == "img"]
        assert all(source.startswith(BITMAP) for source in sources)
        return [
            Image.open(io.BytesIO(base64.b64decode(source[len(BITMAP) :]))) for source in sources
        ]


@pytest.fixture
def photos(tmp_path: Path, city_day: Path, city_night: Path) -> dict[str, Path]:
    """A content, a style and their mean for a result, 128 pixels wide."""
    day, night = (resize(pydpst.load_image(path), 128) for path in (city_day, city_night))
    images = {"day": day, "night": night, "dusk": (day + match_size(night, day, "n", "d")) / 2}
    for name, image in images.items():
        pydpst.save_image(image, tmp_path / f"{name}.png")
    return {name: tmp_path / f"{name}.png" for name in images}


def numbers_of(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+", line)]


def test_the_numbers_printed_are_those_of_the_metrics(photos: dict[str, Path]) -> None:
    masks = [MASKS / "city_day.png", MASKS / "city_night.png"]
    options = ["--content-mask", masks[0], "--style-mask", masks[1]]
    command = [sys.executable, "-m", "pydpst", "evaluate", *photos.values(), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    day, night, dusk = (pydpst.load_image(photos[name]) for name in ("day", "night", "dusk"))
    regions = label_maps(day, night, MaskPair(*masks))
    want = evaluate(Comparison(dusk, day, night, *regions.hard_masks()))
    lines = {line.split("  ")[0].strip(): line for line in done.stdout.splitlines()}
    assert numbers_of(lines["style distance"]) == [pytest.approx(want.style.total, abs=6e-4)]
    assert numbers_of(lines["colour distance"]) == [pytest.approx(want.color.total, abs=6e-4)]
    assert numbers_of(lines["edge SSIM"]) == [pytest.approx(want.edge_ssim, abs=6e-4)]
    residual = numbers_of(lines["photorealism residual × 1000"])
    assert residual == [pytest.approx(1000 * want.residual, abs=6e-4)]
    ratings = [want.rating, want.content_rating]
    assert numbers_of(lines["rating"]) == pytest.approx(ratings, abs=6e-3)
    for name, layers, color in zip(
        regions.names, want.style.regions, want.color.regions, strict=True
    ):
        row = numbers_of(lines[name])
        assert row[1:6] == pytest.approx(list(layers.values()), abs=6e-4)
        assert row[7] == pytest.approx(color, abs=6e-4)


def test_the_report_is_whole_and_self_contained(
    run: Run, tmp_path: Path, photos: dict[str, Path]
) -> None:
    out = tmp_path / "out.html"
    photos["dusk"] = photos["dusk"].rename(tmp_path / "<b onload=x>&.png")
    masks = ["--content-mask", MASKS / "city_day.png", "--style-mask", MASKS / "city_night.png"]
    code, said = run(
        "evaluate", photos["day"], photos["night"], photos["dusk"], *masks, "--report", out
    )
    assert code == 0
    assert said.startswith(f"{out}: ")
    html = out.read_text(encoding="utf-8")
    page = Page(html)
    assert page.words.count("<b onload=x>&.png") >= 2  # as text
    assert not {tag for tag, _ in page.tags} & {"b", "script", "link", "iframe", "object"}
    for _, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on") or name == "href"}
    assert not re.search(r"https?:|//|@import|url\(", re.sub(r"base64,[^\"]*", "", html))
    for words in (
        "style distance",
        "colour distance",
        "edge SSIM",
        "residual",
        "rating",
        "conv5_1",
    ):
        assert words in page.words
    assert "color-scheme: light dark" in html

    content, style, result, heat, *regions = page.pictures()
    with Image.open(photos["day"]) as day:
        assert content.size == result.size == heat.size == day.size
    assert len(regions) == 2
    assert style.size == regions[1].size
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


def test_the_content_is_scaled_to_the_result(
    run: Run, tmp_path: Path, photos: dict[str, Path], city_day: Path
) -> None:
    assert run("evaluate", city_day, photos["night"], photos["dusk"])[0] == 0
    with Image.open(photos["dusk"]) as dusk:
        dusk.resize((dusk.width + 40, dusk.height)).save(tmp_path / "wide.png")
    code, error = run("evaluate", city_day, photos["night"], tmp_path / "wide.png")
    assert code == 2
    assert error.count("\n") == 1
    assert "same aspect" in error
    assert "168×" in error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.png", "day.png", "dusk.png"], "the content image none.png does not exist"),
        (["day.png", "text.png", "dusk.png"], "the style image text.png is not an image"),
        (["day.png", "night.png", "."], "the result image . is a folder"),
        (["day.png", "night.png", "dusk.png", "--report", "out.png"], "must end in"),
        (["day.png", "night.png", "dusk.png", "--report", "no/out.html"], "does not exist"),
        (["day.png", "night.png", "dusk.png", "--content-mask", "day.png"], "no --style-mask"),
    ],
)
def test_bad_input(
    run: Run,
    tmp_path: Path,
    photos: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.png").write_text("no picture")
    before = sorted(os.listdir())
    code, error = run("evaluate", *arguments)
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert sentence in error
    assert sorted(os.listdir()) == before


def test_heat_goes_from_dark_to_light_on_a_fixed_scale() -> None:
    picture = heat_picture(torch.tensor([[0.0, 1e-6, 1e-4, 1e-2, 1e-1, 5.0]]))
    brightness = picture.sum(0)[0]
    assert brightness[0] == brightness[1] < brightness[2] < brightness[3] < brightness[4]
    assert brightness[4] == brightness[5]
