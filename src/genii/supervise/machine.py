"""The life of one process: a table from (state, event) to a transition. No I/O.

``step`` takes what is known of a process, an event and the time, and returns what is known now and the effects to
carry out. The machine has no clock, sends no signal and starts nothing; the shell does, and answers with events.

Two things are kept apart: ``state`` is what is, ``wanted`` is what ought to be. The names of the states are those of
supervisord (http://supervisord.org/subprocess.html#process-states); what is added: a process may have to say that it
is ready before it counts as RUNNING, and a stop is over only when the whole process group is gone.

Each cell of the table is filled or refused by name: an event that can't happen in a state raises ``Impossible``,
one that means nothing there is listed as ``nothing``.
"""

from __future__ import annotations

from enum import Enum, auto

from genii.errors import InternalError
from genii.supervise.state import Restart, State
from genii.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TypeAlias

    from genii.backoff import Backoff
    from genii.supervise.model import Program

    class Stopping(Protocol):
        """How a process is asked to end; ``genii.supervise.model.Stop`` is that of a declared program."""

        @property
        def signal(self) -> int:
            """The signal that asks it."""

        @property
        def timeout(self) -> float:
            """Seconds until KILL."""

        @property
        def group(self) -> bool:
            """Whether its whole process group is meant."""


__all__ = [
    "TABLE",
    "Adopted",
    "BecameReady",
    "Due",
    "Effect",
    "Emptied",
    "Event",
    "Exited",
    "Failed",
    "Impossible",
    "Life",
    "Rules",
    "SpawnFailed",
    "Spawned",
    "StartWanted",
    "StopWanted",
    "Unwanted",
    "rules_for",
    "step",
]

_KILL_AGAIN = 5.0
"""Seconds between two KILLs to a process that does not die (it hangs in the kernel): worth repeating, not often."""


class Impossible(InternalError):
    """Refuse an event that can't happen in this state: the shell and the machine disagree."""


_PAUSE = 1.0
"""Seconds between two starts at least by supervisord's rules, which know no other delay after RUNNING: it looks at what
ended once a second, and what ends at once must not take a processor."""
_HEARSAY = 5.0
"""Seconds for an adopted process to say that it is ready, if it has not said so to its dead supervisor already."""


class Rules(NamedTuple):
    """What the machine has to know of a program."""

    startsecs: float
    needs_ready: bool
    ready_timeout: float
    restart: Restart
    exit_codes: tuple[int, ...]
    early_exit_fails: bool
    retries: int
    backoff: Backoff
    stop: Stopping
    tells_once: bool = False
    """Whether it says by itself, and once, that it is ready: who was not there to hear it can't ask."""


def rules_for(program: Program) -> Rules:
    """Take from a program what decides about the life of its processes."""
    return Rules(
        startsecs=program.startsecs,
        needs_ready=program.ready is not None,
        ready_timeout=program.ready.timeout if program.ready else 0.0,
        restart=program.restart,
        exit_codes=program.exit_codes,
        early_exit_fails=program.early_exit_fails,
        retries=program.retries,
        backoff=program.backoff,
        stop=program.stop,
        tells_once=program.ready is not None and program.ready.probe.kind in ("line", "notify"),
    )


class Life(NamedTuple):
    """What is known of one process slot; ``since``, ``started`` and ``deadline`` are monotonic seconds.

    A named tuple, as the events are, because each transition makes a new one: four times as fast as a frozen dataclass.
    """

    state: State = State.STOPPED
    wanted: bool = False
    again: bool = False
    """Start it again when the stop under way is over."""
    by_itself: bool = False
    """Whether the stop under way only cleans up after a process that ended by itself."""
    pid: int = 0
    since: float = 0.0
    started: float = 0.0
    deadline: float | None = None
    """When the machine wants a ``Due`` event; None: nothing is pending."""
    attempts: int = 0
    """Failed starts in a row."""
    restarts: int = 0
    """Starts that nobody asked for."""
    ready: bool = False
    killed: bool = False
    """Whether KILL was sent in the stop under way."""
    adopted: bool = False
    status: int | None = None
    """How the last process ended: exit code, -N for signal N; None: not known."""
    reason: str = ""

    @property
    def pauses(self) -> bool:
        """Say whether it has ended and is about to be started again."""
        return self.state is State.EXITED and self.deadline is not None


# Events: what happened, in the past tense; or what somebody wants.


class StartWanted:
    """Somebody or something wants it to run."""

    __slots__ = ()


class StopWanted(NamedTuple):
    """Somebody wants it to end; with ``again`` only to start it anew (a restart)."""

    again: bool = False
    reason: str = ""


class Unwanted:
    """Nobody needs it any more, but it may finish: when it has ended by itself, it is not started again."""

    __slots__ = ()


class Spawned(NamedTuple):
    """The process exists."""

    pid: int


class SpawnFailed(NamedTuple):
    """There is no process; ``fatal`` when trying again can't help (no such command)."""

    reason: str
    fatal: bool = False


class Adopted(NamedTuple):
    """A process of an earlier supervisor was found alive."""

    pid: int
    started: float
    running: bool = True


class BecameReady:
    """It said, or a probe found, that it is ready."""

    __slots__ = ()


class Failed(NamedTuple):
    """It lives but is not well (probe), or has to be replaced (age, memory): stop it and start it again."""

    reason: str
    counts: bool = False
    """Whether this is a failed start, so that it goes through back-off."""


class Exited(NamedTuple):
    """The main process ended: exit code, -N for signal N, None when it can't be known."""

    status: int | None
    group_left: bool = False
    """Whether other processes of its group are still there."""


class Emptied:
    """The last process of the group is gone."""

    __slots__ = ()


class Due:
    """The deadline has come."""

    __slots__ = ()


Event: TypeAlias = (
    StartWanted
    | StopWanted
    | Unwanted
    | Spawned
    | SpawnFailed
    | Adopted
    | BecameReady
    | Failed
    | Exited
    | Emptied
    | Due
)


class Effect(Enum):
    """What the shell is to do."""

    SPAWN = auto()
    """Start the process; answer with ``Spawned`` or ``SpawnFailed``."""
    SEND_STOP = auto()
    """Send the stop signal to the process, or to its group where the program says so."""
    KILL_GROUP = auto()
    """Send KILL to all that is left of it."""


Outcome: TypeAlias = tuple[Life, tuple[Effect, ...]]


def step(life: Life, event: Event, now: float, rules: Rules, chance: float = 0.5) -> Outcome:
    """Return what is known after ``event`` at ``now`` (monotonic seconds) and the effects to carry out in order.

    ``chance`` is a random number in [0, 1) for the jitter of a back-off.

    Raises:
        Impossible: the event can't happen in this state.
    """
    return TABLE[life.state, type(event)](_Moment(life, event, now, rules, chance))


class _Moment(NamedTuple):
    """The arguments of a transition."""

    life: Life
    event: Event
    now: float
    rules: Rules
    chance: float


Transition: TypeAlias = "Callable[[_Moment], Outcome]"


def _enter(moment: _Moment, state: State, **changes: object) -> Life:
    changes.setdefault("deadline", None)
    return moment.life._replace(state=state, since=moment.now, **changes)  # type: ignore[arg-type]


# Transitions. Each is named for what it leads to.


def _nothing(moment: _Moment) -> Outcome:
    return moment.life, ()


def _impossible(moment: _Moment) -> Outcome:
    life, event = moment.life, moment.event
    raise Impossible(f"{type(event).__name__} in state {life.state.name} (pid {life.pid})")


def _spawn(moment: _Moment, **changes: int) -> Outcome:
    """STARTING: the shell has to spawn."""
    life = _enter(
        moment, State.STARTING, wanted=True, again=False, pid=0, ready=False, killed=False, adopted=False, reason="",
        **changes,
    )  # fmt: skip
    return life, (Effect.SPAWN,)


def _start_afresh(moment: _Moment) -> Outcome:
    """Somebody asked for a start: earlier failures are forgotten."""
    return _spawn(moment, attempts=0)


def _want(moment: _Moment) -> Outcome:
    return moment.life._replace(wanted=True), ()


def _let_finish(moment: _Moment) -> Outcome:
    return moment.life._replace(wanted=False), ()


def _start_after_stop(moment: _Moment) -> Outcome:
    return moment.life._replace(wanted=True, again=True, attempts=0), ()


def _started(moment: _Moment) -> Outcome:
    """The process exists: RUNNING at once where nothing has to be awaited."""
    event, rules = moment.event, moment.rules
    assert isinstance(event, Spawned)
    patience = rules.ready_timeout if rules.needs_ready else rules.startsecs
    life, now = moment.life, moment.now
    if rules.needs_ready or patience > 0:
        return life._replace(pid=event.pid, started=now, deadline=now + patience), ()
    return _running(moment._replace(life=life._replace(pid=event.pid, started=now)))


def _running(moment: _Moment) -> Outcome:
    return _enter(moment, State.RUNNING, ready=True, attempts=0, reason=""), ()


def _ready_early(moment: _Moment) -> Outcome:
    """Ready: RUNNING, or when it has also lived for startsecs."""
    life, rules = moment.life, moment.rules
    alive_until = life.started + rules.startsecs
    if life.pid and moment.now >= alive_until:
        return _running(moment)
    return life._replace(ready=True, deadline=alive_until if life.pid else None), ()


def _due_early(moment: _Moment) -> Outcome:
    """It lived long enough; or it did not become ready in time."""
    life, rules = moment.life, moment.rules
    unheard = life.adopted and rules.tells_once  # it may have said so to nobody
    if not rules.needs_ready or life.ready or unheard:
        return _running(moment)
    reason = f"not ready within {rules.ready_timeout:g} s"
    return _failed(moment._replace(event=Failed(reason, counts=True)))


def _spawn_failed(moment: _Moment) -> Outcome:
    event = moment.event
    assert isinstance(event, SpawnFailed)
    if event.fatal and not moment.rules.early_exit_fails:
        return _enter(moment, State.FATAL, wanted=False, attempts=0, reason=event.reason), ()
    return _back_off(moment, event.reason)


def _back_off(moment: _Moment, reason: str) -> Outcome:
    """Wait before the next attempt, or give up after the last."""
    life, rules = moment.life, moment.rules
    attempts = life.attempts + 1
    if not life.wanted:
        return _enter(moment, State.STOPPED, pid=0, ready=False, attempts=0, reason=reason), ()
    if attempts > rules.retries:
        reason = f"gave up after {attempts} failed starts: {reason}" if attempts > 1 else reason
        return _enter(moment, State.FATAL, wanted=False, pid=0, ready=False, attempts=0, reason=reason), ()
    deadline = moment.now + rules.backoff.delay(attempts, moment.chance)
    return _enter(moment, State.BACKOFF, pid=0, ready=False, attempts=attempts, reason=reason, deadline=deadline), ()


def _try_again(moment: _Moment) -> Outcome:
    return _spawn(moment, restarts=moment.life.restarts + 1)


def _stay_down(moment: _Moment) -> Outcome:
    """Nothing runs: a restart starts it, a stop has nothing to do."""
    event = moment.event
    assert isinstance(event, StopWanted)
    return _start_afresh(moment) if event.again else (moment.life._replace(wanted=False, deadline=None), ())


def _pause_over(moment: _Moment) -> Outcome:
    """The time has come to start it again, unless somebody has stopped it meanwhile."""
    return _spawn(moment) if moment.life.pauses else (moment.life, ())


def _stop_trying(moment: _Moment) -> Outcome:
    event = moment.event
    assert isinstance(event, StopWanted)
    if event.again:
        return _start_afresh(moment)
    return _enter(moment, State.STOPPED, wanted=False, attempts=0, reason=event.reason), ()


def _stop(moment: _Moment) -> Outcome:
    """STOPPING: signal now, KILL at the deadline."""
    event = moment.event
    assert isinstance(event, StopWanted)
    if not moment.life.pid:
        # Between the wish to start and the fork's answer: remember it, ``_stop_newborn`` sends the signal.
        life = _enter(moment, State.STOPPING, wanted=event.again, again=event.again, attempts=0, reason=event.reason)
        return life, ()
    life = _enter(
        moment,
        State.STOPPING,
        wanted=event.again,
        again=event.again,
        by_itself=False,
        killed=False,
        attempts=0,
        reason=event.reason,
        deadline=moment.now + moment.rules.stop.timeout,
    )
    return life, (Effect.SEND_STOP,)


def _stop_newborn(moment: _Moment) -> Outcome:
    """The process came to be after somebody wanted it stopped."""
    event = moment.event
    assert isinstance(event, Spawned)
    deadline = moment.now + moment.rules.stop.timeout
    return moment.life._replace(pid=event.pid, started=moment.now, deadline=deadline), (Effect.SEND_STOP,)


def _never_born(moment: _Moment) -> Outcome:
    return _over(moment, moment.life)


def _change_mind(moment: _Moment) -> Outcome:
    """A stop or restart while it stops already: the last wish counts."""
    event = moment.event
    assert isinstance(event, StopWanted)
    return moment.life._replace(
        wanted=event.again, again=event.again, by_itself=False, attempts=0, reason=event.reason
    ), ()


def _kill(moment: _Moment) -> Outcome:
    """Patience is over."""
    life = moment.life._replace(killed=True, deadline=moment.now + _KILL_AGAIN)
    return life, (Effect.KILL_GROUP,)


def _failed(moment: _Moment) -> Outcome:
    """It lives but must be replaced: stop it, then start it again."""
    event = moment.event
    assert isinstance(event, Failed)
    again = not (event.counts and moment.rules.restart is Restart.NEVER)
    life = _enter(
        moment,
        State.STOPPING,
        again=again,
        wanted=again,
        by_itself=False,
        killed=False,
        reason=event.reason,
        attempts=moment.life.attempts + 1 if event.counts else moment.life.attempts,
        restarts=moment.life.restarts + 1,
        deadline=moment.now + moment.rules.stop.timeout,
    )
    return life, (Effect.SEND_STOP,)


def _exited_late(moment: _Moment) -> Outcome:
    """The main process is gone; the stop is over when its group is, too."""
    event = moment.event
    assert isinstance(event, Exited)
    life = moment.life._replace(pid=0, status=event.status, ready=False)
    if event.group_left:
        return life, ()
    return _over(moment, life)


def _emptied(moment: _Moment) -> Outcome:
    if moment.life.pid:
        return moment.life, ()
    return _over(moment, moment.life)


def _over(moment: _Moment, life: Life) -> Outcome:
    """The stop is over: start again, back off, or rest."""
    moment = moment._replace(life=life)
    if life.again and life.attempts:
        return _back_off(moment._replace(life=life._replace(attempts=life.attempts - 1, again=False)), life.reason)
    if life.again:
        return _spawn(moment)
    if life.attempts:
        return _enter(moment, State.FATAL, wanted=False, attempts=0, ready=False), ()
    rest = State.EXITED if life.by_itself else State.STOPPED
    return _enter(moment, rest, wanted=False, pid=0, ready=False), ()


def _exited_early(moment: _Moment) -> Outcome:
    """It ended before it counted as running: a failed start, unless ending soon is its way."""
    event, rules = moment.event, moment.rules
    assert isinstance(event, Exited)
    moment = moment._replace(life=moment.life._replace(status=event.status, pid=0, ready=False))
    done = event.status is not None and event.status in rules.exit_codes
    fine = not rules.early_exit_fails and (
        rules.restart is Restart.NEVER or (done and rules.restart is not Restart.ALWAYS)
    )
    if event.group_left:
        return _clean_up(moment, again=not fine and moment.life.wanted, counts=not fine)
    if fine:
        return _rest(moment)
    return _back_off(moment, f"{_how(event.status)} before it was running")


def _exited(moment: _Moment) -> Outcome:
    """It ended by itself: start it again at once where the policy says so."""
    event, rules = moment.event, moment.rules
    assert isinstance(event, Exited)
    life = moment.life._replace(status=event.status, pid=0, ready=False)
    again = life.wanted and _restarts(rules, life.status)
    if again:
        life = life._replace(restarts=life.restarts + 1)
    moment = moment._replace(life=life)
    if event.group_left:
        return _clean_up(moment, again=again, counts=False)
    if again and rules.early_exit_fails and moment.now < life.started + _PAUSE:
        return _enter(moment, State.EXITED, deadline=life.started + _PAUSE, reason=_how(life.status)), ()
    return _spawn(moment) if again else _rest(moment)


def _clean_up(moment: _Moment, *, again: bool, counts: bool) -> Outcome:
    """The main process ended by itself but left others of its group: end them before anything is started anew."""
    life = _enter(
        moment,
        State.STOPPING,
        again=again,
        wanted=again,
        by_itself=True,
        killed=False,
        reason=f"{_how(moment.life.status)}; the rest of its group is being stopped",
        attempts=moment.life.attempts + 1 if counts and again else 0,
        deadline=moment.now + moment.rules.stop.timeout,
    )
    return life, (Effect.SEND_STOP,)


def _rest(moment: _Moment) -> Outcome:
    return _enter(moment, State.EXITED, wanted=False, pid=0, ready=False, reason=_how(moment.life.status)), ()


def _restarts(rules: Rules, status: int | None) -> bool:
    if rules.restart is Restart.ON_FAILURE:
        return status is None or status not in rules.exit_codes
    return rules.restart is Restart.ALWAYS


def _how(status: int | None) -> str:
    if status is None:
        return "ended"
    return f"killed by signal {-status}" if status < 0 else f"exited with {status}"


def _adopt(moment: _Moment) -> Outcome:
    """Take over a living process of an earlier supervisor."""
    event, rules = moment.event, moment.rules
    assert isinstance(event, Adopted)
    life = moment.life._replace(wanted=True, pid=event.pid, started=event.started, adopted=True, attempts=0)
    moment = moment._replace(life=life)
    if event.running:
        return _running(moment)
    timeout = rules.ready_timeout if rules.needs_ready else rules.startsecs
    deadline = moment.now + timeout
    if rules.tells_once:
        deadline = max(moment.now, min(event.started + timeout, moment.now + _HEARSAY))
    return _enter(moment, State.STARTING, deadline=deadline, ready=False), ()


_COLUMNS = (
    StartWanted, StopWanted, Spawned, SpawnFailed, Adopted, BecameReady, Failed, Exited, Emptied, Due, Unwanted,
)  # fmt: skip

# One row a state, one cell an event of _COLUMNS, in the same order. _nothing: it means nothing there (an answer that
# comes late, a wish that is fulfilled). _impossible: the shell must never say it there.
_ROWS: dict[State, tuple[Transition, ...]] = {
    #                StartWanted        StopWanted    Spawned        SpawnFailed    Adopted
    #                BecameReady        Failed        Exited         Emptied        Due            Unwanted
    State.STOPPED:  (_start_afresh,     _stay_down,   _impossible,   _impossible,   _adopt,
                     _nothing,          _nothing,     _impossible,   _nothing,      _nothing,      _nothing),
    State.STARTING: (_want,             _stop,        _started,      _spawn_failed, _impossible,
                     _ready_early,      _failed,      _exited_early, _nothing,      _due_early,    _let_finish),
    State.RUNNING:  (_want,             _stop,        _impossible,   _impossible,   _impossible,
                     _nothing,          _failed,      _exited,       _nothing,      _nothing,      _let_finish),
    State.BACKOFF:  (_start_afresh,     _stop_trying, _impossible,   _impossible,   _impossible,
                     _nothing,          _nothing,     _impossible,   _nothing,      _try_again,    _nothing),
    State.STOPPING: (_start_after_stop, _change_mind, _stop_newborn, _never_born,   _impossible,
                     _nothing,          _nothing,     _exited_late,  _emptied,      _kill,         _nothing),
    State.EXITED:   (_start_afresh,     _stay_down,   _impossible,   _impossible,   _adopt,
                     _nothing,          _nothing,     _impossible,   _nothing,      _pause_over,   _nothing),
    State.FATAL:    (_start_afresh,     _stay_down,   _impossible,   _impossible,   _adopt,
                     _nothing,          _nothing,     _impossible,   _nothing,      _nothing,      _nothing),
    State.UNKNOWN:  (_start_afresh,     _stay_down,   _impossible,   _impossible,   _adopt,
                     _nothing,          _nothing,     _impossible,   _nothing,      _nothing,      _nothing),
}  # fmt: skip

TABLE: dict[tuple[State, type], Transition] = {
    (state, event): cell for state, row in _ROWS.items() for event, cell in zip(_COLUMNS, row, strict=True)
}
"""The whole machine: what happens in each state at each event."""
