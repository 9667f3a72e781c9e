"""Carry out what somebody asks for, and tell what became of it, process by process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from genii.errors import NotAllowed, UnknownProgram
from genii.supervise.checks import run_check
from genii.supervise.machine import StopWanted
from genii.supervise.model import State
from genii.supervise.report import ActionResult
from genii.units import format_signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from genii.supervise.process import Process
    from genii.supervise.supervisor import Supervisor

__all__ = ["Actions"]

_AT_REST = (State.STOPPED, State.EXITED, State.FATAL)


class Actions:
    """The requests of a supervisor; each returns one result a process."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    def changed(self, process: Process) -> None:
        """Wake whoever waits for a process; called at each change of a state."""
        for future in self._waiting.pop(process.name, ()):
            if not future.done():
                future.set_result(None)

    def _change(self, process: Process) -> asyncio.Future[None]:
        """Return what is done when the state of a process changes, from this very moment on."""
        future = self._supervisor.loop.create_future()
        self._waiting.setdefault(process.name, []).append(future)
        return future

    async def start(self, processes: Sequence[Process], *, wait: bool) -> list[ActionResult]:
        """Start processes and what they depend on."""
        self._refuse_while_stopping()
        supervisor = self._supervisor
        needed = {
            name: None
            for process in processes
            for name in _all_dependencies(supervisor, process.template.name)
            if name != process.template.name
        }
        first = [process for name in needed for process in supervisor.slots.of(name) if not process.state.alive]
        fresh = [process for process in processes if process.state not in (State.STARTING, State.RUNNING)]
        for process in (*first, *processes):
            self.want(process, wanted=True)
        supervisor.launch([*first, *(process for process in fresh if process not in first)])
        if not wait:
            return [ActionResult(name=process.name, ok=True) for process in processes]
        return await _gather(self._started(process, already=process not in fresh) for process in processes)

    def want(self, process: Process, *, wanted: bool) -> None:
        """Record what somebody wants of a process, for a later supervisor."""
        self._supervisor.wishes[process.name] = wanted
        self._supervisor.services.recorder.write("wanted", process.name, wanted)

    async def await_started(self, processes: Sequence[Process]) -> list[ActionResult]:
        """Wait until processes that are being started run or have failed."""
        return await _gather(self._started(process) for process in processes)

    async def _started(self, process: Process, *, already: bool = False) -> ActionResult:
        """Wait until a process runs or a start has failed."""
        if already and process.running:
            return ActionResult(name=process.name, ok=True, code="already", message="already running")
        while True:
            state, life = process.state, process.life
            tried = not self._supervisor.ordering.waiting(process)
            if state is State.RUNNING:
                return ActionResult(name=process.name, ok=True, message="started")
            if state is State.EXITED and tried and life.status in process.template.exit_codes:
                return ActionResult(name=process.name, ok=True, message=f"done, {life.reason}")
            if tried and state in (State.BACKOFF, State.FATAL, State.EXITED, State.STOPPED):
                again = "; it will be tried again" if state is State.BACKOFF else ""
                message = (life.reason or state.name.lower()) + again
                return ActionResult(name=process.name, ok=False, code="start-failed", message=message)
            if blocked := self._blocked(process):
                return ActionResult(name=process.name, ok=False, code="start-failed", message=blocked)
            await self._next(process)

    async def _next(self, process: Process) -> None:
        """Wait for a change of the process, or of one that it waits for."""
        waits = self._supervisor.ordering.waits_for(process)
        others = [other for name in waits for other in self._supervisor.slots.of(name)]
        changes = [self._change(each) for each in (process, *others)]
        try:
            await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for change in changes:
                change.cancel()

    def _blocked(self, process: Process) -> str:
        """Say why a process that waits can't start: what it depends on has failed or was stopped."""
        for name in self._supervisor.ordering.waits_for(process):
            for other in self._supervisor.slots.of(name):
                waits = self._supervisor.ordering.waiting(other)
                if (
                    other.state in (*_AT_REST, State.BACKOFF)
                    and not waits
                    and not self._supervisor.slots.satisfied(name)
                ):
                    return f"waits for {other.name}, which is {other.state.name}: {other.life.reason or 'not started'}"
        return ""

    async def stop(self, processes: Sequence[Process], *, wait: bool) -> list[ActionResult]:
        """Stop processes."""
        supervisor = self._supervisor
        idle = {
            process.name
            for process in processes
            if process.state in _AT_REST and not process.life.pauses and not supervisor.ordering.waits_for(process)
        }
        for process in processes:
            self.want(process, wanted=False)
        supervisor.ordering.stop([process for process in processes if process.name not in idle])
        for process in processes:
            self.changed(process)  # who waits for its start learns that there will be none
        if not wait:
            return [ActionResult(name=process.name, ok=True) for process in processes]
        return await _gather(self._stopped(process, already=process.name in idle) for process in processes)

    async def _stopped(self, process: Process, *, already: bool = False) -> ActionResult:
        if already:
            return ActionResult(name=process.name, ok=True, code="already", message="not running")
        while process.state.alive or process.state is State.BACKOFF:
            await self._change(process)
        return ActionResult(name=process.name, ok=True, message="killed" if process.life.killed else "stopped")

    async def restart(self, processes: Sequence[Process], *, rolling: bool, wait: bool) -> list[ActionResult]:
        """Restart those whose program's check passes; the others are left as they are."""
        self._refuse_while_stopping()
        refused = await self._check(processes)
        fit = [process for process in processes if process.template.name not in refused]
        for name in {process.template.name for process in fit}:
            self._supervisor.services.nurseries.renew(name)  # a restart is for new code
        results = {name: result for program in refused.values() for name, result in program.items()}
        if rolling:
            done = await self._restart_rolling(fit)
        else:
            done = await self._restart_together(fit, wait=wait)
        results.update({result.name: result for result in done})
        return [results[process.name] for process in processes]

    async def _restart_together(self, processes: Sequence[Process], *, wait: bool) -> list[ActionResult]:
        names = {process.template.name for process in processes}
        programs = self._supervisor.slots.programs
        for process in processes:
            self.want(process, wanted=True)
        if any(names & set(_all_dependencies(self._supervisor, name)) - {name} for name in names if name in programs):
            # Some depend on others of them: all stop first, in order, then all start in order.
            self._supervisor.ordering.stop(processes)
            await _gather(self._stopped(process) for process in processes)
            self._supervisor.launch(list(processes))
        else:
            for process in processes:
                if process.state.alive or process.state is State.BACKOFF:
                    process.handle(StopWanted(again=True))
            self._supervisor.launch([process for process in processes if process.state in _AT_REST])
        if not wait:
            return [ActionResult(name=process.name, ok=True) for process in processes]
        return await _gather(self._restarted(process) for process in processes)

    async def _restarted(self, process: Process) -> ActionResult:
        while process.state is State.STOPPING:
            await self._change(process)
        result = await self._started(process)
        if result.ok and result.message == "started":
            return ActionResult(name=result.name, ok=True, message="restarted")
        return result

    async def _restart_rolling(self, processes: Sequence[Process]) -> list[ActionResult]:
        """Restart one after the other; after a failure the rest is left running as it is."""
        results: list[ActionResult] = []
        for process in processes:
            if results and not results[-1].ok:
                message = f"left as it is, because {results[-1].name} failed"
                results.append(ActionResult(name=process.name, ok=False, code="not-done", message=message))
                results[-1], failed = results[-1], results[-2]
                results = [*results[:-2], failed, results[-1]]
                continue
            if self._supervisor.slots.get(process.name) is process:
                results += await self._restart_together([process], wait=True)
            else:
                results.append(ActionResult(name=process.name, ok=True, code="already", message="let go meanwhile"))
        return results

    async def reload(self, processes: Sequence[Process]) -> list[ActionResult]:
        """Send the reload signal to those whose program's check passes."""
        self._refuse_while_stopping()
        refused = await self._check(processes)
        results = {name: result for program in refused.values() for name, result in program.items()}
        fit = [process for process in processes if process.template.name not in refused]
        restarted = [process for process in fit if not process.template.reload_signal]
        results.update({result.name: result for result in await self._restart_together(restarted, wait=True)})
        for process in fit:
            if process.template.reload_signal:
                results[process.name] = self._signalled(process, process.template.reload_signal)
        return [results[process.name] for process in processes]

    def send_signal(self, processes: Sequence[Process], number: int) -> list[ActionResult]:
        """Send a signal to the main process of each."""
        return [self._signalled(process, number) for process in processes]

    def _signalled(self, process: Process, number: int) -> ActionResult:
        if process.signal(number):
            return ActionResult(name=process.name, ok=True, message=f"sent {format_signal(number)}")
        return ActionResult(name=process.name, ok=False, code="not-running", message="not running")

    async def _check(self, processes: Sequence[Process]) -> dict[str, dict[str, ActionResult]]:
        """Run the checks of programs that run; return the results of those that must be left alone, by program."""
        running = {process.template.name: process for process in processes if process.state.alive}
        refused: dict[str, dict[str, ActionResult]] = {}

        async def one(program: str, process: Process) -> None:
            failure = await run_check(process)
            if failure is not None:
                refused[program] = {
                    each.name: ActionResult(
                        name=each.name, ok=False, code=failure.code, message=str(failure), output=failure.output
                    )
                    for each in processes
                    if each.template.name == program
                }

        await asyncio.gather(*(one(*item) for item in running.items()))
        return refused

    async def scale(self, name: str, minimum: int, maximum: int) -> list[ActionResult]:
        """Change how many processes a program has; those beyond the number are stopped, the highest first."""
        self._refuse_while_stopping()
        supervisor = self._supervisor
        if name not in supervisor.slots.programs:
            supervisor.slots.resolve([name])  # says what was meant, if anything
            raise UnknownProgram(f"{name!r} is one process; scale its program")
        if not 0 <= minimum <= maximum:
            raise NotAllowed(f"can't scale {name} to {minimum}..{maximum}: the numbers must be 0 or more and in order")
        supervisor.scales[name] = (minimum, maximum)
        supervisor.services.recorder.write("scale", name, minimum, maximum)
        return await self.resize(name)

    async def resize(self, name: str) -> list[ActionResult]:
        """Bring the slots of a program to the number that it is to have."""
        supervisor = self._supervisor
        if supervisor.elastic.manages(name):
            return await self._stretch(name)
        program = supervisor.slots.programs[name]
        before = set(supervisor.slots.of(name))
        active = not before or any(process.life.wanted or process.state.alive for process in before)
        surplus = supervisor.slots.define(program, supervisor.count(name))
        added = [process for process in supervisor.slots.of(name) if process not in before]
        if active:
            supervisor.launch(added)
        started = _gather(self._started(process) for process in added if active)
        removed = self.remove(surplus)
        return [*await started, *await removed]

    async def _stretch(self, name: str) -> list[ActionResult]:
        """Start what an elastic program lacks; who is too much is let go when it is idle."""
        supervisor = self._supervisor
        added = supervisor.elastic.resize(name)
        supervisor.launch(added)
        minimum, maximum = supervisor.elastic.bounds(supervisor.slots.programs[name])
        bounds = f"{minimum} to {maximum}" if maximum > minimum else str(maximum)
        scaled = ActionResult(name=name, ok=True, message=f"{bounds} processes")
        return [scaled, *await _gather(self._started(process) for process in added)]

    def pause(self, processes: Sequence[Process], *, pause: bool) -> list[ActionResult]:
        """Have the programs of these processes take no more jobs, or take them again."""
        self._supervisor.elastic.pause(list(dict.fromkeys(each.template.name for each in processes)), pause=pause)
        message = "paused" if pause else "goes on"
        return [ActionResult(name=process.name, ok=True, message=message) for process in processes]

    async def drain(self, processes: Sequence[Process], *, wait: bool) -> list[ActionResult]:
        """Let processes end when each has done what it does; they stay stopped."""
        supervisor = self._supervisor
        idle = {process.name for process in processes if not process.state.alive and process.state is not State.BACKOFF}
        for process in processes:
            self.want(process, wanted=False)
            if process.name not in idle:
                supervisor.elastic.drain(process)
        if not wait:
            return [ActionResult(name=process.name, ok=True) for process in processes]
        return await _gather(self._stopped(process, already=process.name in idle) for process in processes)

    async def remove(self, processes: Sequence[Process]) -> list[ActionResult]:
        """Stop processes and forget their slots."""
        supervisor = self._supervisor
        supervisor.ordering.stop(processes)
        results = []
        for process in reversed(processes):
            while process.state.alive:
                await self._change(process)
            supervisor.slots.remove(process)
            supervisor.ordering.forget(process)
            supervisor.wishes.pop(process.name, None)
            process.forget_streams()
            results.append(ActionResult(name=process.name, ok=True, message="removed"))
        return results

    def _refuse_while_stopping(self) -> None:
        if self._supervisor.stopping:
            raise NotAllowed("the supervisor is stopping")


def _all_dependencies(supervisor: Supervisor, name: str) -> list[str]:
    from genii.supervise.plan import with_dependencies

    return with_dependencies(supervisor.slots.programs, [name])


async def _gather(works: Iterable[object]) -> list[ActionResult]:
    """Await all results, in order."""
    results: list[ActionResult] = await asyncio.gather(*works)  # type: ignore[call-overload]
    return results
