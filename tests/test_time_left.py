"""How long a run will still take."""

from __future__ import annotations

import pytest
from torch import Tensor

import pydpst
from pydpst.transfer.time_left import TimeLeft, in_words


def test_the_first_step_that_was_measured_tells_the_rest() -> None:
    left = TimeLeft([(1, 3), (8, 2)], afterwards=3)
    assert left.after_step(100) is None
    assert left.after_step(102) == pytest.approx(2 * (1 + 8 + 8) + 3)
    # Twice as fast from here on; and a step that was held up counts little.
    assert left.after_step(103) == pytest.approx(1.5 * 16 + 3)
    assert left.after_step(111) == pytest.approx(8 + 3)
    assert left.after_step(200) == pytest.approx(3)


def test_more_steps_than_planned_leave_nothing() -> None:
    left = TimeLeft([(1, 2)], afterwards=0.5)
    assert [left.after_step(now) for now in (0, 1, 2, 3)] == [None, 0.5, 0.5, 0.5]


def test_what_follows_the_steps_is_slow_where_they_are() -> None:
    for seconds, after in ((0.1, 3), (10, 20)):
        left = TimeLeft([(1, 2)], afterwards=3, work_afterwards=2)
        left.after_step(0)
        assert left.after_step(seconds) == pytest.approx(after)


def test_a_run_tells_how_long_it_takes() -> None:
    photo = Tensor(3, 32, 48).uniform_()
    told: list[float | None] = []
    pydpst.stylize(
        photo,
        photo.flip(0),
        steps=4,
        regions="none",
        callback=lambda progress: told.append(progress.seconds_left),
    )
    assert told[0] is None
    assert all(seconds is not None and 0 < seconds < 60 for seconds in told[1:])


def test_any_number_of_steps_is_planned_at_once() -> None:
    photo = Tensor(3, 32, 48).uniform_()
    assert pydpst.plan(photo, photo, steps=2**62).seconds > 1e9


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "about 1 s"), (41.4, "about 41 s"), (170, "about 3 min"), (9000, "about 2 h")],
)
def test_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
