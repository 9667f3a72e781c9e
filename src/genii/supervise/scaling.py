"""How many workers of an elastic set ought to run: whom to start, whom to let go, when to look again. No I/O.

One rule serves job workers (told of by messages, with a queue behind them) and prefork servers (read from a
scoreboard): when all are busy, more are started, up to the maximum; those that have been idle for ``grace`` seconds
are let go one by one, longest idle first, down to the minimum. A busy one is never let go. One that does its last
piece of work (it ends by itself, to be replaced) gets its successor before it is gone, where the maximum allows.
"""

from __future__ import annotations

from genii.errors import UsageError
from genii.record import record
from genii.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Bounds", "Member", "Pace", "Step", "scale"]


@record
class Bounds:
    """Between which numbers, and how fast; times in seconds.

    Raises ``UsageError`` for numbers that contradict each other.
    """

    minimum: int = 1
    maximum: int = 1
    spare: int = 1
    """How many idle ones are kept ready while others are busy, as far as the maximum allows."""
    burst: int = 1
    """How many may be started at once beyond the minimum: 1 is one by one, more follows what waits."""
    interval: float = 0.0
    """Between two starts beyond the minimum, so that the first has time to take work."""
    grace: float = 10.0
    """How long one must have been idle before it is let go."""
    cooldown: float = 1.0
    """After a start beyond the minimum or a retirement, before the next retirement: against flapping."""

    def __post_init__(self) -> None:
        if self.minimum < 0:
            raise UsageError(f"the minimum number of workers is {self.minimum}; it can't be below 0")
        if self.maximum < max(1, self.minimum):
            raise UsageError(
                f"the maximum number of workers is {self.maximum}; it must be at least {max(1, self.minimum)}"
            )
        if self.spare < 1 or self.burst < 1:
            raise UsageError("spare and burst must be at least 1, or nothing would ever be started")
        if min(self.interval, self.grace, self.cooldown) < 0:
            raise UsageError("interval, grace and cooldown are seconds and can't be negative")

    @property
    def elastic(self) -> bool:
        """Say whether there is anything to decide."""
        return self.maximum > self.minimum


class Member(NamedTuple):
    """One worker that counts: it runs, or is about to. Who was told to leave is not a member any more."""

    key: int
    """The caller's name for it."""
    busy: bool = False
    since: float = 0.0
    """When it became busy or idle, in monotonic seconds."""
    starting: bool = False
    """It can't take work yet, but soon will; it is neither busy nor idle."""
    leaving: bool = False
    """It does its last piece of work: it takes room until it has ended, and no more work."""


class Pace(NamedTuple):
    """What the plan remembers from one decision to the next, in monotonic seconds; None: it never happened."""

    started: float | None = None
    retired: float | None = None


class Step(NamedTuple):
    """What to do now."""

    start: int
    retire: tuple[int, ...]
    """Keys of members, all idle."""
    deadline: float | None
    """When to decide again though nothing happens; None: only when a member changes or work waits."""
    pace: Pace
    release: tuple[int, ...] = ()
    """Keys of leaving members whose work others do now: when they have ended, nobody is to be started for them."""


def scale(bounds: Bounds, members: Sequence[Member], waiting: int, now: float, pace: Pace) -> Step:
    """Decide for ``members`` with ``waiting`` pieces of work that nobody has taken yet (0 where it is not known).

    A leaving member that is not released is to be started again where it was when it has ended: there is no room for
    a successor beside it.
    """
    leaving = [member.key for member in members if member.leaving]
    if not leaving:
        return _decide(bounds, members, bounds.maximum, waiting, now, pace)
    staying = [member for member in members if not member.leaving]
    step = _decide(bounds, staying, max(0, bounds.maximum - len(leaving)), waiting, now, pace)
    lacking = max(0, _wanted(bounds, staying, waiting) - len(staying) - step.start)
    return step._replace(release=tuple(leaving[: max(0, len(leaving) - lacking)]))


def _wanted(bounds: Bounds, staying: Sequence[Member], waiting: int) -> int:
    """Return how many there would be if there were room."""
    busy = sum(member.busy for member in staying)
    wanted = len(staying) + max(0, _lacking(bounds, busy, len(staying) - busy, waiting))
    return min(max(wanted, bounds.minimum), bounds.maximum)


def _decide(bounds: Bounds, members: Sequence[Member], room: int, waiting: int, now: float, pace: Pace) -> Step:
    """Decide for members that stay, of whom there may be ``room``."""
    total = len(members)
    idle = sorted((member for member in members if not member.busy and not member.starting), key=lambda m: m.since)
    if total < bounds.minimum:
        return Step(max(0, min(bounds.minimum, room) - total), (), None, pace)
    if total > bounds.maximum:
        surplus = idle[: total - bounds.maximum]
        pace = pace._replace(retired=now) if surplus else pace
        return Step(0, tuple(member.key for member in surplus), None, pace)
    busy = sum(member.busy for member in members)
    lacking = _lacking(bounds, busy, total - busy, waiting)
    if lacking > 0:
        return _grow(bounds, min(lacking, room - total), now, pace)
    return _shrink(bounds, idle, total, busy, waiting, now, pace)


def _lacking(bounds: Bounds, busy: int, free: int, waiting: int) -> int:
    """Return how many more could take work; ``free`` ones are idle or starting."""
    spare = bounds.spare if busy else 0
    return min(max(waiting, spare) - free, bounds.burst)


def _grow(bounds: Bounds, count: int, now: float, pace: Pace) -> Step:
    if count <= 0:  # the maximum runs
        return Step(0, (), None, pace)
    earliest = now if pace.started is None else pace.started + bounds.interval
    if now < earliest:
        return Step(0, (), earliest, pace)
    # The next decision is due when those have started; with an interval, the clock may have to remind.
    deadline = now + bounds.interval if bounds.interval else None
    return Step(count, (), deadline, pace._replace(started=now))


def _shrink(
    bounds: Bounds, idle: Sequence[Member], total: int, busy: int, waiting: int, now: float, pace: Pace
) -> Step:
    kept = max(waiting, bounds.spare if busy else 0)
    if not idle or total <= bounds.minimum or len(idle) <= kept:
        return Step(0, (), None, pace)
    earliest = max([idle[0].since + bounds.grace, *_after(bounds.cooldown, (pace.started, pace.retired))])
    if now < earliest:
        return Step(0, (), earliest, pace)
    more = total - 1 > bounds.minimum and len(idle) - 1 > kept
    following = max(now + bounds.cooldown, idle[1].since + bounds.grace) if more else None
    return Step(0, (idle[0].key,), following, pace._replace(retired=now))


def _after(seconds: float, moments: Iterable[float | None]) -> list[float]:
    return [moment + seconds for moment in moments if moment is not None]
