"""What supervisord's clients want to know of a process's past, and genii does not keep. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["Past"]


@dataclass(slots=True)
class Past:
    """The past of one process; times are seconds since the epoch, 0: never."""

    stopped: float = 0.0
    spawn_error: str = ""
    exit_status: int = 0
    tries: int = 0
    """Starts in a row that failed."""
    announced: int = 0
    """The pid whose start was logged."""
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    """Those who wait for a change of its state."""

    def wake(self) -> None:
        """Let those go who wait."""
        for future in self.waiting:
            if not future.done():
                future.set_result(None)
        self.waiting.clear()
