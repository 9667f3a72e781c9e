"""The process slots of all programs, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.errors import UnknownProgram
from genii.supervise.model import State
from genii.supervise.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from genii.supervise.model import Program
    from genii.supervise.process import Services

__all__ = ["Slots"]

_NOTHING_RUNS = (State.STOPPED, State.EXITED, State.FATAL, State.UNKNOWN)


class Slots:
    """All slots; those of a program are in the order of their numbers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.programs: dict[str, Program] = {}
        self._by_program: dict[str, list[Process]] = {}
        self._by_name: dict[str, Process] = {}

    def __iter__(self) -> Iterator[Process]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def of(self, program: str) -> list[Process]:
        """Return the slots of a program."""
        return self._by_program.get(program, [])

    def members(self, group: str) -> list[Process]:
        """Return the slots of the programs of a group (see ``Program.member_of``)."""
        return [slot for slot in self._by_name.values() if group and slot.template.member_of == group]

    def get(self, name: str) -> Process | None:
        """Return the slot of that name."""
        return self._by_name.get(name)

    def define(self, program: Program, count: int | None = None) -> list[Process]:
        """Make (or redefine) the slots of a program; return those that are beyond ``count`` and are to go."""
        self.programs[program.name] = program
        present = self._by_program.setdefault(program.name, [])
        for process in present:
            process.redefine(program)
        count = program.processes if count is None else count
        surplus = present[count:]
        while len(present) < count:
            self.add(program)
        return surplus

    def add(self, program: Program, number: int | None = None) -> Process:
        """Make one more slot of a program, by default that of the lowest number which is free."""
        present = self._by_program.setdefault(program.name, [])
        if number is None:
            taken = {process.number for process in present}
            number = next(number for number in range(len(present) + 1) if number not in taken)
        process = Process(self._services, program, number, program.name_of(number))
        present.append(process)
        present.sort(key=lambda each: each.number)
        self._by_name[process.name] = process
        return process

    def remove(self, process: Process) -> None:
        """Forget a slot."""
        if self._by_name.get(process.name) is process:
            del self._by_name[process.name]
        slots = self._by_program.get(process.template.name, [])
        if process in slots:
            slots.remove(process)

    def remove_program(self, name: str) -> None:
        """Forget a program whose slots are gone."""
        self.programs.pop(name, None)
        if not self._by_program.get(name):
            self._by_program.pop(name, None)

    def satisfied(self, name: str) -> bool:
        """Say whether others may rely on a program: its processes run, or did their work and ended well.

        Of an elastic program those beyond the declared number may come and go.
        """
        slots, program = self._by_program.get(name, []), self.programs.get(name)
        well = sum(
            process.running or (process.state is State.EXITED and process.life.status in process.template.exit_codes)
            for process in slots
        )
        return well >= (len(slots) if program is None else min(len(slots), program.processes))

    def resolve(self, names: Sequence[str]) -> list[Process]:
        """Return the slots meant by names of programs, of processes, or ``all`` (also: none), each once.

        Raises:
            UnknownProgram: for the first name that means nothing.
        """
        if not names or "all" in names:
            return [process for slots in self._by_program.values() for process in slots]
        found: dict[str, Process] = {}
        for name in names:
            for process in self._named(name):
                found[process.name] = process
        return list(found.values())

    def _named(self, name: str) -> Iterable[Process]:
        program = name.removesuffix(":*")
        if name in self._by_program:
            return self._by_program[name]
        if name in self._by_name:
            return [self._by_name[name]]
        if members := self.members(program) or self._by_program.get(program, []):
            return members
        import difflib

        close = difflib.get_close_matches(name, [*self._by_program, *self._by_name], 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UnknownProgram(f"there is no program {name!r}{hint}")

    def nothing_runs(self) -> bool:
        """Say whether no slot has a process or waits to start one."""
        return all(process.state in _NOTHING_RUNS for process in self._by_name.values())
