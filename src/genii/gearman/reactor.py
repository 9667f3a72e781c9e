"""A selector for asyncio that serves some descriptors itself, without asyncio's cost for each event.

The job server's connections are such descriptors: a batch of events is one ``epoll_wait``, one call for each event and
one ``settle`` at the end, in which the answers of the whole batch are sent. asyncio sees its own descriptors only.
"""

from __future__ import annotations

import select
import selectors
import time
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["EDGE", "HANG_UP", "READ", "WRITE", "Reactor", "Watched"]

READ, WRITE, HANG_UP, EDGE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLRDHUP, select.EPOLLET

_NEVER = inf


class Watched(Protocol):
    """What is called when a watched descriptor is ready."""

    def ready(self, events: int) -> None:
        """Act on a mask of epoll events; it must not raise."""


class Reactor(selectors.BaseSelector):
    """Select for asyncio, and call ``ready`` of what is watched here.

    ``settle`` is called with the monotonic time after each batch of events; it returns the monotonic time at which it
    wants to be called again even if nothing happens.
    """

    def __init__(self, settle: Callable[[float], float]) -> None:
        self.now = time.monotonic()
        """The time of the batch of events that is being served."""
        self._settle = settle
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        self._watched: dict[int, Callable[[int], None]] = {}
        """What to call for a descriptor."""
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._leave = False
        self._due = _NEVER

    # -- for the owner of the raw descriptors ---------------------------------------------------------------------

    def watch(self, descriptor: int, watched: Watched, events: int = READ) -> None:
        """Call ``watched.ready`` when the descriptor is ready, as long as it is."""
        self._epoll.register(descriptor, events)
        self._watched[descriptor] = watched.ready

    def change(self, descriptor: int, events: int) -> None:
        """Watch for other events."""
        self._epoll.modify(descriptor, events)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching a descriptor, before it is closed."""
        if self._watched.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def leave(self) -> None:
        """Give asyncio its turn after this batch: something was scheduled with it."""
        self._leave = True

    # -- for asyncio ----------------------------------------------------------------------------------------------

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Register a descriptor of asyncio's."""
        descriptor = _descriptor(fileobj)
        if descriptor in self._keys:
            raise KeyError(f"{fileobj!r} is already registered")
        key = selectors.SelectorKey(fileobj, descriptor, events, data)
        self._epoll.register(descriptor, _to_epoll(events))
        self._keys[descriptor] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget a descriptor of asyncio's."""
        try:
            key = self._keys.pop(_descriptor(fileobj))
        except ValueError:
            raise KeyError(f"{fileobj!r} is not registered") from None
        with suppress(OSError):  # it was closed before, which epoll took note of by itself
            self._epoll.unregister(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what asyncio waits for."""
        key = selectors.SelectorKey(fileobj, _descriptor(fileobj), events, data)
        if self._keys[key.fd].events != events:
            self._epoll.modify(key.fd, _to_epoll(events))
        self._keys[key.fd] = key
        return key

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return asyncio's descriptors."""
        return self._keys

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """Return the key of a descriptor of asyncio's."""
        return self._keys[_descriptor(fileobj)]

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._epoll.close()
        self._keys.clear()
        self._watched.clear()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Serve what is watched until asyncio has something to do; return its events."""
        # this loop is run for each event of a server that is not busy, so it looks at the clock once and calls little
        monotonic, poll, settle = time.monotonic, self._poll, self._settle
        now = monotonic()
        end = _NEVER if timeout is None else now + timeout
        due = self._due
        ready: list[tuple[selectors.SelectorKey, int]] = []
        self._leave = False
        while True:
            first = end
            if due < first:
                first = due
            try:
                # epoll counts in milliseconds and Python rounds up: never early
                events = poll(None if first == _NEVER else first - now if first > now else 0.0)
            except InterruptedError:
                return ready
            self.now = now = monotonic()
            self._serve(events, ready)
            if len(events) > 1 and not ready:
                # much is going on: what came meanwhile is served before the answers wake those who wait for them
                self._serve(poll(0), ready)
            self._due = due = settle(now)
            if ready or self._leave or now >= end:
                return ready

    def _serve(self, events: list[tuple[int, int]], ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        """Call what is watched; put asyncio's events into ``ready``."""
        watched = self._watched
        for descriptor, mask in events:
            call = watched.get(descriptor)
            if call is not None:
                call(mask)
            elif (key := self._keys.get(descriptor)) is not None:
                ready.append((key, _from_epoll(mask) & key.events))


def _descriptor(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


def _to_epoll(events: int) -> int:
    return (select.EPOLLIN if events & selectors.EVENT_READ else 0) | (
        select.EPOLLOUT if events & selectors.EVENT_WRITE else 0
    )


def _from_epoll(mask: int) -> int:
    return (selectors.EVENT_WRITE if mask & ~select.EPOLLIN else 0) | (
        selectors.EVENT_READ if mask & ~select.EPOLLOUT else 0
    )
