"""The life of one process, by histories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genii.backoff import Backoff
from genii.supervise.machine import (
    TABLE,
    Adopted,
    BecameReady,
    Due,
    Effect,
    Emptied,
    Event,
    Exited,
    Failed,
    Impossible,
    Life,
    Rules,
    Spawned,
    SpawnFailed,
    StartWanted,
    StopWanted,
    rules_for,
    step,
)
from genii.supervise.model import Program, Restart, State, Stop

if TYPE_CHECKING:
    from collections.abc import Sequence


def rules(**changes: object) -> Rules:
    """Return rules with plain values, some changed."""
    values: dict[str, object] = {
        "startsecs": 1.0,
        "needs_ready": False,
        "ready_timeout": 30.0,
        "restart": Restart.ON_FAILURE,
        "exit_codes": (0,),
        "early_exit_fails": False,
        "retries": 3,
        "backoff": Backoff(initial=1.0, factor=2.0, cap=60.0, jitter=0.0),
        "stop": Stop(signal=15, timeout=10.0),
    }
    return Rules(**(values | changes))  # type: ignore[arg-type]


def history(
    events: Sequence[tuple[float, Event]], with_rules: Rules, life: Life | None = None
) -> tuple[Life, list[Effect]]:
    """Live through events at their times; return the life at the end and all effects."""
    life = life or Life()
    effects: list[Effect] = []
    for now, event in events:
        life, more = step(life, event, now, with_rules)
        effects += more
    return life, effects


RUNNING: list[tuple[float, Event]] = [(0, StartWanted()), (0, Spawned(7)), (1, Due())]


def test_runs_after_startsecs() -> None:
    life, effects = history([(0, StartWanted()), (0.1, Spawned(7))], rules())
    assert (life.state, life.deadline) == (State.STARTING, 1.1)
    life, _ = step(life, Due(), 1.1, rules())
    assert (life.state, life.pid, life.ready, life.deadline) == (State.RUNNING, 7, True, None)
    assert effects == [Effect.SPAWN]


def test_runs_at_once_without_startsecs() -> None:
    assert history(RUNNING[:2], rules(startsecs=0.0))[0].state is State.RUNNING


def test_waits_for_readiness_and_for_startsecs() -> None:
    waiting = rules(needs_ready=True)
    assert history([*RUNNING[:2], (5, BecameReady())], waiting)[0].state is State.RUNNING
    early, _ = history([*RUNNING[:2], (0.5, BecameReady())], waiting)
    assert (early.state, early.deadline) == (State.STARTING, 1.0)
    assert step(early, Due(), 1.0, waiting)[0].state is State.RUNNING


def test_replaces_what_does_not_become_ready_and_counts_it_as_a_failed_start() -> None:
    waiting = rules(needs_ready=True, ready_timeout=5.0)
    life, effects = history([*RUNNING[:2], (5, Due())], waiting)
    assert (life.state, life.again, effects[-1]) == (State.STOPPING, True, Effect.SEND_STOP)
    life, _ = step(life, Exited(-15), 5.1, waiting)
    assert (life.state, life.attempts, life.reason) == (State.BACKOFF, 1, "not ready within 5 s")


def test_restarts_at_once_after_a_crash() -> None:
    life, effects = history([*RUNNING, (9, Exited(-9))], rules())
    assert (life.state, life.restarts, effects) == (State.STARTING, 1, [Effect.SPAWN, Effect.SPAWN])


@pytest.mark.parametrize(
    ("policy", "status", "state"),
    [
        (Restart.ALWAYS, 0, State.STARTING),
        (Restart.ALWAYS, 3, State.STARTING),
        (Restart.ON_FAILURE, 0, State.EXITED),
        (Restart.ON_FAILURE, 3, State.STARTING),
        (Restart.ON_FAILURE, None, State.STARTING),
        (Restart.NEVER, 0, State.EXITED),
        (Restart.NEVER, 3, State.EXITED),
    ],
)
def test_follows_the_restart_policy(policy: Restart, status: int | None, state: State) -> None:
    assert history([*RUNNING, (9, Exited(status))], rules(restart=policy))[0].state is state


def test_backs_off_longer_each_time_and_gives_up_after_the_retries() -> None:
    now, life = 0.0, step(Life(), StartWanted(), 0, rules())[0]
    delays = []
    while life.state is not State.FATAL:
        life, _ = history([(now, Spawned(7)), (now, Exited(1))], rules(), life)
        if life.state is State.BACKOFF:
            assert life.deadline is not None
            delays.append(life.deadline - now)
            now = life.deadline
            life, _ = step(life, Due(), now, rules())
    assert delays == [1.0, 2.0, 4.0]
    assert life.reason == "gave up after 4 failed starts: exited with 1 before it was running"
    assert not life.wanted


def test_forgets_failures_once_it_runs() -> None:
    life, _ = history([*RUNNING[:2], (0, Exited(1)), (1, Due()), (1, Spawned(8)), (2, Due())], rules())
    assert (life.state, life.attempts) == (State.RUNNING, 0)


def test_a_short_success_is_an_end_unless_the_rules_say_otherwise() -> None:
    early: list[tuple[float, Event]] = [*RUNNING[:2], (0.1, Exited(0))]
    assert history(early, rules())[0].state is State.EXITED
    assert history(early, rules(early_exit_fails=True))[0].state is State.BACKOFF
    assert history(early, rules(restart=Restart.ALWAYS))[0].state is State.BACKOFF


def test_a_command_that_does_not_exist_is_fatal_at_once() -> None:
    life, _ = history([(0, StartWanted()), (0, SpawnFailed("command not found", fatal=True))], rules())
    assert (life.state, life.wanted, life.reason) == (State.FATAL, False, "command not found")


def test_a_fork_that_fails_is_tried_again() -> None:
    life, _ = history([(0, StartWanted()), (0, SpawnFailed("no memory"))], rules())
    assert (life.state, life.deadline) == (State.BACKOFF, 1.0)


def test_stops_with_patience_then_kills_and_kills_again() -> None:
    life, effects = history([*RUNNING, (5, StopWanted())], rules())
    assert (life.state, life.deadline, effects[-1]) == (State.STOPPING, 15, Effect.SEND_STOP)
    life, effects = history([(15, Due()), (20, Due())], rules(), life)
    assert effects == [Effect.KILL_GROUP, Effect.KILL_GROUP]
    life, _ = step(life, Exited(-9), 21, rules())
    assert (life.state, life.killed, life.status) == (State.STOPPED, True, -9)


def test_a_stop_is_over_when_the_group_is_gone() -> None:
    life, _ = history([*RUNNING, (5, StopWanted()), (6, Exited(0, group_left=True))], rules())
    assert (life.state, life.pid, life.deadline) == (State.STOPPING, 0, 15)
    assert step(life, Due(), 15, rules())[1] == (Effect.KILL_GROUP,)
    assert step(life, Emptied(), 7, rules())[0].state is State.STOPPED


def test_ends_the_rest_of_a_group_before_it_restarts() -> None:
    life, effects = history([*RUNNING, (5, Exited(1, group_left=True))], rules())
    assert (life.state, life.again, effects[-1]) == (State.STOPPING, True, Effect.SEND_STOP)
    life, effects2 = step(life, Emptied(), 6, rules())
    assert (life.state, effects2) == (State.STARTING, (Effect.SPAWN,))


def test_a_job_that_left_others_behind_has_still_ended_by_itself() -> None:
    life, _ = history([*RUNNING, (5, Exited(0, group_left=True)), (6, Emptied())], rules())
    assert (life.state, life.status) == (State.EXITED, 0)


def test_restart_is_a_stop_that_starts_again() -> None:
    life, effects = history([*RUNNING, (5, StopWanted(again=True)), (6, Exited(0))], rules())
    assert (life.state, effects[-1]) == (State.STARTING, Effect.SPAWN)


def test_the_last_wish_counts_while_it_stops() -> None:
    stopping, _ = history([*RUNNING, (5, StopWanted())], rules())
    assert history([(6, StartWanted()), (7, Exited(0))], rules(), stopping)[0].state is State.STARTING
    again, _ = history([(6, StopWanted(again=True)), (6, StopWanted())], rules(), stopping)
    assert step(again, Exited(0), 7, rules())[0].state is State.STOPPED


def test_a_stop_before_the_forks_answer_still_signals_and_waits() -> None:
    life, effects = history([(0, StartWanted()), (0, StopWanted()), (0, Spawned(7))], rules())
    assert (life.state, life.pid, life.deadline) == (State.STOPPING, 7, 10)
    assert effects == [Effect.SPAWN, Effect.SEND_STOP]


def test_a_stop_ends_the_attempts() -> None:
    life, _ = history([*RUNNING[:2], (0, Exited(1)), (0.5, StopWanted())], rules())
    assert (life.state, life.deadline) == (State.STOPPED, None)


def test_a_sick_process_is_replaced_without_back_off() -> None:
    life, _ = history([*RUNNING, (5, Failed("unhealthy")), (6, Exited(0))], rules())
    assert (life.state, life.restarts) == (State.STARTING, 1)


def test_one_that_may_not_restart_and_does_not_get_ready_has_failed() -> None:
    never = rules(needs_ready=True, restart=Restart.NEVER)
    life, _ = history([*RUNNING[:2], (30, Due()), (31, Exited(-15))], never)
    assert (life.state, life.reason) == (State.FATAL, "not ready within 30 s")


def test_adopts_a_running_and_a_starting_process() -> None:
    life, _ = history([(50, Adopted(7, started=20.0))], rules())
    assert (life.state, life.pid, life.adopted) == (State.RUNNING, 7, True)
    life, _ = history([(50, Adopted(7, started=49.5, running=False)), (51, Due())], rules())
    assert life.state is State.RUNNING


def test_does_not_hold_it_against_an_adopted_process_that_it_told_nobody_of_its_readiness() -> None:
    once = rules(needs_ready=True, ready_timeout=30.0, tells_once=True)
    life, _ = history([(50, Adopted(7, started=40.0, running=False))], once)
    assert (life.state, life.deadline) == (State.STARTING, 55.0)
    life, effects = history([(50, Adopted(7, started=40.0, running=False)), (55, Due())], once)
    assert (life.state, life.pid, effects) == (State.RUNNING, 7, [])
    assert history([(50, Adopted(7, started=18.0, running=False))], once)[0].deadline == 50.0
    asked = rules(needs_ready=True, ready_timeout=30.0)
    life, _ = history([(50, Adopted(7, started=40.0, running=False))], asked)
    assert (life.state, life.deadline) == (State.STARTING, 80.0)
    life, _ = history([(50, Adopted(7, started=40.0, running=False)), (80, Due())], asked)
    assert life.state is State.STOPPING


def test_the_table_is_total() -> None:
    events = {event for _, event in TABLE}
    assert set(TABLE) == {(state, event) for state in State for event in events}
    assert len(events) == 11


def test_refuses_by_name_what_cannot_happen() -> None:
    with pytest.raises(Impossible, match="Spawned in state STOPPED"):
        step(Life(), Spawned(7), 0, rules())


def test_takes_its_rules_from_the_program() -> None:
    found = rules_for(Program(name="x", command=("true",), retries=5, startsecs=2.0))
    assert (found.retries, found.startsecs, found.needs_ready) == (5, 2.0, False)


WISHES: st.SearchStrategy[Event] = st.one_of(
    st.just(StartWanted()),
    st.booleans().map(lambda again: StopWanted(again=again)),
    st.booleans().map(lambda counts: Failed("sick", counts=counts)),
    st.just(BecameReady()),
    st.just(Due()),
    st.just(Emptied()),
)
POLICIES = st.builds(
    rules,
    startsecs=st.sampled_from([0.0, 1.0]),
    needs_ready=st.booleans(),
    restart=st.sampled_from(list(Restart)),
    retries=st.integers(0, 3),
    early_exit_fails=st.booleans(),
)


@settings(max_examples=300)
@given(
    POLICIES,
    st.lists(st.tuples(st.floats(-5, 20), st.integers(0, 9), WISHES, st.sampled_from([0, 1, -9, None]), st.booleans())),
)
def test_no_history_breaks_the_invariants(
    with_rules: Rules, moments: list[tuple[float, int, Event, int | None, bool]]
) -> None:
    """Play the world: answer effects, end processes at random, let the clock step back and forth."""
    life, now, alive, left, pids = Life(), 100.0, 0, False, 7
    for elapsed, choice, wish, status, group in moments:
        now += elapsed
        event: Event = wish
        if choice < 4 and alive:
            event, alive, left = Exited(status, group_left=group), 0, group
        elif isinstance(wish, Emptied) and not left:
            continue
        elif isinstance(wish, Emptied):
            left = False
        todo: list[Event] = [event]
        while todo:
            life, effects = step(life, todo.pop(0), now, with_rules)
            for effect in effects:
                if effect is Effect.SPAWN:
                    assert not alive, "never a second copy"
                    assert not left, "nothing is started while the old group lives"
                    pids += 1
                    if choice == 9:
                        todo.append(SpawnFailed("no memory"))
                    else:
                        alive = pids
                        todo.append(Spawned(pids))
                elif effect is Effect.SEND_STOP:
                    assert alive or left, "no signal to nobody"
        assert life.pid == alive
        assert life.state.alive == bool(alive or left)
        assert (life.state is State.BACKOFF) <= (life.deadline is not None)
        assert life.attempts <= with_rules.retries + 1


def test_by_supervisords_rules_two_starts_are_a_second_apart() -> None:
    calm = rules(early_exit_fails=True, startsecs=0.0, restart=Restart.ALWAYS)
    quick: list[tuple[float, Event]] = [(5, StartWanted()), (5, Spawned(7)), (5, Due()), (5.2, Exited(0))]
    life, effects = history(quick, calm)
    assert (life.state, life.wanted, life.deadline, effects) == (State.EXITED, True, 6.0, [Effect.SPAWN])
    life, effects = history([(6.0, Due())], calm, life)
    assert (life.state, effects) == (State.STARTING, [Effect.SPAWN])
    life, effects = history([(6, Spawned(8)), (6, Due()), (7.5, Exited(0))], calm, life)
    assert (life.state, effects) == (State.STARTING, [Effect.SPAWN])


def test_a_stop_ends_the_pause_before_a_start() -> None:
    calm = rules(early_exit_fails=True, startsecs=0.0, restart=Restart.ALWAYS)
    quick: list[tuple[float, Event]] = [(5, StartWanted()), (5, Spawned(7)), (5, Due()), (5.2, Exited(0))]
    life, effects = history([*quick, (5.5, StopWanted()), (6, Due())], calm)
    assert (life.state, life.wanted, life.deadline, effects) == (State.EXITED, False, None, [Effect.SPAWN])
