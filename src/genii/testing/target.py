"""A supervisor in memory: programs that are only states, for tests of the control API and its clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import replace

from genii.errors import UnknownProgram
from genii.supervise.report import (
    ActionResult,
    Difference,
    Event,
    PoolStatus,
    ProcessDetails,
    ProcessStatus,
    SupervisorStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from genii.errors import GeniiError
    from genii.supervise.model import Settings
    from genii.supervise.origin import Origin

__all__ = ["MemoryTarget"]


class MemoryTarget:
    """Behave as ``genii.control.target.Target`` says, on processes that exist in name only.

    Programs start at once; those in ``failing`` fail their check, those in ``slow`` wait for ``release``.
    """

    def __init__(self, settings: Settings, *, pid: int = 1) -> None:
        self.settings = settings
        self.pid = pid
        self.failing: set[str] = set()
        self.slow: set[str] = set()
        self.paused: set[str] = set()
        self.release = asyncio.Event()
        self.ended = asyncio.Event()
        self.upgrades: list[Origin | None] = []
        self.logs: dict[tuple[str, str], str] = {}
        self.signals: list[tuple[str, int]] = []
        self.next_update: Difference | GeniiError = Difference()
        self._serial = 0
        self._state: dict[str, ProcessStatus] = {}
        self._receivers: list[Callable[[Event], None]] = []
        for program in settings.programs.values():
            for name in program.process_names():
                self._state[name] = ProcessStatus(name=name, program=program.name, state="STOPPED", wanted=False)

    def emit(self, kind: str, name: str = "", **data: str | float | bool | None) -> None:
        """Let something happen."""
        self._serial += 1
        event = Event(serial=self._serial, time=1000.0 + self._serial, kind=kind, name=name, data=data)
        for receiver in list(self._receivers):
            receiver(event)

    def status(self) -> SupervisorStatus:
        """Tell about the supervisor."""
        return SupervisorStatus(
            pid=self.pid,
            version="0",
            started=1000.0,
            config=self.settings.path,
            state="stopping" if self.ended.is_set() else "running",
            programs=len(self.settings.programs),
            processes=len(self._state),
        )

    def statuses(self, names: Sequence[str] = ()) -> list[ProcessStatus]:
        """Tell the states."""
        return [self._state[name] for name in (self._find(names) if names else self._state)]

    def details(self, name: str) -> list[ProcessDetails]:
        """Tell all."""
        return [self._details(each) for each in self._find([name])]

    def _details(self, name: str) -> ProcessDetails:
        status = self._state[name]
        program = self.settings.programs[status.program]
        masked = {
            key: "***" if key in program.secret_variables else value for key, value in program.environment.items()
        }
        return ProcessDetails(
            status=status,
            command=program.command,
            directory=program.directory,
            user=program.user,
            environment=masked,
            limits={"nofile": (1024, 4096)} if status.pid else {},
            declared_limits=program.limits,
            depends_on=program.depends_on,
            stdout=self.log_path(name, "stdout"),
            stderr=self.log_path(name, "stderr"),
        )

    def log_path(self, name: str, stream: str) -> str:
        """Return what ``logs`` says."""
        return self.logs.get((name, stream), "")

    async def start(self, names: Sequence[str], *, wait: bool = True) -> list[ActionResult]:
        """Start."""
        return [await self._start(name, wait=wait) for name in self._find(names)]

    async def _start(self, name: str, *, wait: bool) -> ActionResult:
        if self._state[name].state == "RUNNING":
            return ActionResult(name=name, ok=True, code="already", message="already running")
        if self._state[name].program in self.slow and wait:
            self._enter(name, "STARTING")
            await self.release.wait()
        self._enter(name, "RUNNING", pid=self.pid, started=1000.0, wanted=True)
        return ActionResult(name=name, ok=True, message="started")

    async def stop(self, names: Sequence[str], *, wait: bool = True) -> list[ActionResult]:
        """Stop."""
        found = self._find(names)
        if wait and any(self._state[name].program in self.slow for name in found):
            await self.release.wait()
        return [self._stop(name) for name in found]

    def _stop(self, name: str) -> ActionResult:
        if self._state[name].state == "STOPPED":
            return ActionResult(name=name, ok=True, code="already", message="not running")
        self._enter(name, "STOPPED", pid=0, started=0.0, wanted=False)
        return ActionResult(name=name, ok=True, message="stopped")

    async def restart(self, names: Sequence[str], *, rolling: bool = False, wait: bool = True) -> list[ActionResult]:
        """Restart what passes its check."""
        results = []
        for name in self._find(names):
            refused = self._check(name)
            if refused is None:
                self._stop(name)
                await self._start(name, wait=wait)
                how = "restarted in turn" if rolling else "restarted"
                refused = ActionResult(name=name, ok=True, message=how)
            results.append(refused)
        return results

    async def reload(self, names: Sequence[str]) -> list[ActionResult]:
        """Reload what passes its check."""
        return [self._check(name) or ActionResult(name=name, ok=True, message="reloaded") for name in self._find(names)]

    def _check(self, name: str) -> ActionResult | None:
        if self._state[name].program not in self.failing:
            return None
        output = "web.conf:3: no such directive\n"
        return ActionResult(name=name, ok=False, code="check-failed", message="its check failed", output=output)

    async def send_signal(self, names: Sequence[str], number: int) -> list[ActionResult]:
        """Note the signal."""
        results = []
        for name in self._find(names):
            running = bool(self._state[name].pid)
            if running:
                self.signals.append((name, number))
            message = "signalled" if running else "not running"
            results.append(
                ActionResult(name=name, ok=running, code="done" if running else "not-running", message=message)
            )
        return results

    async def scale(self, name: str, minimum: int, maximum: int) -> list[ActionResult]:
        """Change the number."""
        program = self.settings.programs.get(name)
        if program is None:
            raise UnknownProgram(f"no program is named {name!r}")
        names = replace(program, processes=minimum, processes_max=max(2, maximum)).process_names()
        self._state = {key: value for key, value in self._state.items() if value.program != name}
        for each in names:
            self._state[each] = ProcessStatus(name=each, program=name, state="RUNNING", wanted=True, pid=self.pid)
        return [ActionResult(name=name, ok=True, message=f"{minimum}..{maximum} processes")]

    def pools(self) -> list[PoolStatus]:
        """Tell the figures of what may have several processes, all of which run and are idle."""
        return [
            PoolStatus(
                program=program.name,
                minimum=program.processes,
                maximum=program.processes_max,
                slots=sum(row.program == program.name and row.state == "RUNNING" for row in self._state.values()),
                busy=0,
                paused=program.name in self.paused,
            )
            for program in self.settings.programs.values()
            if program.worker or program.processes_max > program.processes
        ]

    async def pause(self, names: Sequence[str], *, pause: bool = True) -> list[ActionResult]:
        """Note who is paused."""
        found = self._find(names)
        programs = {self._state[name].program for name in found}
        self.paused = self.paused | programs if pause else self.paused - programs
        message = "paused" if pause else "goes on"
        return [ActionResult(name=name, ok=True, message=message) for name in found]

    async def drain(self, names: Sequence[str], *, wait: bool = True) -> list[ActionResult]:
        """Stop."""
        return await self.stop(names, wait=wait)

    async def update(self, *, dry_run: bool = False) -> Difference:
        """Return (or raise) ``next_update``."""
        if not isinstance(self.next_update, Difference):
            raise self.next_update
        if not dry_run:
            self.emit("supervisor.updated")
        return self.next_update

    async def upgrade(self, origin: Origin | None) -> str:
        """Note who is to take over; nobody does."""
        self.upgrades.append(origin)
        return "1"

    async def shutdown(self) -> None:
        """Stop all and set ``ended``."""
        for name in self._state:
            self._stop(name)
        self.ended.set()

    def subscribe(self, receiver: Callable[[Event], None]) -> Callable[[], None]:
        """Pass events on."""
        self._receivers.append(receiver)
        return lambda: self._receivers.remove(receiver)

    def statistics(self) -> dict[str, float]:
        """Return a counter."""
        return {"genii_events_total": float(self._serial)}

    def _enter(self, name: str, state: str, **more: float | bool) -> None:
        self._state[name] = replace(self._state[name], state=state, since=1000.0, **more)
        self.emit("process.state", name, state=state)

    def _find(self, names: Sequence[str]) -> list[str]:
        """Resolve names of programs, processes and ``all``; all of them or none."""
        found: dict[str, None] = {}
        for name in names:
            matches = [key for key, value in self._state.items() if name in (key, value.program, "all")]
            if not matches:
                raise UnknownProgram(f"no program is named {name!r}")
            found.update(dict.fromkeys(matches))
        return list(found)
