from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.events.cron import parse
from genii.events.schedule import Schedule

NOON = datetime(2025, 6, 11, 12, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0


def test_runs_at_each_time_of_the_calendar() -> None:
    schedule = Schedule(parse("*/5 * * * *"))
    assert schedule.begin(NOON + 10).deadline == NOON + 300
    assert not schedule.check(NOON + 299.9, running=0).run
    decision = schedule.check(NOON + 300.01, running=0)
    assert decision.run
    assert (decision.due, decision.deadline, decision.missed) == (NOON + 300, NOON + 600, 0)


def test_a_start_on_the_dot_waits_for_the_next_time() -> None:
    decision = Schedule(parse("*/5 * * * *")).begin(NOON)
    assert not decision.run
    assert decision.deadline == NOON + 300


def test_skips_a_run_while_the_earlier_one_goes_on() -> None:
    schedule = Schedule(parse("1 minutes"), overlap="skip")
    schedule.begin(NOON)
    assert schedule.check(NOON + 60, running=0).run
    decision = schedule.check(NOON + 120, running=1)
    assert not decision.run
    assert decision.overlapped
    assert not schedule.check(NOON + 130, running=0).run
    assert schedule.check(NOON + 180, running=0).run


def test_queues_one_run_behind_the_earlier_one() -> None:
    schedule = Schedule(parse("1 minutes"), overlap="queue")
    schedule.begin(NOON)
    assert schedule.check(NOON + 60, running=0).run
    assert schedule.check(NOON + 120, running=1).queued
    second = schedule.check(NOON + 180, running=1)
    assert second.queued
    assert second.overlapped
    ended = schedule.check(NOON + 190, running=0)
    assert ended.run
    assert ended.due == NOON + 120
    assert not schedule.check(NOON + 191, running=0).run


def test_allows_runs_beside_each_other() -> None:
    schedule = Schedule(parse("1 minutes"), overlap="allow")
    schedule.begin(NOON)
    assert schedule.check(NOON + 60, running=0).run
    assert schedule.check(NOON + 120, running=1).run


def test_jitter_delays_each_run_by_a_part_of_it() -> None:
    schedule = Schedule(parse("1 minutes"), jitter=20)
    assert schedule.begin(NOON, chance=0.25).deadline == NOON + 65
    assert not schedule.check(NOON + 60, running=0).run
    decision = schedule.check(NOON + 65, running=0, chance=0.75)
    assert decision.run
    assert (decision.due, decision.deadline) == (NOON + 60, NOON + 135)


def test_a_run_that_is_a_little_late_still_runs() -> None:
    schedule = Schedule(parse("@daily"))
    schedule.begin(NOON)
    decision = schedule.check(NOON + 12 * HOUR + 30, running=0)
    assert decision.run
    assert decision.missed == 0


def test_missed_runs_are_left_out() -> None:
    schedule = Schedule(parse("@hourly"), missed="skip")
    schedule.begin(NOON)
    decision = schedule.check(NOON + 3.5 * HOUR, running=0)
    assert not decision.run
    assert decision.missed == 3
    assert decision.deadline == NOON + 4 * HOUR


def test_missed_runs_make_one_run_where_that_is_wanted() -> None:
    schedule = Schedule(parse("@hourly"), missed="run")
    schedule.begin(NOON)
    decision = schedule.check(NOON + 3.5 * HOUR, running=0)
    assert decision.run
    assert (decision.due, decision.missed, decision.deadline) == (NOON + 3 * HOUR, 2, NOON + 4 * HOUR)


def test_a_fresh_time_among_the_missed_ones_runs() -> None:
    schedule = Schedule(parse("1 seconds"), missed="skip")
    schedule.begin(NOON)
    decision = schedule.check(NOON + 100, running=0)
    assert decision.run
    assert (decision.due, decision.missed) == (NOON + 100, 99)


def test_what_an_earlier_process_missed_runs_at_the_start() -> None:
    schedule = Schedule(parse("@hourly"), missed="run")
    decision = schedule.begin(NOON + 0.5 * HOUR, last_run=NOON - 4 * HOUR)
    assert decision.run
    assert decision.due == NOON
    assert not Schedule(parse("@hourly"), missed="run").begin(NOON + 0.5 * HOUR, last_run=NOON).run
    assert not Schedule(parse("@hourly"), missed="skip").begin(NOON + 0.5 * HOUR, last_run=NOON - 4 * HOUR).run


def test_a_clock_that_jumps_by_a_century_costs_no_time() -> None:
    schedule = Schedule(parse("1 seconds"), missed="skip")
    schedule.begin(NOON)
    later = NOON + 100 * 365 * 86400
    decision = schedule.check(later, running=0)
    assert decision.run
    assert decision.missed >= 999
    assert decision.deadline == later + 1


def test_a_clock_set_back_an_hour_does_not_run_a_daily_job_twice() -> None:
    schedule = Schedule(parse("0 12 * * *"))
    schedule.begin(NOON - 10)
    assert schedule.check(NOON, running=0).run
    assert schedule.check(NOON - HOUR, running=0).deadline == NOON + 24 * HOUR
    assert not schedule.check(NOON + 1, running=0).run
    assert schedule.check(NOON + 24 * HOUR, running=0).run


def test_a_clock_set_back_an_hour_goes_on_with_a_job_of_every_minute() -> None:
    schedule = Schedule(parse("* * * * *"))
    schedule.begin(NOON - 10)
    assert schedule.check(NOON, running=0).run
    decision = schedule.check(NOON - HOUR + 5, running=0)
    assert not decision.run
    assert decision.deadline == NOON - HOUR + 60
    assert schedule.check(NOON - HOUR + 60, running=0).run


def test_a_clock_set_back_by_two_seconds_does_not_repeat_the_minute() -> None:
    schedule = Schedule(parse("* * * * *"))
    schedule.begin(NOON - 10)
    assert schedule.check(NOON, running=0).run
    assert schedule.check(NOON - 2, running=0).deadline == NOON + 60


def test_a_clock_set_back_before_the_first_run_is_followed() -> None:
    schedule = Schedule(parse("* * * * *"))
    assert schedule.begin(NOON).deadline == NOON + 60
    assert schedule.check(NOON - HOUR, running=0).deadline == NOON - HOUR + 60


def test_an_error_of_a_year_that_is_put_right_leaves_no_trace() -> None:
    schedule = Schedule(parse("0 12 * * *"), missed="skip")
    schedule.begin(NOON - HOUR)
    year = 365 * 86400
    assert not schedule.check(NOON + year + HOUR, running=0).run
    assert schedule.check(NOON - 10, running=0).deadline == NOON
    assert schedule.check(NOON, running=0).run


def test_an_error_of_the_clock_that_is_put_right_repeats_nothing() -> None:
    schedule = Schedule(parse("* * * * *"))
    schedule.begin(NOON)
    assert schedule.check(NOON + 120, running=0).run
    assert not schedule.check(NOON - 2400, running=0).run
    decision = schedule.check(NOON + 124, running=0)
    assert not decision.run
    assert decision.missed == 0
    assert schedule.check(NOON + 180, running=0).run


def test_the_only_run_before_the_clock_was_set_back_is_not_repeated() -> None:
    schedule = Schedule(parse("0 9,10 * * *"))
    schedule.begin(NOON - 3.5 * HOUR)
    assert schedule.check(NOON - 3 * HOUR, running=0).run
    assert schedule.check(NOON - 5 * HOUR, running=0).deadline == NOON - 2 * HOUR


def test_a_last_run_in_the_future_is_not_repeated_soon() -> None:
    schedule = Schedule(parse("0 12 * * *"), missed="run")
    assert schedule.begin(NOON - HOUR, last_run=NOON).deadline == NOON + 24 * HOUR
    far = Schedule(parse("0 12 * * *"), missed="run")
    assert far.begin(NOON - HOUR, last_run=NOON + 400 * 24 * HOUR).deadline == NOON


@pytest.mark.parametrize(
    "wrong", [{"overlap": "maybe"}, {"missed": "all"}, {"jitter": -1.0}, {"grace": math.nan}, {"jitter": math.nan}]
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|can't be negative"):
        Schedule(parse("@daily"), **wrong)  # type: ignore[arg-type]


steps = st.lists(
    st.one_of(st.floats(0, 300), st.floats(-7200, 7200), st.sampled_from([-3600.0, 3600.0, 86400.0, -86400.0])),
    max_size=60,
)


@given(
    st.sampled_from(["* * * * *", "*/20 * * * *", "0 12 * * *", "7 seconds"]),
    st.sampled_from(["skip", "queue", "allow"]),
    st.sampled_from(["skip", "run"]),
    steps,
    st.data(),
)
def test_no_history_of_the_clock_breaks_the_promises(
    text: str, overlap: str, missed: str, jumps: list[float], data: st.DataObject
) -> None:
    schedule = Schedule(parse(text), overlap=overlap, missed=missed, jitter=3)  # type: ignore[arg-type]
    now, running, last = NOON, 0, -math.inf
    schedule.begin(now)
    for jump in jumps:
        now += jump
        running = data.draw(st.integers(0, 2))
        decision = schedule.check(now, running=running, chance=data.draw(st.floats(0, 0.99)))
        assert decision.deadline > now - 3 or decision.run
        if decision.run:
            assert overlap == "allow" or running == 0
            assert decision.due <= now or overlap == "queue"
            assert decision.due != last, "the same time of the calendar never runs twice in a row"
            last = decision.due
