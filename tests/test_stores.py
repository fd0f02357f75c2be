"""Folders in object stores, here one in this process's memory."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydpst.commands.batch import outputs_for
from pydpst.commands.files import check_files
from pydpst.commands.journal import Journal, checksum_of
from pydpst.commands.stores import StorePath, place

RECIPE = {"kind": "a look", "options": {}}


@pytest.fixture
def store() -> Iterator[StorePath]:
    made = StorePath("memory://library")
    yield made
    made.store.rm(made.store.find("/"))


def test_urls_are_paths(tmp_path: Path) -> None:
    folder = place("s3://library/photos/")
    assert str(folder / "more" / "a:b.heic") == "s3://library/photos/more/a:b.heic"
    assert str((folder / "a.heic").with_suffix(".jpg")) == "s3://library/photos/a.jpg"
    assert pickle.loads(pickle.dumps(folder)) == folder == StorePath("s3://library/photos")
    assert place(f"file://{tmp_path}") == place(str(tmp_path)) == tmp_path
    assert type(place("C:/photos")) is type(Path())


def test_names_that_would_lead_out_of_a_folder_are_left_out(
    store: StorePath, tmp_path: Path
) -> None:
    photos = store / "photos"
    for name in ("a.png", "more/b.JPG", "notes.txt", "../../out.png", "x//y.png", "z::zip.png"):
        photos.store.pipe_file(f"{photos.key}/{name}", b"")
    with pytest.warns(UserWarning, match="has no name of a file; it is left out"):
        pairs = outputs_for([photos], tmp_path / "made")
    assert [result for _, result in pairs] == [
        tmp_path / "made" / "a.png",
        tmp_path / "made" / "more" / "b.JPG",
    ]


def test_results_within_the_folder_are_no_photos(store: StorePath) -> None:
    for name in ("a.png", "restyled/a.png", "restyled2/a.heic"):
        (store / name).write_bytes(b"")
    pairs = outputs_for([store], store / "restyled")
    assert pairs == [
        (store / "a.png", store / "restyled/a.png"),
        (store / "restyled2/a.heic", store / "restyled/restyled2/a.jpg"),
    ]
    with pytest.raises(ValueError, match=r"memory://library/none holds no photos; give one"):
        outputs_for([store / "none"], store / "restyled")
    photos, results = zip(*outputs_for([store], store), strict=True)
    with pytest.raises(ValueError, match=r"memory://library/a.png \(--output\) is also an input"):
        check_files({"PHOTOS": photos}, {"--output": results})


def test_a_store_without_its_package_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"^nowhere://photos cannot be reached \(Protocol not"):
        outputs_for([place("nowhere://photos")], Path("out"))


def test_a_journal_goes_on_in_a_store(store: StorePath) -> None:
    photos = [store / "photos" / name for name in ("a.png", "b.png", "c.png")]
    results = [store / "made" / photo.name for photo in photos]
    pairs = list(zip(photos, results, strict=True))
    for photo in photos:
        photo.write_bytes(photo.name.encode())

    killed = Journal(store / "made", RECIPE)
    assert killed.done_of(pairs) == set()
    killed.begin(*results[:2])
    for result in results[:2]:
        result.write_bytes(b"restyled " + result.name.encode())
    record = {"photo": checksum_of(photos[0]), "sha256": checksum_of(results[0])}
    killed.finish({results[0]: record})

    resumed = Journal(store / "made", RECIPE)
    resumed.check(results)
    assert resumed.done_of(pairs) == {results[0]}
    results[2].write_bytes(b"somebody's")
    with pytest.raises(ValueError, match=r"made/c.png is not a file that was written there"):
        Journal(store / "made", RECIPE).check(results)
    with pytest.raises(ValueError, match="holds results of another look"):
        Journal(store / "made", {**RECIPE, "options": {"strength": 0.5}})

    results[2].unlink()
    with resumed:
        resumed.begin(results[1], results[2])
        resumed.finish({results[1]: record})
    names = [str(path).rpartition("/")[2] for path in (store / "made").objects()]
    assert names == ["a.png", "b.png", "recipe.json"]
    recipe = json.loads((store / "made" / "recipe.json").read_bytes())
    assert recipe["results"] == {"a.png": record, "b.png": record}
    photos[0].write_bytes(b"another")
    assert Journal(store / "made", RECIPE).done_of(pairs) == set()
