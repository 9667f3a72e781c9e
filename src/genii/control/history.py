"""The last events of a supervisor, and those to come, for each client at its own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from genii.control.target import Target
    from genii.supervise.report import Event

__all__ = ["History"]

_KEPT = 256


class History:
    """Keep the last events, so that a client that comes late or was cut off can catch up."""

    def __init__(self, target: Target) -> None:
        self._events: deque[Event] = deque(maxlen=_KEPT)
        self._waiting: set[asyncio.Event] = set()
        self._unsubscribe = target.subscribe(self._receive)

    def _receive(self, event: Event) -> None:
        self._events.append(event)
        for wake in self._waiting:
            wake.set()

    def recent(self, after: int = -1) -> list[Event]:
        """Return the events kept that came after the one with this serial number."""
        return [event for event in self._events if event.serial > after]

    def recall(self, events: Iterable[Event]) -> None:
        """Remember what came before everything else here."""
        self._events.extendleft(reversed(list(events)))

    @property
    def last_serial(self) -> int:
        """Return the serial number of the newest event; -1: there was none yet."""
        return self._events[-1].serial if self._events else -1

    async def follow(self, after: int, idle: float) -> AsyncIterator[list[Event]]:
        """Yield the events after one serial number as they happen; nothing (an empty list) after ``idle`` seconds.

        A client that is too slow misses the oldest; it sees so by the serial numbers.
        """
        wake = asyncio.Event()
        self._waiting.add(wake)
        try:
            while True:
                wake.clear()
                events = self.recent(after)
                if events:
                    after = events[-1].serial
                    yield events
                    continue
                try:
                    async with asyncio.timeout(idle):
                        await wake.wait()
                except TimeoutError:
                    yield []
        finally:
            self._waiting.discard(wake)

    def close(self) -> None:
        """Receive no more."""
        self._unsubscribe()
