"""Many deadlines, one timer: nothing wakes up unless something is due."""

from __future__ import annotations

import heapq
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable

__all__ = ["Deadlines"]

_log = logging.getLogger(__name__)


class Deadlines:
    """Call a function for a key when its time has come; each key has one deadline at the most."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Hashable]] = []
        self._current: dict[Hashable, tuple[float, int, Callable[[], None]]] = {}
        self._serial = 0
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def set(self, key: Hashable, when: float, callback: Callable[[], None]) -> None:
        """Set (or move) the deadline of a key to ``when``, in seconds of the loop's clock."""
        self._serial += 1
        self._current[key] = (when, self._serial, callback)
        heapq.heappush(self._heap, (when, self._serial, key))
        self._arm()

    def pending(self, key: Hashable) -> bool:
        """Say whether a key has a deadline that is still to come."""
        return key in self._current

    def cancel(self, key: Hashable) -> None:
        """Forget the deadline of a key; its entry in the heap is thrown away when it comes up."""
        self._current.pop(key, None)

    def _arm(self) -> None:
        while self._heap and self._stale(self._heap[0]):
            heapq.heappop(self._heap)
        if not self._heap:
            self._heap, self._current = [], {}  # emptied ones would keep the room of the most they ever held
            return
        when = self._heap[0][0]
        if self._timer is not None and not self._timer.cancelled():
            if self._armed_for <= when:
                return
            self._timer.cancel()
        self._armed_for = when
        self._timer = self._loop.call_at(when, self._fire)

    def _stale(self, entry: tuple[float, int, Hashable]) -> bool:
        current = self._current.get(entry[2])
        return current is None or current[1] != entry[1]

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._heap and (self._heap[0][0] <= now or self._stale(self._heap[0])):
            entry = heapq.heappop(self._heap)
            if self._stale(entry):
                continue
            callback = self._current.pop(entry[2])[2]
            try:
                callback()
            except Exception:
                _log.exception("deadline of %s", entry[2])
        self._arm()

    def close(self) -> None:
        """Forget all deadlines."""
        if self._timer is not None:
            self._timer.cancel()
        self._heap.clear()
        self._current.clear()
