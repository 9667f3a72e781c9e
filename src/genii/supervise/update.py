"""Apply a changed configuration: only what changed is touched, and nothing if anything is wrong with it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from genii.errors import CheckFailed, NotAllowed
from genii.supervise.checks import run_check
from genii.supervise.plan import difference
from genii.supervise.process import Process

if TYPE_CHECKING:
    from genii.supervise.model import Program, Settings
    from genii.supervise.report import Difference
    from genii.supervise.supervisor import Supervisor

__all__ = ["Update"]

_log = logging.getLogger(__name__)


class Update:
    """One update of a supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def run(self, *, dry_run: bool) -> Difference:
        """Read the configuration, compare, check, apply.

        Raises:
            ConfigError: the configuration is broken; nothing was changed.
            CheckFailed: a changed program's own check failed; nothing was changed.
        """
        supervisor = self._supervisor
        settings = await supervisor.load()
        if not settings.programs and supervisor.settings.programs and not settings.supervisord:
            raise NotAllowed(f"{settings.path} declares no program any more; 'genii down' stops all of them")
        change = difference(supervisor.settings, settings)
        # What takes effect only at the next start is told until then.
        pending = difference(supervisor.first_settings, settings).settings
        change = msgspec.structs.replace(change, settings=pending)
        if dry_run or change.empty:
            return change
        await self._check(settings, change)
        _log.info("update: %s", change)
        await self._apply(settings, change)
        return change

    async def _check(self, settings: Settings, change: Difference) -> None:
        """Run the checks of the programs that would be restarted, in their new form."""
        supervisor = self._supervisor
        candidates = [
            Process(supervisor.services, settings.programs[name], 0, name)
            for name in change.changed
            if any(process.state.alive for process in supervisor.slots.of(name))
        ]
        for failure in await asyncio.gather(*(run_check(process) for process in candidates)):
            if failure is not None:
                raise CheckFailed(f"{failure}; nothing was changed", failure.output)

    async def _apply(self, settings: Settings, change: Difference) -> None:
        supervisor = self._supervisor
        replaced = [*change.removed, *change.changed]
        active = {name for name in change.changed if any(process.life.wanted for process in supervisor.slots.of(name))}
        doomed = [process for name in replaced for process in supervisor.slots.of(name)]
        wishes = {
            process.name: supervisor.wishes[process.name] for process in doomed if process.name in supervisor.wishes
        }
        for name in change.changed:
            supervisor.scales.pop(name, None)
        await supervisor.actions.remove(doomed)
        for name in replaced:
            supervisor.slots.remove_program(name)
            supervisor.elastic.forget(name)
        supervisor.settings = settings
        supervisor.sockets.keep_only({spec.url for program in settings.programs.values() for spec in program.sockets})
        for name in change.adjusted:
            await self._adjust(settings.programs[name], change.adjusted[name])
        fresh = []
        for name in (*change.changed, *change.added):
            program = settings.programs[name]
            supervisor.slots.define(program, supervisor.count(name))
            kept = {process.name for process in supervisor.slots.of(name)} & wishes.keys()
            supervisor.wishes.update({process: wishes[process] for process in kept})
            starts = program.autostart and not supervisor.triggers.starts(program)
            if name in active or (name in change.added and starts):
                fresh += supervisor.slots.of(name)
        supervisor.triggers.rearm()
        supervisor.launch(fresh)
        supervisor.services.recorder.begin(supervisor.memory)
        supervisor.emit("supervisor.updated")

    async def _adjust(self, program: Program, keys: tuple[str, ...]) -> None:
        """Give running processes a declaration that needs no restart."""
        supervisor = self._supervisor
        if "processes" in keys or "processes_max" in keys:
            supervisor.scales.pop(program.name, None)
            supervisor.slots.programs[program.name] = program
            await supervisor.actions.resize(program.name)
        else:
            supervisor.slots.define(program, len(supervisor.slots.of(program.name)))
            supervisor.elastic.decide_soon(program.name)
        for process in supervisor.slots.of(program.name):
            if "logs" in keys:
                process.relog()
            if keys_of_watching(keys) and process.state.alive:
                supervisor.health.changed(process)


def keys_of_watching(keys: tuple[str, ...]) -> bool:
    """Say whether a change concerns probes or recycling, which must then begin anew."""
    return not {"ready", "health", "recycle"}.isdisjoint(keys)
