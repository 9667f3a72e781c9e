"""What starts a program other than start-up: its schedule, its watched files."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from typing import TYPE_CHECKING

from genii.supervise.model import Restart

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping

    from genii.events.schedule import Decision, Schedule
    from genii.supervise.model import Program, Watch
    from genii.supervise.process import Process
    from genii.supervise.supervisor import Supervisor
    from genii.system.clockwatch import ClockWatch

__all__ = ["Triggers"]

_log = logging.getLogger(__name__)


class Triggers:
    """The schedules and file watches of all programs."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._schedules: dict[str, tuple[object, Schedule]] = {}
        self._ran: dict[str, float] = {}
        """Program -> the time of the calendar up to which its schedule was dealt with."""
        self._due: dict[str, float] = {}
        """Program -> the run that is decided and not begun."""
        self._watches: dict[str, tuple[Watch, asyncio.Task[None]]] = {}
        self._pending: set[str] = set()
        """Programs whose files changed while they ran: they run once more when they have ended."""
        self._restarts: set[asyncio.Task[object]] = set()
        self._clock: ClockWatch | None = None

    def starts(self, program: Program) -> bool:
        """Say whether a program is started by a trigger instead of at start-up."""
        return program.schedule is not None or (program.watch is not None and program.restart is Restart.NEVER)

    def describe(self, program: Program) -> str:
        """Say for people what starts a program."""
        parts = []
        if program.schedule is not None:
            zone = f" ({program.schedule.timezone})" if program.schedule.timezone else ""
            parts.append(f"cron {program.schedule.cron}{zone}")
        if program.watch is not None:
            parts.append("watch " + " ".join(program.watch.paths))
        return ", ".join(parts)

    def next_run(self, program: str) -> float:
        """Return when a schedule starts a program next; 0: never."""
        entry = self._schedules.get(program)
        return entry[1].deadline if entry and math.isfinite(entry[1].deadline) else 0.0

    def runs(self) -> dict[str, float]:
        """Return up to which time of the calendar each schedule was dealt with."""
        return dict(self._ran)

    def due(self) -> dict[str, float]:
        """Return the runs that are decided and not begun, by program."""
        return dict(self._due)

    def repeats(self) -> list[str]:
        """Return the programs that run once more when they have ended."""
        return sorted(self._pending)

    def recall(self, runs: Mapping[str, float], due: Mapping[str, float]) -> None:
        """Know what an earlier supervisor left, so that a new record has it from its first line; ``arm`` acts on it."""
        self._ran.update(runs)
        self._ran.update(due)
        self._due.update(due)

    def arm(self, runs: Mapping[str, float], due: Mapping[str, float], repeats: Iterable[str] = ()) -> None:
        """Begin with what an earlier supervisor left: ``runs``, ``due`` and ``repeats``; nothing runs twice for it."""
        self.recall(runs, due)
        self.rearm()
        for name in due:
            if name not in self._schedules:
                self._due.pop(name, None)
            elif self._alive(name):
                self._begun(name)
            elif not any(self._supervisor.ordering.waiting(process) for process in self._supervisor.slots.of(name)):
                self._run(name, one=self._schedules[name][1].overlap == "allow")
        for name in repeats:
            if self._alive(name):
                self._pending.add(name)
            else:
                self._files_changed(name)

    def rearm(self) -> None:
        """Bring schedules and watches to what is declared now; those that did not change go on."""
        programs = self._supervisor.settings.programs
        for name in [name for name in self._schedules if name not in programs or programs[name].schedule is None]:
            self._supervisor.services.deadlines.cancel(("schedule", name))
            del self._schedules[name]
            self._due.pop(name, None)
        for name in [name for name in self._watches if name not in programs or programs[name].watch is None]:
            self._watches.pop(name)[1].cancel()
        for program in programs.values():
            if program.schedule is not None:
                self._schedule(program)
            if program.watch is not None:
                self._watch(program, program.watch)
        self._watch_clock()

    def _schedule(self, program: Program) -> None:
        spec = program.schedule
        assert spec is not None
        known = self._schedules.get(program.name)
        if known is not None and known[0] == spec:
            return
        from genii.events import cron
        from genii.events.schedule import Schedule
        from genii.events.zone import load_zone

        schedule = Schedule(
            cron.parse(spec.cron, load_zone(spec.timezone)),
            overlap=spec.overlap,
            jitter=spec.jitter,
            missed=spec.missed,
        )
        self._schedules[program.name] = (spec, schedule)
        now = time.time()
        if known is not None or program.name not in self._ran:
            self._handled(program.name, now)  # what it says of times gone by was not meant for them
        running = self._running(program.name, schedule)
        chance = self._supervisor.services.chance()
        self._obey(program.name, schedule.begin(now, last_run=self._ran[program.name], running=running, chance=chance))

    def _ask(self, name: str) -> None:
        """Ask a schedule what is to be done now."""
        entry = self._schedules.get(name)
        if entry is None:
            return
        running = self._running(name, entry[1])
        self._obey(name, entry[1].check(time.time(), running=running, chance=self._supervisor.services.chance()))

    def _alive(self, name: str) -> int:
        return sum(process.state.alive for process in self._supervisor.slots.of(name))

    def _running(self, name: str, schedule: Schedule) -> int:
        """Return how many runs stand in the way of another."""
        alive = self._alive(name)
        return 0 if schedule.overlap == "allow" and alive < len(self._supervisor.slots.of(name)) else alive

    def _obey(self, name: str, decision: Decision) -> None:
        if decision.missed or decision.overlapped:
            why = "an earlier one still goes on" if decision.overlapped else "nobody was there to start them"
            _log.warning("%s: %d scheduled runs left out: %s", name, max(decision.missed, 1), why)
            self._supervisor.emit("schedule.missed", name, count=max(decision.missed, 1), reason=why)
        schedule = self._schedules[name][1]
        if decision.run:
            # Told before it is begun, and "ran" after that: whenever we die, it runs once.
            self._due[name] = decision.due
            self._supervisor.services.recorder.write("due", name, decision.due)
            self._run(name, one=schedule.overlap == "allow")
        elif schedule.handled is not None and schedule.handled != self._ran.get(name):
            self._handled(name, schedule.handled)
        if math.isfinite(decision.deadline):
            loop = self._supervisor.loop
            when = loop.time() + max(0.0, decision.deadline - time.time())
            self._supervisor.services.deadlines.set(("schedule", name), when, lambda: self._ask(name))

    def _begun(self, name: str) -> None:
        """Take note that a run has begun."""
        if name in self._due:
            self._handled(name, self._due.pop(name))

    def _handled(self, name: str, when: float) -> None:
        self._ran[name] = when
        self._supervisor.services.recorder.write("ran", name, when)

    def _run(self, name: str, *, one: bool) -> None:
        """Start a program's processes, or with ``one`` the first that is free."""
        supervisor = self._supervisor
        free = [process for process in supervisor.slots.of(name) if not process.state.alive]
        supervisor.emit("program.triggered", name)
        supervisor.launch(free[:1] if one else free)

    def run_now(self, name: str) -> None:
        """Start a program as its trigger would."""
        self._run(name, one=False)

    def changed(self, process: Process) -> None:
        """Start what waited for the end of a process; called at each change of a state."""
        name = process.template.name
        if process.state.alive:
            if name in self._due:
                self._supervisor.loop.call_soon(self._begun, name)  # after the intent to start it is recorded
            return
        if name in self._schedules:
            self._supervisor.loop.call_soon(self._ask, name)
        if name in self._pending:
            self._pending.discard(name)
            self._supervisor.loop.call_soon(self._files_changed, name)

    def _watch(self, program: Program, watch: Watch) -> None:
        known = self._watches.get(program.name)
        if known is not None:
            if known[0] == watch:
                return
            known[1].cancel()
        for path in watch.paths:
            if not os.path.exists(path):
                _log.warning("%s: there is nothing at %s yet; watched as soon as there is", program.name, path)
        task = self._supervisor.loop.create_task(self._follow(program.name, watch))
        self._watches[program.name] = (watch, task)

    async def _follow(self, name: str, watch: Watch) -> None:
        from genii.events.watch import Watcher

        try:
            async with Watcher(
                watch.paths, ignore=watch.ignore, only=watch.only, debounce=watch.debounce, missing="wait"
            ) as watcher:
                async for changes in watcher:
                    _log.info("%s: %d files changed", name, len(changes))
                    self._files_changed(name)
        except OSError as error:
            _log.error("%s: can't watch files: %s", name, error)

    def _files_changed(self, name: str) -> None:
        """Start a program, restart a service that runs, or note that a run has to be repeated."""
        supervisor = self._supervisor
        program = supervisor.slots.programs.get(name)
        if program is None or supervisor.stopping:
            return
        alive = [process for process in supervisor.slots.of(name) if process.state.alive]
        if not alive:
            if self.starts(program):
                self._run(name, one=False)
        elif self.starts(program):
            self._pending.add(name)
        else:
            task = supervisor.loop.create_task(supervisor.actions.restart(alive, rolling=False, wait=False))
            self._restarts.add(task)
            task.add_done_callback(self._restarts.discard)

    def _watch_clock(self) -> None:
        """Have the schedules asked again when the system's clock is set."""
        if not self._schedules or self._clock is not None:
            return
        from genii.system.clockwatch import ClockWatch

        with contextlib.suppress(OSError):
            self._clock = ClockWatch()
            self._supervisor.services.poller.add(self._clock.fileno(), self._clock_was_set)

    def _clock_was_set(self) -> None:
        assert self._clock is not None
        if not self._clock.was_set():
            return
        _log.warning("the system's clock was set; schedules follow it")
        for name in list(self._schedules):
            self._ask(name)

    @property
    def rests(self) -> bool:
        """Say whether no restart for changed files is under way."""
        return not self._restarts

    def close(self) -> None:
        """Start nothing any more."""
        for name in self._schedules:
            self._supervisor.services.deadlines.cancel(("schedule", name))
        self._schedules.clear()
        for _, task in self._watches.values():
            task.cancel()
        self._watches.clear()
        if self._clock is not None:
            self._supervisor.services.poller.remove(self._clock.fileno())
            self._clock.close()
            self._clock = None
