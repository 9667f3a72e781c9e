"""The scaling plan, by cases and by properties over random histories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.errors import UsageError
from genii.supervise.scaling import Bounds, Member, Pace, Step, scale

BOUNDS = Bounds(minimum=1, maximum=4, grace=10, cooldown=2)


def busy(*keys: int, since: float = 0.0) -> list[Member]:
    return [Member(key, busy=True, since=since) for key in keys]


def idle(*keys: int, since: float = 0.0) -> list[Member]:
    return [Member(key, since=since) for key in keys]


def decide(members: list[Member], now: float = 100.0, waiting: int = 0, bounds: Bounds = BOUNDS) -> Step:
    return scale(bounds, members, waiting, now, Pace())


def test_starts_the_minimum_at_once() -> None:
    assert decide([], bounds=Bounds(minimum=3, maximum=5)).start == 3


def test_starts_one_more_when_all_are_busy() -> None:
    step = decide(busy(1, 2))
    assert (step.start, step.retire) == (1, ())


def test_starts_nothing_while_one_is_starting() -> None:
    assert decide([*busy(1, 2), Member(3, starting=True)]).start == 0


def test_starts_nothing_while_one_is_idle() -> None:
    assert decide([*busy(1, 2), *idle(3)]).start == 0


def test_starts_nothing_beyond_the_maximum() -> None:
    step = decide(busy(1, 2, 3, 4), waiting=100)
    assert step.start == 0
    assert step.deadline is None


def test_follows_the_queue_by_choice() -> None:
    bounds = Bounds(minimum=1, maximum=10, burst=10)
    assert decide(busy(1), waiting=5, bounds=bounds).start == 5
    assert decide([*busy(1), *idle(2, 3)], waiting=5, bounds=bounds).start == 3


def test_one_by_one_waits_for_the_interval() -> None:
    bounds = Bounds(minimum=1, maximum=4, interval=0.5)
    first = scale(bounds, busy(1), 0, 10.0, Pace())
    assert (first.start, first.deadline) == (1, 10.5)
    second = scale(bounds, busy(1, 2), 0, 10.2, first.pace)
    assert (second.start, second.deadline) == (0, 10.5)
    assert scale(bounds, busy(1, 2), 0, 10.5, first.pace).start == 1


def test_lets_the_longest_idle_go_first_and_only_one() -> None:
    step = decide([*idle(1, since=80), *idle(2, since=70), *idle(3, since=75)])
    assert step.retire == (2,)
    assert step.deadline == 102


def test_lets_nobody_go_before_the_grace_time() -> None:
    step = decide([*idle(1, since=95), *idle(2, since=96)])
    assert (step.retire, step.deadline) == ((), 105)


def test_cooldown_holds_after_a_start() -> None:
    members = [*idle(1), *idle(2)]
    step = scale(BOUNDS, members, 0, 100.0, Pace(started=99.5))
    assert (step.retire, step.deadline) == ((), 101.5)


def test_keeps_a_spare_one_while_others_are_busy() -> None:
    assert decide([*busy(1, 2), *idle(3)]).retire == ()
    assert decide([*busy(1, 2), *idle(3, 4)]).retire == (3,)


def test_goes_down_to_nothing_and_comes_back_for_work() -> None:
    bounds = Bounds(minimum=0, maximum=2)
    assert decide(idle(1), bounds=bounds).retire == (1,)
    assert decide([], bounds=bounds).start == 0
    assert decide([], waiting=1, bounds=bounds).start == 1


def test_a_lowered_maximum_takes_idle_ones_at_once_and_busy_ones_never() -> None:
    bounds = Bounds(minimum=1, maximum=2)
    assert decide([*busy(1, 2, 3), *idle(4, since=99.9)], bounds=bounds).retire == (4,)
    assert decide(busy(1, 2, 3), bounds=bounds).retire == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"minimum": -1},
        {"minimum": 3, "maximum": 2},
        {"minimum": 0, "maximum": 0},
        {"spare": 0},
        {"burst": 0},
        {"grace": -1.0},
    ],
)
def test_refuses_bounds_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Bounds(**wrong)  # type: ignore[arg-type]


def leaving(*keys: int) -> list[Member]:
    return [Member(key, busy=True, leaving=True) for key in keys]


def test_one_that_leaves_gets_its_successor_while_it_still_works() -> None:
    step = decide(leaving(1), bounds=Bounds(minimum=1, maximum=2))
    assert (step.start, step.release) == (1, (1,))


def test_where_the_maximum_allows_no_successor_it_is_started_again_in_its_place() -> None:
    step = decide(leaving(1), bounds=Bounds(minimum=1, maximum=1))
    assert (step.start, step.release) == (0, ())
    assert decide([*leaving(1), *busy(2, 3, 4)]).release == ()


def test_one_that_leaves_and_is_not_missed_gets_no_successor() -> None:
    step = decide([*leaving(1), *busy(2), *idle(3)])
    assert (step.start, step.release) == (0, (1,))


def test_no_more_successors_than_there_is_room_for() -> None:
    step = decide(leaving(1, 2, 3), bounds=Bounds(minimum=3, maximum=5))
    assert (step.start, step.release) == (2, (1, 2))


@st.composite
def all_bounds(draw: st.DrawFn) -> Bounds:
    minimum = draw(st.integers(0, 5))
    return Bounds(
        minimum=minimum,
        maximum=draw(st.integers(max(1, minimum), 9)),
        spare=draw(st.integers(1, 3)),
        burst=draw(st.integers(1, 9)),
        interval=draw(st.sampled_from([0.0, 0.5])),
        grace=draw(st.sampled_from([0.0, 1.0, 10.0])),
        cooldown=draw(st.sampled_from([0.0, 2.0])),
    )


members_of_any_kind = st.lists(
    st.tuples(st.sampled_from(["busy", "idle", "starting", "leaving"]), st.floats(0, 100)), max_size=12
).map(
    lambda kinds: [
        Member(key, kind in ("busy", "leaving"), since, starting=kind == "starting", leaving=kind == "leaving")
        for key, (kind, since) in enumerate(kinds)
    ]
)
moments = st.none() | st.floats(0, 100)


@given(all_bounds(), members_of_any_kind, st.integers(0, 20), st.builds(Pace, moments, moments))
def test_keeps_to_the_bounds_and_to_idle_ones(bounds: Bounds, members: list[Member], waiting: int, pace: Pace) -> None:
    step = scale(bounds, members, waiting, 100.0, pace)
    by_key = {member.key: member for member in members}
    assert all(not by_key[key].busy and not by_key[key].starting for key in step.retire)
    assert all(by_key[key].leaving for key in step.release)
    after = len(members) + step.start - len(step.retire)
    assert after <= max(bounds.maximum, len(members))
    assert after >= min(bounds.minimum, len(members))
    assert len(members) + step.start >= bounds.minimum
    # When all have left who will, nobody is missing: those that were not released have come back in their places.
    assert after - len(step.release) >= bounds.minimum
    assert not (step.start and step.retire)
    assert step.deadline is None or step.deadline >= 100.0


@given(all_bounds(), st.lists(st.tuples(st.integers(0, 12), st.floats(0, 5)), max_size=30))
def test_follows_a_load_that_rises_and_falls_then_rests_at_the_minimum(
    bounds: Bounds, load: list[tuple[int, float]]
) -> None:
    now, pace = 0.0, Pace()
    pool: dict[int, tuple[bool, float]] = {}
    serial = 0
    for demand, seconds in [*load, *[(0, bounds.grace + bounds.cooldown + 1)] * 24]:
        now += seconds
        for number, (key, (was_busy, since)) in enumerate(pool.items()):
            is_busy = number < demand
            pool[key] = (is_busy, since if is_busy == was_busy else now)
        members = [Member(key, is_busy, since) for key, (is_busy, since) in pool.items()]
        step = scale(bounds, members, max(0, demand - len(pool)), now, pace)
        pace = step.pace
        for key in step.retire:
            assert not pool.pop(key)[0]
        for _ in range(step.start):
            serial += 1
            pool[serial] = (False, now)
        assert bounds.minimum <= len(pool) <= bounds.maximum
    assert len(pool) == bounds.minimum
