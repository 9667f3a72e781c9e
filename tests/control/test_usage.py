"""Short series of what processes use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.control.usage import Usages, points_for, share

MEBIBYTE = 1 << 20


def test_processor_time_becomes_a_share_of_the_time_that_passed() -> None:
    usages = Usages()
    assert usages.add("web", 7, 100.0, MEBIBYTE, 10.0, 60) == (0.0, MEBIBYTE)
    assert usages.add("web", 7, 102.0, 2 * MEBIBYTE, 11.0, 60) == (50.0, 2 * MEBIBYTE)
    curve = usages.curve("web")
    assert (curve.time, curve.cpu, curve.memory) == ([100.0, 102.0], [0.0, 50.0], [MEBIBYTE, 2 * MEBIBYTE])


def test_a_new_process_begins_at_nothing() -> None:
    usages = Usages()
    usages.add("web", 7, 100.0, MEBIBYTE, 10.0, 60)
    assert usages.add("web", 8, 101.0, MEBIBYTE, 30.0, 60).cpu == 0.0
    assert usages.add("web", 8, 102.0, MEBIBYTE, 31.0, 60).cpu == 100.0


def test_a_clock_that_goes_back_breaks_nothing() -> None:
    usages = Usages()
    usages.add("web", 7, 100.0, MEBIBYTE, 10.0, 60)
    assert usages.add("web", 7, 50.0, MEBIBYTE, 11.0, 60).cpu == 0.0


def test_only_the_last_readings_are_kept() -> None:
    usages = Usages()
    for second in range(1000):
        usages.add("web", 7, float(second), MEBIBYTE, 0.0, 60)
    curve = usages.curve("web")
    assert 60 <= len(curve.time) <= 75
    assert curve.time[-1] == 999.0
    assert len(usages.curve("web", 10).cpu) == 10


def test_nobody_known_has_no_curve() -> None:
    usages = Usages()
    usages.add("web", 7, 1.0, 1, 0.0, 60)
    usages.keep_only(set())
    assert usages.curve("web") == ([], [], [])


@pytest.mark.parametrize(("processes", "points", "turns"), [(0, 300, 1), (100, 300, 1), (200, 300, 2), (1000, 60, 10)])
def test_many_processes_are_read_less_often_and_kept_shorter(processes: int, points: int, turns: int) -> None:
    assert points_for(processes) == points
    assert share(processes) == turns


@given(st.integers(0, 100_000))
def test_all_series_together_stay_within_a_few_megabytes(processes: int) -> None:
    assert points_for(processes) * 12 * min(processes, 1000) <= 1_300_000
    assert -(-processes // share(processes)) <= 100
