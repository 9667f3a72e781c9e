"""Watch over processes: whether they are ready, whether they are well, whether they have done their share.

Only what a program declares costs anything: without probes, ages and memory bounds nothing here ever wakes up.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING

from genii.errors import GeniiError
from genii.supervise.model import ProbeKind, State
from genii.supervise.probes import ask
from genii.system.procfs import resident_bytes
from genii.units import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from genii.supervise.model import Health as HealthRules
    from genii.supervise.model import Probe, Ready
    from genii.supervise.process import Process, Services

__all__ = ["Health"]

_log = logging.getLogger(__name__)
_MEMORY_INTERVAL = 5.0
"""Seconds between looks at the memory of a process that has a bound."""
_LONGEST_LINE = 64 << 10


class Health:
    """The probes of all processes."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.on_sick: Callable[[Process, str], None] = lambda _process, _reason: None

    def changed(self, process: Process) -> None:
        """Begin and end what belongs to the state that a process has entered."""
        self._end(process)
        program = process.program
        if process.state is State.STARTING and program.ready is not None:
            self._await_ready(process, program.ready)
        elif process.state is State.RUNNING:
            if program.health is not None:
                self._run(process, self._probe(process, program.health))
            self._arm_recycling(process)

    def close(self) -> None:
        """End all probes."""
        for task in self._tasks.values():
            task.cancel()

    def _run(self, process: Process, work: Coroutine[object, object, None]) -> None:
        task = self._services.loop.create_task(work)
        self._tasks[process.name] = task

        def finished(task: asyncio.Task[None]) -> None:
            if self._tasks.get(process.name) is task:
                del self._tasks[process.name]
            if not task.cancelled() and (error := task.exception()):
                _log.error("probe of %s", process.name, exc_info=error)

        task.add_done_callback(finished)

    def _end(self, process: Process) -> None:
        task = self._tasks.pop(process.name, None)
        if task is not None:
            task.cancel()
        program = process.program
        if program.ready is not None and program.ready.probe.kind is ProbeKind.LINE:
            for stream in ("/stdout", "/stderr"):
                self._services.output.expect(process.name + stream, None)
        if program.recycle is not None:
            self._services.deadlines.cancel(("age", process.name))
            self._services.deadlines.cancel(("memory", process.name))

    def _await_ready(self, process: Process, ready: Ready) -> None:
        if ready.probe.kind is ProbeKind.NOTIFY:
            return  # the message comes through ``Supervisor``
        if ready.probe.kind is ProbeKind.LINE:
            # Before the process is spawned: it may say it at once.
            pattern = re.compile(ready.probe.target.encode())
            for stream in ("/stdout", "/stderr"):
                self._services.output.expect(process.name + stream, _line_finder(pattern, process.ready))
            return
        self._run(process, self._ask_until_ready(process, ready))

    async def _ask_until_ready(self, process: Process, ready: Ready) -> None:
        await asyncio.sleep(0)  # until it is spawned
        while process.state is State.STARTING:
            if process.life.pid and not await self._ask(process, ready.probe):
                process.ready()
                return
            await asyncio.sleep(ready.interval)

    async def _probe(self, process: Process, health: HealthRules) -> None:
        failures = 0
        while True:
            await asyncio.sleep(health.interval)
            problem = await self._ask(process, health.probe)
            if process.state is not State.RUNNING:
                return
            failures = failures + 1 if problem else 0
            process.healthy = not problem
            if failures >= health.failures:
                self.on_sick(process, problem)
                process.fail(f"unhealthy: {problem}")
                return

    async def _ask(self, process: Process, probe: Probe) -> str:
        try:
            return await ask(probe, self._services.spawner, process.helper_command())
        except GeniiError as error:
            return str(error)

    def _arm_recycling(self, process: Process) -> None:
        recycle = process.program.recycle
        if recycle is None:
            return
        now = self._services.loop.time()
        if recycle.age:
            reason = f"older than {format_duration(recycle.age)}"
            # Spread by up to a tenth, so that processes started together are not replaced together.
            due = process.life.started + recycle.age * (1 + 0.1 * self._services.chance())
            self._services.deadlines.set(("age", process.name), max(due, now), lambda: process.fail(reason))
        if recycle.memory:
            self._services.deadlines.set(
                ("memory", process.name), now + _MEMORY_INTERVAL, lambda: self._weigh(process, recycle.memory)
            )

    def _weigh(self, process: Process, bound: int) -> None:
        if process.state is not State.RUNNING:
            return
        used = resident_bytes(process.life.pid)
        if used > bound:
            process.fail(f"uses {format_size(used)} of memory, more than {format_size(bound)}")
            return
        self._arm_recycling(process)


def _line_finder(pattern: re.Pattern[bytes], found: Callable[[], None]) -> Callable[[bytes], None]:
    """Return a function that is given output as it comes and calls ``found`` at the first line that matches."""
    partial = b""

    def look(data: bytes) -> None:
        nonlocal partial
        *lines, partial = (partial + data).split(b"\n")
        # A prompt without a newline may be the line that is awaited.
        if any(pattern.search(line) for line in (*lines, partial)):
            found()
        partial = partial[-_LONGEST_LINE:]

    return look
