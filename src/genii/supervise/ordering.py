"""Who may start or stop now: wishes that wait for other programs.

The rules are in ``plan``; this keeps the wishes and lets each go when its turn has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.supervise import plan
from genii.supervise.holds import Holds
from genii.supervise.machine import StartWanted, StopWanted
from genii.supervise.model import State

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from genii.supervise.launches import Launches
    from genii.supervise.process import Process
    from genii.supervise.slots import Slots

__all__ = ["Ordering"]


class Ordering:
    """The wishes that wait: starts for what they depend on, stops for what depends on them."""

    def __init__(self, slots: Slots, loop: asyncio.AbstractEventLoop, launches: Launches) -> None:
        self._slots = slots
        self._launches = launches
        self._loop = loop
        self._starts: dict[str, Process] = {}
        self._stops: dict[str, Process] = {}
        self._holds = Holds()
        self._held: dict[str, Process] = {}
        """Those that are to stop, but not yet."""
        self._due: dict[str, Process] = {}
        """Those that are to stop and have to be looked at."""
        self._planned = False

    def waits_for(self, process: Process) -> list[str]:
        """Return the programs that a wanted start waits for."""
        if process.name not in self._starts:
            return []
        return plan.may_start(process.template, self._slots.satisfied)

    def waiting(self, process: Process) -> bool:
        """Say whether a wanted start of a process is still to come."""
        return process.name in self._starts

    def start(self, processes: Iterable[Process]) -> None:
        """Start processes, each as soon as what it depends on runs."""
        for process in processes:
            self._forget_stop(process)
            if not process.state.alive or process.state is State.STOPPING:
                self._starts[process.name] = process
        self.advance()

    def stop(self, processes: Iterable[Process]) -> None:
        """Stop processes, each as soon as nothing that is to stop as well depends on it."""
        for process in processes:
            self._starts.pop(process.name, None)
            self._stops[process.name] = self._due[process.name] = process
            self._holds.add(process.name, process.template.depends_on)
        self.advance()

    def stopping(self) -> bool:
        """Say whether a wanted stop is still to come."""
        return bool(self._stops)

    def wishes(self) -> tuple[list[str], list[str]]:
        """Return the names of the processes whose start or stop is still to come."""
        return list(self._starts), list(self._stops)

    def forget(self, process: Process) -> None:
        """Drop the wishes about a process."""
        self._starts.pop(process.name, None)
        self._forget_stop(process)
        self._advance_soon()

    def changed(self, process: Process) -> None:
        """Let go whoever may, once for all changes that happen together; called at each change of a state."""
        if process.name in self._stops:
            self._due[process.name] = process
        self._advance_soon()

    def _advance_soon(self) -> None:
        if not self._planned and (self._starts or self._due):
            self._planned = True
            self._loop.call_soon(self.advance)

    def advance(self) -> None:
        """Let go whoever may."""
        self._planned = False
        while self._due:
            due, self._due = self._due, {}
            for process in due.values():
                if self._stops.get(process.name) is process:
                    self._advance_stop(process)
        self._advance_starts()

    def _advance_starts(self) -> None:
        with self._launches:
            for process in list(self._starts.values()):
                if process.name in self._starts and not plan.may_start(process.template, self._slots.satisfied):
                    del self._starts[process.name]
                    process.handle(StartWanted())
        if not self._starts:
            self._starts = {}  # an emptied one would keep the room of the most that it ever held

    def _advance_stop(self, process: Process) -> None:
        """Tell a process to stop, if nothing holds it back; forget it once it has."""
        if process.state.alive and self._holds.hold(process.template.name):
            self._held[process.name] = process
            return
        self._held.pop(process.name, None)
        if _to_be_told(process):
            process.handle(StopWanted())
        if not process.state.alive:
            self._forget_stop(process)

    def _forget_stop(self, process: Process) -> None:
        """Drop the wish that a process stops, and look again at those that it held back."""
        if self._stops.pop(process.name, None) is None:
            return
        self._held.pop(process.name, None)
        freed = self._holds.remove(process.name)
        if freed:
            self._due.update((name, held) for name, held in self._held.items() if held.template.name in freed)


def _to_be_told(process: Process) -> bool:
    """Say whether a process does not know yet that it is to stop."""
    if process.state is State.STOPPING:
        return process.life.again
    return process.state.alive or process.state is State.BACKOFF or process.life.pauses
