from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.events.ticks import Tick, Ticks


def test_ten_thousand_beats_do_not_drift() -> None:
    ticks = Ticks(0.1, 1000.0)
    for _ in range(10_000):
        ticks.take(ticks.deadline + 0.003)
    assert ticks.deadline == 1000.0 + 10_001 * 0.1


def test_late_beats_are_joined_and_counted() -> None:
    ticks = Ticks(1.0, 0.0)
    assert ticks.take(1.0) == Tick(1, 1.0)
    assert ticks.take(5.5) == Tick(5, 5.0, missed=3)
    assert ticks.deadline == 6.0


def test_a_skipped_beat_is_told_by_the_next_one() -> None:
    ticks = Ticks(1.0, 0.0)
    ticks.take(1.0)
    ticks.skip(2.0)
    ticks.skip(3.0)
    assert ticks.take(4.0) == Tick(4, 4.0, missed=2)


def test_a_pause_misses_nothing_and_keeps_the_rhythm() -> None:
    ticks = Ticks(1.0, 0.0)
    ticks.take(1.0)
    ticks.resume(7.5)
    assert ticks.deadline == 8.0
    assert ticks.take(8.0).missed == 0


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf")])
def test_an_interval_is_a_positive_number(interval: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Ticks(interval, 0.0)


@given(st.floats(0.001, 1000), st.lists(st.floats(0, 5000), max_size=50))
def test_every_beat_is_either_taken_or_counted(interval: float, waits: list[float]) -> None:
    ticks, now, taken, missed, last = Ticks(interval, 0.0), 0.0, 0, 0, 0
    for wait in waits:
        now += wait
        if now >= ticks.deadline:
            tick = ticks.take(now)
            taken, missed, last = taken + 1, missed + tick.missed, tick.number
            assert ticks.deadline > tick.due
    assert taken + missed == last
