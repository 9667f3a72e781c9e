"""One epoll inside the event loop, for many descriptors that seldom speak.

asyncio keeps a handle and a selector key for each descriptor; a supervisor of 1,000 programs has thousands. Here a
descriptor costs one dictionary entry, and all that became ready in one wake-up is handled in one go.
"""

from __future__ import annotations

import logging
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Poller"]

_log = logging.getLogger(__name__)


class Poller:
    """Call a function when a descriptor becomes readable."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._loop = loop
        loop.add_reader(self._epoll.fileno(), self._ready)

    def add(self, descriptor: int, callback: Callable[[], None], *, edge: bool = False) -> None:
        """Watch a descriptor; with ``edge`` only each new arrival is told."""
        self._callbacks[descriptor] = callback
        self._epoll.register(descriptor, select.EPOLLIN | (select.EPOLLET if edge else 0))

    def remove(self, descriptor: int) -> None:
        """Stop watching; call it before the descriptor is closed."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def soon(self, callback: Callable[[], None]) -> None:
        """Call a function when what happens now has been handled."""
        self._loop.call_soon(callback)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call a function after a time."""
        self._loop.call_later(seconds, callback)

    def _ready(self) -> None:
        for descriptor, _ in self._epoll.poll(0, maxevents=1024):
            callback = self._callbacks.get(descriptor)
            if callback is not None:
                try:
                    callback()
                except Exception:
                    _log.exception("handling descriptor %d", descriptor)

    def close(self) -> None:
        """Stop watching everything."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._callbacks.clear()
