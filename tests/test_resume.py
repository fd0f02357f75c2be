"""Folder runs that are started again: what fits stays, what does not is made anew, no more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import PHOTOS, Run
from PIL import Image

import pydpst
from pydpst.feedforward.bundled import styles

QUICK = ("--size", 32, "--steps", 2)
COMMANDS = {
    "stylize": ("stylize", "in", "style.png", *QUICK),
    "apply": ("apply", min(styles()), "in"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photos, and a style."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name, path in (("lake", "in/a"), ("city_day", "in/b"), ("city_night", "style")):
        with Image.open(PHOTOS / f"{name}.jpg") as photo:
            photo.resize((64, 32)).save(f"{path}.png")
    return tmp_path


def made(out: str = "out") -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in Path(out).rglob("*.png")}


@pytest.fixture(params=sorted(COMMANDS))
def command(request: pytest.FixtureRequest) -> tuple[object, ...]:
    return COMMANDS[request.param]


def test_what_does_not_fit_is_made_anew(run: Run, command: tuple[object, ...]) -> None:
    assert run(*command, "-o", "out")[0] == 0
    first = made()
    Path("out/b.png").write_bytes(first["b.png"][:900])  # broken
    code, said = run(*command, "-o", "out")
    assert (code, made()) == (0, first)
    assert "1 of 2 photos, 1 were there" in said

    shutil.copy("in/b.png", "in/a.png")  # the photo has changed since
    code, said = run(*command, "-o", "out")
    assert code == 0
    assert made() == {"a.png": first["b.png"], "b.png": first["b.png"]}
    assert "1 of 2 photos, 1 were there" in said


def test_files_of_others_are_not_overwritten(run: Run, command: tuple[object, ...]) -> None:
    Path("out").mkdir()
    shutil.copy("style.png", "out/a.png")
    code, said = run(*command, "-o", "out")
    assert code == 2
    assert "out/a.png is not a file that was written there" in said
    assert made() == {"a.png": Path("style.png").read_bytes()}

    Path("out/a.png").unlink()
    assert run(*command, "-o", "out")[0] == 0
    shutil.copy("style.png", "out/a.png")  # somebody's own work, in the place of a result
    assert run(*command, "-o", "out")[0] == 2
    assert made()["a.png"] == Path("style.png").read_bytes()


def test_an_output_folder_within_the_photos_works_twice(
    run: Run, command: tuple[object, ...]
) -> None:
    for before in ("", ", 2 were there"):
        code, said = run(*command, "-o", "in/out")
        assert code == 0
        assert f"of 2 photos{before}, " in said
    assert sorted(made("in/out")) == ["a.png", "b.png"]
    # Nor are they photos for another output.
    code, said = run(*command, "-o", "in/other")
    assert code == 0
    assert "2 of 2 photos, " in said
    assert sorted(made("in/other")) == ["a.png", "b.png"]


def test_the_folder_of_the_photos_is_no_output(run: Run, command: tuple[object, ...]) -> None:
    code, said = run(*command, "-o", "in")
    assert code == 2
    assert "is also an input" in said


def test_a_refused_run_leaves_nothing_behind(run: Run) -> None:
    code, said = run(*COMMANDS["stylize"], "-o", "out", "--lock", "nope")
    assert code == 2
    assert "no region 'nope'" in said
    assert not Path("out").exists()
    assert run(*COMMANDS["stylize"], "-o", "out")[0] == 0


def test_results_of_another_look_stay(run: Run) -> None:
    assert run(*COMMANDS["apply"], "-o", "out")[0] == 0
    first = made()
    code, said = run(*COMMANDS["apply"], "-o", "out", "--strength", 0.5)
    assert code == 2
    assert "holds results of another look" in said
    assert run(*COMMANDS["stylize"], "-o", "out")[0] == 2
    assert made() == first


def test_a_style_that_moved_is_the_same_look(run: Run) -> None:
    assert run(*COMMANDS["stylize"], "-o", "out")[0] == 0
    Path("style.png").rename("moved.png")
    code, said = run("stylize", "in", "moved.png", *QUICK, "-o", "out")
    assert code == 0
    assert "0 of 2 photos, 2 were there" in said


def test_applying_is_interrupted_in_words_and_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_model, calls = pydpst.apply_model, []

    def interrupted(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return apply_model(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(pydpst, "apply_model", interrupted, raising=False)
        code, said = run(*COMMANDS["apply"], "-o", "out")
    assert code == 130
    assert "interrupted before in/b.png; the same command goes on from there" in said
    assert list(made()) == ["a.png"]
    code, said = run(*COMMANDS["apply"], "-o", "out")
    assert code == 0
    assert "1 of 2 photos, 1 were there" in said


def test_a_result_that_a_killed_run_left_unfinished_is_made_anew(
    run: Run, command: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(
            "pydpst.commands.journal.Journal.finish", lambda *_: (_ for _ in ()).throw(SystemExit)
        )
        run(*command, "-o", "out")  # written, and killed before that was recorded
    assert "a.png" in made()
    code, said = run(*command, "-o", "out")
    assert code == 0
    assert "2 of 2 photos, " in said
    assert run(*command, "-o", "again")[0] == 0
    assert made() == made("again")
