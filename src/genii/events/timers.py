"""Timers on a running loop: once, at intervals, by the calendar; ``ticks`` and ``schedule`` decide."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Protocol

from genii.events.ticks import Tick, Ticks

if TYPE_CHECKING:
    from genii.clock import Clock
    from genii.events.handlers import Handler, Runner
    from genii.events.schedule import Decision, Schedule

__all__ = ["CronTimer", "Delay", "Repeater", "Timer"]

_SHORTEST_WAIT = 0.001
"""Between two looks at a calendar whose time is all but there, since wall clock and loop don't run quite alike."""


class Timer(Protocol):
    """Something that an app starts and stops."""

    handler: Handler

    def start(self, runner: Runner, clock: Clock) -> None:
        """Begin to keep time on the running loop."""

    def cancel(self) -> None:
        """Fire no more; a handler that runs goes on."""


class Delay:
    """Call a handler once, ``seconds`` after the start."""

    def __init__(self, handler: Handler, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"{handler}: a delay is a number of seconds, not {seconds!r}")
        self.handler = handler
        self.seconds = seconds
        self._call: asyncio.TimerHandle | None = None

    def start(self, runner: Runner, clock: Clock) -> None:  # noqa: ARG002 -- the calendar is not asked
        """Begin to keep time on the running loop."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self.seconds
        self._call = loop.call_at(due, runner.run, self.handler, Tick(1, due))

    def cancel(self) -> None:
        """Fire no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None


class Repeater:
    """Call a handler every ``interval`` seconds; beats that come while it still runs are counted, not queued."""

    def __init__(self, handler: Handler, interval: float, *, at_once: bool = False) -> None:
        Ticks(interval, 0.0)  # so that a wrong interval is told here
        self.handler = handler
        self.interval = interval
        self._at_once = at_once
        self._running = False
        self._paused = False
        self._ticks: Ticks | None = None
        self._runner: Runner
        self._call: asyncio.TimerHandle | None = None

    def start(self, runner: Runner, clock: Clock) -> None:  # noqa: ARG002 -- the calendar is not asked
        """Begin to keep time on the running loop."""
        loop = asyncio.get_running_loop()
        self._runner = runner
        self._running = False
        self._ticks = Ticks(self.interval, loop.time() - (self.interval if self._at_once else 0.0))
        if not self._paused:
            self._arm(loop)

    def cancel(self) -> None:
        """Fire no more; a handler that runs goes on."""
        self._ticks = None
        self._halt()

    def pause(self) -> None:
        """Stop the beat until ``resume``; may be called from any thread."""
        self._paused = True
        if self._ticks is not None:
            self._runner.in_loop(self._halt)

    def resume(self) -> None:
        """Go on in the same rhythm; may be called from any thread."""
        self._paused = False
        if self._ticks is not None:
            self._runner.in_loop(self._go_on)

    def _halt(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _go_on(self) -> None:
        if self._call is None and self._ticks is not None and not self._paused:
            loop = asyncio.get_running_loop()
            self._ticks.resume(loop.time())
            self._arm(loop)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._ticks is not None
        self._call = loop.call_at(self._ticks.deadline, self._beat)

    def _beat(self) -> None:
        self._call = None
        ticks = self._ticks
        if ticks is None:
            return
        loop = asyncio.get_running_loop()
        if self._running:
            ticks.skip(loop.time())
        else:
            tick = ticks.take(loop.time())
            self.handler.statistics.missed += tick.missed
            self._running = True
            self._runner.run(self.handler, tick, self._done)
        self._continue()

    def _continue(self) -> None:
        if self._call is None and self._ticks is not None and not self._paused:
            self._arm(asyncio.get_running_loop())

    def _done(self) -> None:
        self._running = False


class CronTimer:
    """Call a handler when its schedule says so."""

    def __init__(self, handler: Handler, schedule: Schedule) -> None:
        self.handler = handler
        self.schedule = schedule
        self._count = 0
        self._running = 0
        self._runner: Runner | None = None
        self._clock: Clock
        self._call: asyncio.TimerHandle | None = None

    def start(self, runner: Runner, clock: Clock, last_run: float | None = None) -> None:
        """Begin to keep time on the running loop."""
        self._runner, self._clock = runner, clock
        self._running = 0
        self._obey(self.schedule.begin(clock.time(), last_run=last_run, chance=self._chance()))

    def cancel(self) -> None:
        """Fire no more; a handler that runs goes on."""
        self._runner = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def check(self) -> None:
        """Look at the calendar: the time has come, the clock was set, or a run has ended."""
        if self._runner is not None:
            self._obey(self.schedule.check(self._clock.time(), running=self._running, chance=self._chance()))

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
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if decision.deadline < math.inf:
            wait = max(decision.deadline - self._clock.time(), _SHORTEST_WAIT)
            self._call = asyncio.get_running_loop().call_later(wait, self.check)
        if decision.run:
            self._count += 1
            self._running += 1
            runner.run(self.handler, Tick(self._count, decision.due, decision.missed), self._done)

    def _done(self) -> None:
        self._running -= 1
        self.check()
