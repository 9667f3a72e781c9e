"""The replacement of a generation of workers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.serve.plan import Replacement, replace_generation


@pytest.mark.parametrize(
    ("old", "starting", "ready", "at_once", "expected"),
    [
        (5, 0, 0, 5, (5, 0)),
        (5, 5, 0, 5, (0, 0)),
        (5, 3, 2, 5, (0, 2)),
        (1, 0, 5, 5, (0, 1)),
        (5, 0, 0, 1, (1, 0)),
        (5, 1, 0, 1, (0, 0)),
        (5, 0, 1, 1, (1, 1)),
    ],
)
def test_new_ones_come_before_old_ones_go(
    old: int, starting: int, ready: int, at_once: int, expected: tuple[int, int]
) -> None:
    step = replace_generation(5, old, starting, ready, at_once=at_once, room=100)
    assert step == Replacement(*expected)


def test_starts_no_more_than_there_are_places_for() -> None:
    assert replace_generation(5, 5, 0, 0, at_once=5, room=2).start == 2


@given(st.integers(1, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 30), st.lists(st.booleans()))
def test_never_serves_with_fewer_and_comes_to_an_end(
    target: int, old: int, at_once: int, room: int, news: list[bool]
) -> None:
    starting = ready = 0
    for came_up in [*news, *[True] * 200]:
        step = replace_generation(target, old, starting, ready, at_once=at_once, room=room)
        before = old + ready
        old -= step.retire
        starting += step.start
        assert old + ready >= min(before, target)
        if came_up and starting:
            starting, ready = starting - 1, ready + 1
    assert (old, ready, starting) == (0, target, 0)
