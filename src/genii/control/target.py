"""What the API asks of a supervisor: the contract that ``genii.supervise.supervisor.Supervisor`` fills. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from genii.supervise.model import Settings
    from genii.supervise.origin import Origin
    from genii.supervise.report import (
        ActionResult,
        Difference,
        Event,
        PoolStatus,
        ProcessDetails,
        ProcessStatus,
        SupervisorStatus,
    )

__all__ = ["Target"]


class Target(Protocol):
    """A supervisor as its API sees it.

    ``names`` are those of programs (all of their processes), of processes (``web:0``), or ``all``; each method raises
    ``UnknownProgram`` for the first name that means nothing, and then has done nothing.
    """

    settings: Settings

    def status(self) -> SupervisorStatus:
        """Tell about the supervisor itself."""

    def statuses(self, names: Sequence[str] = ()) -> list[ProcessStatus]:
        """Tell the state of the processes named (none: all), in the order of the configuration."""

    def pools(self) -> list[PoolStatus]:
        """Tell the figures of the programs whose number of processes follows their load, or that are workers."""

    def details(self, name: str) -> list[ProcessDetails]:
        """Tell all about each process of a program, or about one process."""

    def log_path(self, name: str, stream: str) -> str:
        """Return the log file of a process (``stdout`` or ``stderr``); empty: its output is not kept in a file."""

    async def start(self, names: Sequence[str], *, wait: bool = True) -> list[ActionResult]:
        """Start processes and what they depend on; with ``wait`` until each runs (is ready) or has failed."""

    async def stop(self, names: Sequence[str], *, wait: bool = True) -> list[ActionResult]:
        """Stop processes, those that depend on them first."""

    async def restart(self, names: Sequence[str], *, rolling: bool = False, wait: bool = True) -> list[ActionResult]:
        """Restart processes; a program's check runs first and a failure leaves it untouched."""

    async def reload(self, names: Sequence[str]) -> list[ActionResult]:
        """Send the reload signal (or restart where a program says so); the check runs first."""

    async def send_signal(self, names: Sequence[str], number: int) -> list[ActionResult]:
        """Send a signal to the main process of each."""

    async def scale(self, name: str, minimum: int, maximum: int) -> list[ActionResult]:
        """Change how many processes a program has, until the next update that changes the number in the file."""

    async def pause(self, names: Sequence[str], *, pause: bool = True) -> list[ActionResult]:
        """Have workers take no more jobs after their current one, or take them again.

        Raises:
            NotAllowed: a program has no workers.
        """

    async def drain(self, names: Sequence[str], *, wait: bool = True) -> list[ActionResult]:
        """Stop workers when each has done its current job, however long that takes."""

    async def update(self, *, dry_run: bool = False) -> Difference:
        """Read the configuration again and apply what changed.

        Raises:
            ConfigError: the file is broken; nothing was changed.
        """

    async def upgrade(self, origin: Origin | None) -> str:
        """Have another version of genii (None: the one that is installed now) take the place of the supervisor.

        Returns that version when it has been found fit; it takes over when this has been answered.

        Raises:
            NotAllowed: it can't, or not now; nothing was changed.
        """

    async def shutdown(self) -> None:
        """Stop everything and end the supervisor; returns when all programs have ended."""

    def subscribe(self, receiver: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``receiver`` with each event from now on; returns the function that ends it."""

    def statistics(self) -> dict[str, float]:
        """Return the supervisor's own counters by their Prometheus name (``genii_spawns_total``…)."""
