"""Find out how much work there is where processes don't say so: what waits in queues, how hard a process works.

It is looked at only while it can make a difference: a queue while all are busy and more may be started, the processor
of programs that chose to be judged by it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from genii.errors import GeniiError
from genii.supervise.model import State
from genii.system.procfs import usage

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from genii.supervise.model import Program
    from genii.supervise.process import Process
    from genii.supervise.supervisor import Supervisor

__all__ = ["Demand", "Queues"]

_log = logging.getLogger(__name__)
QUEUE_INTERVAL = 0.25
"""Seconds between two looks at a queue."""
FULL_INTERVAL = 1.0
"""The same where nothing more can be started: only to tell."""
CPU_INTERVAL = 1.0
"""Seconds over which the use of the processor is measured."""


class Queues(Protocol):
    """Whoever knows the queues of job servers."""

    async def waiting(self, servers: Sequence[str], pids: Sequence[int]) -> int:
        """Return how many jobs wait that the processes ``pids`` could do. Raises GeniiError, OSError or ValueError."""

    def close(self) -> None:
        """Let go of connections."""


class Demand:
    """The looks at queues and processors; ``changed`` is called with the program when there is news."""

    def __init__(self, supervisor: Supervisor, changed: Callable[[str], None]) -> None:
        self._supervisor = supervisor
        self._changed = changed
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._intervals: dict[str, float] = {}
        self._used: dict[str, tuple[int, float, float]] = {}
        """Process -> pid, seconds of processor time, and when that was."""
        self.make_queues: Callable[[], Queues | None] = lambda: None
        """Makes whoever knows the queues, when somebody is needed for the first time."""
        self._queues: Queues | None = None

    def watch(self, program: Program, *, saturated: bool, room: bool) -> None:
        """Look again when it is time to; ``saturated``: all processes are busy; ``room``: there may be more of them."""
        deadlines, name = self._supervisor.services.deadlines, program.name
        key = ("demand", name)
        if program.scaling.follow == "cpu":
            if not deadlines.pending(key):
                deadlines.set(key, self._supervisor.loop.time() + CPU_INTERVAL, lambda: self._measure(name))
        elif program.scaling.follow == "queue" and saturated:
            self._intervals[name] = QUEUE_INTERVAL if room else FULL_INTERVAL
            if name not in self._looking and not deadlines.pending(key):
                self._look(name)
        else:
            self.forget(name)

    def forget(self, name: str) -> None:
        """Look no more."""
        self._supervisor.services.deadlines.cancel(("demand", name))
        self._supervisor.elastic.pool(name).waiting = 0

    def close(self) -> None:
        """Give up all looks."""
        for task in self._looking.values():
            task.cancel()
        if self._queues is not None:
            self._queues.close()

    def _look(self, name: str) -> None:
        if self._queues is None:
            self._queues = self.make_queues()
        if self._queues is not None and name not in self._looking and name in self._supervisor.slots.programs:
            task = self._supervisor.loop.create_task(self._ask(name, self._queues))
            self._looking[name] = task
            task.add_done_callback(lambda _: self._looking.pop(name, None))

    async def _ask(self, name: str, queues: Queues) -> None:
        supervisor = self._supervisor
        pids = [process.life.pid for process in supervisor.slots.of(name) if process.life.pid]
        try:
            waiting = await queues.waiting(supervisor.slots.programs[name].scaling.servers, pids)
        except (GeniiError, OSError, ValueError) as error:
            _log.debug("%s: what waits is not known: %s", name, error)
            waiting = 0
        pool = supervisor.elastic.pool(name)
        again = supervisor.loop.time() + self._intervals.get(name, QUEUE_INTERVAL)
        supervisor.services.deadlines.set(("demand", name), again, lambda: self._look(name))
        if waiting != pool.waiting:
            pool.waiting = waiting
            self._changed(name)

    def _measure(self, name: str) -> None:
        program = self._supervisor.slots.programs.get(name)
        if program is None or program.scaling.follow != "cpu":
            return
        for process in self._supervisor.slots.of(name):
            if process.state is State.RUNNING:
                self._weigh(process, program.scaling.cpu)
        self._changed(name)

    def _weigh(self, process: Process, bound: float) -> None:
        """Judge by the processor time since the last look whether a process is busy."""
        now, pid = self._supervisor.loop.time(), process.life.pid
        used = usage(pid)[1]
        before = self._used.get(process.name)
        self._used[process.name] = (pid, used, now)
        if before is None or before[0] != pid or now <= before[2]:
            return
        busy = used - before[1] >= bound * (now - before[2])
        if process.work.busy is not busy:
            process.work = process.work._replace(busy=busy, since=now)
