"""What a visitor of the page has and does, without a browser."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from conftest import PHOTOS, Run, blank_png
from PIL import Image

from pydpst.transfer import planning

pytest.importorskip("gradio", reason="the page needs gradio")

from pydpst.page.matching import chooser_of, chosen, told
from pydpst.page.photo_tab import _how_far
from pydpst.page.runs import Outcome, Preview
from pydpst.page.session import Session
from pydpst.photos.image import load_image
from pydpst.regions.mask_colors import NAMED_COLORS
from pydpst.regions.masks import Regions

OPTIONS = {"method": "grade", "size": 160, "steps": 3}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Uploads: two photos, their masks, and one of another shape."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("city_day", "city_night"):
        with Image.open(PHOTOS / f"{name}.jpg") as photo:
            photo.resize((240, 120)).save(folder / f"{name}.png")
        mask = Image.open(PHOTOS.parent / "masks" / f"{name}.png")
        mask.resize((240, 120), Image.Resampling.NEAREST).save(folder / f"{name}_mask.png")
    Image.new("RGB", (60, 60)).save(folder / "square.png")
    return folder


@pytest.fixture
def session(home: Path) -> Session:
    visitor = Session(home)
    visitor.take("content", home / "city_day.png")
    visitor.take("style", home / "city_night.png")
    return visitor


def run_of(session: Session, **shares: float) -> Outcome:
    regions, _ = session.paint([None, None])
    *_, first, outcome = session.stylize(regions, 0.9, shares, **OPTIONS)
    assert isinstance(outcome, Outcome)
    assert outcome.recipe is not None
    assert first == replace(outcome, recipe=None, look=None), "shown before the rest is packed"
    return outcome


@pytest.mark.parametrize("kind", ["found", "painted", "matched", "masks"])
def test_the_recipe_gives_the_same_again(
    kind: str, session: Session, home: Path, tmp_path: Path, run: Run
) -> None:
    if kind == "masks":
        session.take_mask("content", home / "city_day_mask.png")
        session.take_mask("style", home / "city_night_mask.png")
    regions, _ = session.find_regions()
    if kind == "painted":
        session.merge(regions.names[:2])
    if kind == "matched":
        session.match(regions.names[0], None)
    (tmp_path / "elsewhere").mkdir()
    outcome = run_of(session)
    with ZipFile(outcome.recipe) as pack:
        pack.extractall(tmp_path / "elsewhere")
    shutil.rmtree(home / session._name / "style")
    recipe = tmp_path / "elsewhere" / "recipe.json"
    assert json.loads(recipe.read_text())["options"]["strength"] == 0.9
    masks = [] if kind == "found" else ["--content-mask", recipe.parent / "content_mask.png"]
    content = home / "city_day.png"
    code, said = run("stylize", content, "--recipe", recipe, *masks, "-o", tmp_path / "again.png")
    assert code == 0, said
    again, first = (
        np.asarray(Image.open(path), float) for path in (tmp_path / "again.png", outcome.path)
    )
    # What was painted has no file until it is packed, and counts as found until then.
    assert np.abs(again - first).mean() < (6 if kind in ("painted", "matched") else 0.01)
    assert np.abs(np.asarray(Image.open(content), float) - first).mean() > 20


def test_a_match_is_changed(session: Session) -> None:
    regions, _ = session.find_regions()
    sky = regions.names.index("sky")
    other = next(name for name in regions.names if name != "sky")
    assert "% sure" in chooser_of(regions, "sky")["info"]
    before = np.asarray(Image.open(run_of(session).path), float)
    changed = session.match("sky", other)
    shown = chooser_of(changed, "sky")
    assert [value for _, value in shown["choices"]] == [*regions.names, "the whole style photo"]
    assert (shown["value"], shown["info"], shown["visible"]) == (other, "as you chose", True)
    assert not chooser_of(changed, "vehicle")["visible"]
    assert "as you chose" in told(changed)
    outcome = run_of(session)
    with ZipFile(outcome.recipe) as pack:
        rows = {row["name"]: row for row in json.loads(pack.read("regions.json"))["regions"]}
    assert rows["sky"]["styled_after"] == other
    after = np.asarray(Image.open(outcome.path), float)
    of_sky = [x[regions.content == sky].mean(0) for x in (before, after)]
    example = load_image(session.photos["style"].shown)
    wanted = example[:, regions.style == regions.names.index(other)].mean(1).numpy() * 255
    apart = [np.abs(color - wanted).mean() for color in of_sky]
    assert apart[1] < 0.5 * apart[0], "as the chosen region, and was not before"
    assert session.match("sky", "sky").partner_names() == regions.partner_names()
    session.match(other, chosen("the whole style photo"))
    rest = {name: name for name in regions.names if name not in ("sky", other)}
    assert session.merge(["sky", other]).partner_names() == {"sky": "sky", **rest}
    with pytest.raises(ValueError, match="sky cannot be styled after moon"):
        session.match("sky", "moon")


def test_what_is_undecided_is_shown_in_a_mixture_of_colours(session: Session) -> None:
    session.take("style", session.photos["content"].path)
    photo = load_image(session.photos["content"].shown)
    labels = torch.zeros(photo.shape[1:], dtype=torch.int64)
    labels[:, ::2] = 1
    mixed = torch.tensor([0.25, 0.75])[:, None, None].expand(2, 8, 16)
    session.regions = Regions(labels, labels, ["sky", "water"], 2, (mixed, mixed))
    colors = [torch.tensor(NAMED_COLORS[name]) for name in session.regions.names]
    tint = (0.25 * colors[0] + 0.75 * colors[1])[:, None, None]
    want = (0.5 * (photo.mean(0) * 255 + tint)).permute(1, 2, 0)
    for overlay in session.overlays():
        np.testing.assert_allclose(overlay, want, atol=1)


def test_the_look_is_tables_and_masks(session: Session) -> None:
    session.find_regions()
    outcome = run_of(session)
    assert outcome.look is not None
    with ZipFile(outcome.look) as pack:
        names = pack.namelist()
        cube = next(name for name in names if name.endswith(".cube"))
        assert pack.read(cube).count(b"\n") > 33**3
    assert {"look.txt", f"{Path(cube).stem}.png"} <= set(names)


def test_masks_take_the_place_of_regions(session: Session, home: Path) -> None:
    session.take_mask("content", home / "city_day_mask.png")
    with pytest.raises(ValueError, match="there is a content mask but no style mask"):
        session.find_regions()
    session.take_mask("style", home / "square.png")
    with pytest.raises(ValueError, match=r"style mask is 60×60 pixels and its photo 240×120"):
        session.find_regions()
    session.take_mask("style", home / "city_night_mask.png")
    regions, _ = session.find_regions()
    with Image.open(home / "city_day_mask.png") as mask:
        shares = sorted(count / (240 * 120) for count, _ in mask.convert("RGB").getcolors() or [])
    found = np.bincount(regions.content.flatten()) / regions.content.numel()
    np.testing.assert_allclose(sorted(found), shares, atol=0.01)
    unchanged = run_of(session, **dict.fromkeys(regions.names, 0.0))
    assert unchanged.size == (240, 120)
    pixels = [np.asarray(Image.open(p), float) for p in (unchanged.path, home / "city_day.png")]
    assert np.abs(pixels[0] - pixels[1]).max() <= 1
    session.drop_mask("style")
    session.drop_mask("content")
    assert session.find_regions()[0].names != regions.names


def test_no_mask_is_said_by_its_own_name(session: Session, home: Path) -> None:
    (home / "text.png").write_text("no mask")
    with pytest.raises(ValueError, match=r"the content mask text\.png is not an image"):
        session.take_mask("content", home / "text.png")
    assert not session.masks


def test_a_run_tells_the_time(session: Session) -> None:
    session.find_regions()
    planned = session.plan(**OPTIONS)
    assert 0 < planned.seconds < session.plan(**{**OPTIONS, "steps": 300}).seconds
    assert _how_far(Preview(1, 30, Path(), None)) == "Step 1 of 30"
    assert _how_far(Preview(2, 30, Path(), 41.3)) == "Step 2 of 30, about 41 s left"


def test_the_default_size_is_left_to_the_memory(
    session: Session, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (1200, 600)).save(home / "large.png")
    session.take("content", home / "large.png")
    options = {"method": "pixels", "size": planning.DEFAULT_SIZE, "steps": 3}
    assert session.plan(**options).size == planning.DEFAULT_SIZE
    least = session.plan(**{**options, "size": 256}).memory
    monkeypatch.setattr(planning, "_free_memory", lambda: (least - planning._resident()) / 0.8)
    assert session.plan(**options).size < planning.DEFAULT_SIZE


def test_two_huge_photos_are_refused_together(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one.png", "two.png"):
        (home / name).write_bytes(blank_png(13000, 13000))
    session = Session(home)
    loaded: list[str] = []

    def small(path: Path, role: str) -> object:
        loaded.append(role)
        return torch.zeros(3, 64, 64)

    monkeypatch.setattr("pydpst.page.session.load_image", small)
    monkeypatch.setattr(planning, "_meminfo", lambda name: 0)
    monkeypatch.setattr(planning, "_free_memory", lambda: 7.5e9)
    session.take("content", home / "one.png")
    with pytest.raises(ValueError, match=r"the photos need .* GB of memory, and there are"):
        session.take("style", home / "two.png")
    monkeypatch.setattr(planning, "_free_memory", lambda: 5e9)
    with pytest.raises(ValueError, match=r"the photo image needs \d+\.\d GB of memory"):
        session.take("photo", home / "two.png")
    assert loaded == ["content"], "what does not fit is not read"
    assert set(session.photos) == {"content"}
