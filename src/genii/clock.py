"""What a clock is to genii: monotonic seconds for waiting, wall time for calendars and log lines. No I/O."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """Tell the time; ``genii.system.clock`` has the real one and ``genii.testing`` one that jumps."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for deadlines."""

    def time(self) -> float:
        """Return seconds since the epoch, for calendars and people."""
