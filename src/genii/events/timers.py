"""Timers on a running loop: once, at intervals, by the calendar; ``ticks`` and ``schedule`` decide."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from genii.events.source import Source
from genii.events.ticks import Tick, Ticks

if TYPE_CHECKING:
    import asyncio

    from genii.clock import Clock
    from genii.events.handlers import Handler, Runner
    from genii.events.schedule import Decision, Schedule

__all__ = ["CronTimer", "Delay", "Repeater"]

_SHORTEST_WAIT = 0.001
"""Between two looks at a calendar whose time is all but there, since wall clock and loop don't run quite alike."""


class _Timer(Source):
    """One call of the loop that is awaited."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        self._call: asyncio.TimerHandle | None = None

    def _halt(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None


class Delay(_Timer):
    """Call a handler once, ``seconds`` after the start."""

    def __init__(self, handler: Handler, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"{handler}: a delay is a number of seconds, not {seconds!r}")
        super().__init__(handler)
        self.seconds = seconds

    def _begin(self, runner: Runner, clock: Clock) -> None:  # noqa: ARG002 -- the calendar is not asked
        due = runner.loop.time() + self.seconds
        self._call = runner.loop.call_at(due, self._fire, due)

    def _fire(self, due: float) -> None:
        if self._runner is not None:
            self._runner.run(self.handler, Tick(1, due))
            self.cancel()


class Repeater(_Timer):
    """Call a handler every ``interval`` seconds; beats that come while it still runs are counted, not queued."""

    def __init__(self, handler: Handler, interval: float, *, at_once: bool = False) -> None:
        super().__init__(handler)
        self.interval = interval
        self._at_once = at_once
        self._running = False
        self._paused = False
        self._ticks = Ticks(interval, 0.0)

    def pause(self) -> None:
        """Stop the beat until ``resume``; may be called from any thread."""
        self._paused = True
        if self._runner is not None:
            self._runner.in_loop(self._halt)

    def resume(self) -> None:
        """Go on in the same rhythm; may be called from any thread."""
        self._paused = False
        if self._runner is not None:
            self._runner.in_loop(self._go_on)

    def _begin(self, runner: Runner, clock: Clock) -> None:  # noqa: ARG002 -- the calendar is not asked
        self._running = False
        self._ticks = Ticks(self.interval, runner.loop.time() - (self.interval if self._at_once else 0.0))
        self._arm()

    def _go_on(self) -> None:
        if self._call is None and self._runner is not None:
            self._ticks.resume(self._runner.loop.time())
            self._arm()

    def _arm(self) -> None:
        if self._call is None and self._runner is not None and not self._paused:
            self._call = self._runner.loop.call_at(self._ticks.deadline, self._beat)

    def _beat(self) -> None:
        self._call = None
        runner = self._runner
        if runner is None:
            return
        if self._running:
            self._ticks.skip(runner.loop.time())
        else:
            tick = self._ticks.take(runner.loop.time())
            self.handler.statistics.missed += tick.missed
            self._running = True
            runner.run(self.handler, tick, self._done)
        self._arm()

    def _done(self) -> None:
        self._running = False


class CronTimer(_Timer):
    """Call a handler when its schedule says so."""

    def __init__(self, handler: Handler, schedule: Schedule) -> None:
        super().__init__(handler)
        self.schedule = schedule
        self._count = 0
        self._running = 0
        self._clock: Clock

    def check(self) -> None:
        """Look at the calendar: the time has come, the clock was set, or a run has ended."""
        if self._runner is not None:
            self._obey(self.schedule.check(self._clock.time(), running=self._running, chance=self._chance()))

    def _begin(self, runner: Runner, clock: Clock) -> None:  # noqa: ARG002 -- kept by ``start``
        self._clock = clock
        self._running = 0
        self._obey(self.schedule.begin(clock.time(), chance=self._chance()))

    def _chance(self) -> float:
        """Draw a number for the jitter, if there is any: the module for it is 0.5 MiB."""
        if not self.schedule.jitter:
            return 0.5
        import random

        return random.random()  # noqa: S311 -- no secret

    def _obey(self, decision: Decision) -> None:
        runner = self._runner
        assert runner is not None
        self.handler.statistics.missed += decision.missed + decision.overlapped
        self._halt()
        if decision.deadline < math.inf:
            wait = max(decision.deadline - self._clock.time(), _SHORTEST_WAIT)
            self._call = runner.loop.call_later(wait, self.check)
        if decision.run:
            self._count += 1
            self._running += 1
            runner.run(self.handler, Tick(self._count, decision.due, decision.missed), self._done)

    def _done(self) -> None:
        self._running -= 1
        self.check()
