"""Who must not stop yet because something that is to stop as well depends on it. No I/O.

It is counted rather than looked up, so that the end of one process costs what that one depends on, and not what all
depend on: a thousand that end together would otherwise look a million times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Holds"]


class Holds:
    """The processes that are to stop, and the programs that they hold back by depending on them."""

    def __init__(self) -> None:
        self._by_process: dict[str, tuple[str, ...]] = {}
        self._counts: dict[str, int] = {}

    def add(self, process: str, depends_on: Iterable[str]) -> None:
        """Have a process hold back what its program depends on, until it is removed."""
        self.remove(process)
        self._by_process[process] = held = tuple(depends_on)
        for program in held:
            self._counts[program] = self._counts.get(program, 0) + 1

    def remove(self, process: str) -> list[str]:
        """Have a process hold back nothing any more; return the programs that nothing holds back now."""
        freed = []
        for program in self._by_process.pop(process, ()):
            self._counts[program] -= 1
            if not self._counts[program]:
                del self._counts[program]
                freed.append(program)
        return freed

    def hold(self, program: str) -> bool:
        """Say whether something holds a program back."""
        return program in self._counts
