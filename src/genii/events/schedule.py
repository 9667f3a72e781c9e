"""Whether a scheduled job runs now: overlap, jitter, missed runs and clocks that are set. No I/O.

A ``Schedule`` is asked with the wall time and the number of its runs that are still going on, at three occasions: when
its deadline has come, when the system's clock was set, and when a run has ended. It answers with a ``Decision``. Asking
too early or too often is harmless, so the caller needs no logic of its own: ask, obey, arm a timer for the deadline.

*Missed* are the times that passed while nobody asked for longer than ``grace`` seconds: the machine slept, the process
was stopped, the clock was set forward. However many they are, they make at most one run.

*Set back*: a clock that goes back by less than the distance of two runs repeats nothing; the next run is the one that
was due anyway. If it goes back further than that, the schedule goes on by the new clock (a job of every minute doesn't
pause for an hour because the clock was set back by one), but never with a run at once; and when the clock is set
forward again, what ran before is not counted as missed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from genii.events.cron import Expression

__all__ = ["Decision", "Missed", "Overlap", "Schedule"]

Overlap = Literal["skip", "queue", "allow"]
Missed = Literal["skip", "run"]
_MOST_COUNTED = 1000
"""Missed runs are counted up to here: a clock that jumps by years must not cost minutes."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a schedule says: whether to start one run now, and when to ask again at the latest."""

    run: bool
    deadline: float
    """Wall time; infinity when it never runs again."""
    due: float = 0.0
    """For which time of the calendar the run is; 0: there is no run."""
    missed: int = 0
    """How many times passed without a run since the last question, ``overlapped`` not among them."""
    overlapped: bool = False
    """Whether a run was left out because an earlier one still goes on."""
    queued: bool = False
    """Whether a run waits for the end of an earlier one."""


class Schedule:
    """Decide about the runs of one job.

    Args:
        expression: when it is due.
        overlap: what becomes of a run that is due while an earlier one still goes on. ``skip`` leaves it out, ``queue``
            starts it when the earlier one has ended (one waits at most), ``allow`` starts it beside the other.
        jitter: each run is delayed by a random part of so many seconds; keep it shorter than the distance of two runs.
        missed: what becomes of runs whose time passed unseen. ``skip`` leaves them out, ``run`` makes one run for all.
        grace: a run that is late by no more than this many seconds is not missed, just late.
    """

    def __init__(
        self,
        expression: Expression,
        *,
        overlap: Overlap = "skip",
        jitter: float = 0.0,
        missed: Missed = "skip",
        grace: float = 60.0,
    ) -> None:
        if overlap not in ("skip", "queue", "allow"):
            raise ValueError(f"overlap {overlap!r}: expected 'skip', 'queue' or 'allow'")
        if missed not in ("skip", "run"):
            raise ValueError(f"missed {missed!r}: expected 'skip' or 'run'")
        if not jitter >= 0 or not grace >= 0:
            raise ValueError("jitter and grace are seconds and can't be negative")
        self.expression = expression
        self.overlap = overlap
        self.missed = missed
        self.jitter = jitter
        self.grace = grace
        self._handled: float | None = None  # the latest time of the calendar that was dealt with
        self._ran = -math.inf  # the time of the calendar of the last run
        self._due = math.inf
        self._delay = 0.0
        self._queued = 0.0

    @property
    def due(self) -> float:
        """Return the next time of the calendar, without jitter."""
        return self._due

    @property
    def deadline(self) -> float:
        """Return the wall time of the next run, jitter included."""
        return self._due + self._delay

    @property
    def handled(self) -> float | None:
        """Return the latest time of the calendar that needs no more thought; None: there was none, or a run waits."""
        return None if self._queued else self._handled

    def begin(self, now: float, *, last_run: float | None = None, running: int = 0, chance: float = 0.5) -> Decision:
        """Start to keep time; ``last_run`` is the ``due`` of the last run of an earlier process, if it is known.

        With ``missed="run"`` what was missed since then runs now. ``chance`` is a random number in [0, 1).
        """
        self._ran = -math.inf if last_run is None else last_run
        self._handled = last_run if last_run is not None and last_run <= now else None
        self._plan(now if self._handled is None else self._handled, chance)
        if last_run is not None and last_run > now:
            self._handled = last_run
            self._replan_after_step_back(now, chance)
        return self.check(now, running=running, chance=chance)

    def check(self, now: float, *, running: int, chance: float = 0.5) -> Decision:
        """Decide at ``now``, with ``running`` runs going on; ``chance`` is a random number in [0, 1)."""
        if self._queued and not running:
            due, self._queued = self._queued, 0.0
            self._ran = due
            return Decision(run=True, deadline=self.deadline, due=due)
        if self._handled is not None and now < self._handled:
            self._replan_after_step_back(now, chance)
        elif self._handled is None and self.expression.next_after(now) < self._due:
            self._plan(now, chance)  # the clock was set back before anything ran
        if now < self.deadline:
            return Decision(run=False, deadline=self.deadline, queued=bool(self._queued))
        return self._decide(now, running, chance)

    def _decide(self, now: float, running: int, chance: float) -> Decision:
        """Take all times up to ``now`` together: at most one run comes of them."""
        late = now - self.deadline
        latest, count = self._latest_due(now)
        self._handled = latest
        self._plan(max(now, latest), chance)
        if late > self.grace and now - latest > self.grace and self.missed == "skip":
            return Decision(run=False, deadline=self.deadline, missed=count, queued=bool(self._queued))
        if latest == self._ran or (count > 1 and latest < self._ran):
            return Decision(run=False, deadline=self.deadline, queued=bool(self._queued))
        if not running or self.overlap == "allow":
            self._ran = latest
            return Decision(run=True, deadline=self.deadline, due=latest, missed=count - 1, queued=bool(self._queued))
        if self.overlap == "queue" and not self._queued:
            self._queued = latest
            return Decision(run=False, deadline=self.deadline, missed=count - 1, queued=True)
        return Decision(run=False, deadline=self.deadline, missed=count - 1, overlapped=True, queued=bool(self._queued))

    def _latest_due(self, now: float) -> tuple[float, int]:
        """Return the latest time of the calendar up to ``now``, and how many there are from ``due`` on."""
        latest, count = self._due, 1
        while (following := self.expression.next_after(latest)) <= now:
            latest, count = following, count + 1
            if count >= _MOST_COUNTED:
                recent = self.expression.next_after(now - self.grace)
                return max(latest, recent if recent <= now else latest), count
        return latest, count

    def _plan(self, after: float, chance: float) -> None:
        self._due = self.expression.next_after(after)
        self._delay = self.jitter * chance

    def _replan_after_step_back(self, now: float, chance: float) -> None:
        """Choose the next time when the clock shows less than it did at a run (see the head of this file)."""
        assert self._handled is not None
        following = self.expression.next_after(self._handled)
        if self._handled - now < following - self._handled or self.expression.next_after(now) >= self._handled:
            if self._due != following:
                self._plan(self._handled, chance)
            return
        self._handled = None
        self._plan(now, chance)
