"""The beats of a repeating timer: without drift, late ones joined and counted. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Tick", "Ticks"]


@dataclass(frozen=True, slots=True)
class Tick:
    """One beat, as a handler sees it."""

    number: int
    """Counts the beats from 1, those without a call too."""
    due: float
    """When it was due: by the loop's clock for timers, wall time for cron."""
    missed: int = 0
    """How many beats before this one passed without a call."""


class Ticks:
    """Beat at ``origin`` + n x ``interval``: each deadline is computed anew, so that errors don't add up."""

    def __init__(self, interval: float, origin: float) -> None:
        if not 0 < interval < float("inf"):
            raise ValueError(f"an interval is a number of seconds above 0, not {interval!r}")
        self.interval = interval
        self.origin = origin
        self._number = 0
        self._skipped = 0

    @property
    def deadline(self) -> float:
        """Return when the next beat is due."""
        return self.origin + (self._number + 1) * self.interval

    def take(self, now: float) -> Tick:
        """Return the latest beat that is due at ``now``, the ones before it counted as missed."""
        number = max(self._number + 1, int((now - self.origin) / self.interval))
        tick = Tick(number, self.origin + number * self.interval, self._skipped + number - self._number - 1)
        self._number, self._skipped = number, 0
        return tick

    def skip(self, now: float) -> None:
        """Let what is due at ``now`` pass without a call; the next beat tells of it."""
        tick = self.take(now)
        self._skipped = tick.missed + 1

    def resume(self, now: float) -> None:
        """Go on after a pause, in the same rhythm; what was due in between is not counted as missed."""
        self._number = max(self._number, int((now - self.origin) / self.interval))
