"""Recipes: what is written comes back, and what has changed since is named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pydpst.transfer.look import Look
from pydpst.transfer.options import options_of
from pydpst.transfer.recipe import load_recipe, save_recipe

STYLE = Path(__file__).parents[1] / "examples" / "photos" / "beach_sunset.jpg"


@pytest.fixture
def style(tmp_path: Path) -> Path:
    return Path(shutil.copy(STYLE, tmp_path / "style.jpg"))


@pytest.fixture
def recipe(tmp_path: Path, style: Path) -> Path:
    path = tmp_path / "look.json"
    save_recipe(path, style, {"steps": 7, "strength": {"sky": 0.5}, "device": "cpu"})
    return path


def test_a_recipe_comes_back_with_every_setting(recipe: Path, style: Path) -> None:
    read = load_recipe(recipe)
    assert read.files == {"style": style}
    assert read.options["steps"] == 7
    assert read.options["strength"] == {"sky": 0.5}
    # A default of today, which another version may change.
    assert read.options["photorealism_weight"] == 275.0
    assert "device" not in read.options
    assert read.warnings == []


def test_what_was_read_writes_the_same_recipe(recipe: Path, tmp_path: Path) -> None:
    read = load_recipe(recipe)
    save_recipe(tmp_path / "again.json", read.files["style"], read.options)
    assert (tmp_path / "again.json").read_text() == recipe.read_text()


def test_the_style_may_have_moved_beside_the_recipe(recipe: Path, style: Path) -> None:
    elsewhere = recipe.parent / "elsewhere"
    elsewhere.mkdir()
    shutil.move(style, elsewhere)
    moved = shutil.move(recipe, elsewhere)
    assert load_recipe(moved).files == {"style": elsewhere / style.name}


@pytest.mark.parametrize("place", ["looks/look.json", "look.json"])
def test_a_folder_moves_as_a_whole(tmp_path: Path, place: str) -> None:
    style = tmp_path / "album" / "styles" / "style.jpg"
    recipe = tmp_path / "album" / place
    for path in (style, recipe):
        path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(STYLE, style)
    save_recipe(recipe, style, {})
    moved = Path(shutil.move(tmp_path / "album", tmp_path / "moved"))
    found = load_recipe(moved / place).files["style"]
    assert found.samefile(moved / "styles" / "style.jpg")


def test_a_recipe_alone_may_move(tmp_path: Path, style: Path) -> None:
    (tmp_path / "looks").mkdir()
    recipe = tmp_path / "looks" / "look.json"
    save_recipe(recipe, style, {})
    (tmp_path / "far" / "away").mkdir(parents=True)
    moved = Path(shutil.move(recipe, tmp_path / "far" / "away"))
    # Another file lies where it was as seen from the recipe.
    (tmp_path / "far" / style.name).write_bytes(b"another")
    assert load_recipe(moved).files == {"style": style}


def test_recipes_with_absolute_paths_are_read(recipe: Path, style: Path) -> None:
    written = json.loads(recipe.read_text())
    assert written["files"]["style"]["path"] == style.name
    written["files"]["style"]["path"] = os.fspath(style)
    recipe.write_text(json.dumps(written))
    assert load_recipe(recipe).files == {"style": style}


def test_a_changed_style_is_refused(recipe: Path, style: Path) -> None:
    style.write_bytes(style.read_bytes() + b"!")
    with pytest.raises(ValueError, match=r"style\.jpg is not the one that the recipe"):
        load_recipe(recipe)


def test_a_missing_style_is_refused(recipe: Path, style: Path) -> None:
    style.unlink()
    with pytest.raises(ValueError, match=r"style\.jpg of the recipe .* does not exist"):
        load_recipe(recipe)


def test_other_versions_are_told(recipe: Path) -> None:
    written = json.loads(recipe.read_text())
    written["versions"]["torch"] = "2.0.0"
    recipe.write_text(json.dumps(written))
    (warning,) = load_recipe(recipe).warnings
    assert "was written with torch 2.0.0" in warning


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a recipe"),
        ({"kind": "cake"}, "is not a recipe"),
        ({"format": 2}, "is of the format 2"),
        ({"files": {}}, "is damaged"),
        ({"files": {"style": {"path": 3, "sha256": ""}}}, "is damaged"),
        ({"options": {"sharpness": 1}}, "an option sharpness"),
        ({"weights": {"vgg16.safetensors": "0"}}, "other weights"),
    ],
)
def test_what_is_no_recipe_is_refused(
    recipe: Path, change: str | dict[str, object], sentence: str
) -> None:
    if isinstance(change, dict):
        change = json.dumps({**json.loads(recipe.read_text()), **change})
    recipe.write_text(change)
    with pytest.raises(ValueError, match=sentence):
        load_recipe(recipe)


def refusal(recipe: Path) -> str | None:
    try:
        load_recipe(recipe)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("value", [None, True, "1", [1], {"a": 1}, -1, 1e400, 10**400], ids=repr)
@pytest.mark.parametrize("name", sorted(options_of(Look)))
def test_options_of_any_type_are_read_or_told_of(name: str, value: object, recipe: Path) -> None:
    written = json.loads(recipe.read_text())
    written["options"][name] = value
    recipe.write_text(json.dumps(written))
    sentence = refusal(recipe)
    if sentence is not None:
        assert "\n" not in sentence
        assert name in sentence or "weight" in sentence or "JSON" in sentence
        return
    allowed = {
        "method": (),
        "regions": (),
        "segmentation_model": (None, "1"),
        "refine_masks": (True,),
        "strength": ({"a": 1},),
        "lock": (),
        "preserve_luminance": (True,),
        "photorealism_weight": (None,),
        "content_weight": (None,),
        "init": (None,),
        "smooth": (None,),
        "size": (None,),
        "steps": (None, 10**400),
    }
    assert load_recipe(recipe).options[name] in allowed.get(name, ())


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"[" * 100_000, "is not JSON"),
        (b'{"a":' * 100_000, "is not JSON"),
        (bytes(range(256)), "is not JSON"),
        (b"\xff\xfe{\0}\0", "is not JSON"),
        (b"", "is not JSON"),
        (b"NaN", "is not JSON"),
    ],
)
def test_other_files_are_no_recipes(data: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "look.json").write_bytes(data)
    with pytest.raises(ValueError, match=sentence):
        load_recipe(tmp_path / "look.json")


def test_a_byte_order_mark_is_read(recipe: Path) -> None:
    text = recipe.read_text()
    recipe.write_text(text, encoding="utf-8-sig")
    assert load_recipe(recipe).options["steps"] == 7


def test_what_is_no_file_is_no_recipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.json")
    for path, sentence in (
        (tmp_path / "fifo.json", "is no regular file; give the path of a recipe"),
        (tmp_path, "cannot be read"),
        (tmp_path / ("x" * 300), "cannot be read"),
    ):
        with pytest.raises(ValueError, match=sentence):
            load_recipe(path)


@pytest.mark.parametrize("path", ["x" * 100_000, "a\0b", "", ".", "/dev/zero"])
def test_paths_of_a_recipe_may_be_anything(path: str, recipe: Path) -> None:
    written = json.loads(recipe.read_text())
    written["files"]["style"]["path"] = path
    recipe.write_text(json.dumps(written))
    with pytest.raises(ValueError, match="does not exist"):
        load_recipe(recipe)
