"""The event listeners: pools with their processes behind them, and the ticks. What is decided is in ``pool``."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from genii.supervisord.pool import Pool, overflow
from genii.supervisord.stdin import Stdin

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from genii.config.ini.declaration import Group
    from genii.supervise.process import Process
    from genii.supervisord.pool import Envelope

__all__ = ["Listeners"]

_log = logging.getLogger("genii.supervisord")
_TICKS = (5, 60, 3600)
_DEFAULT_HANDLER = "supervisor.dispatchers:default_handler"


class Listeners:
    """All pools; events are offered to those who want them."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, identifier: str, process: Callable[[str], Process | None]
    ) -> None:
        self._loop = loop
        self._identifier = identifier
        self._process = process
        self._pools: dict[str, Pool] = {}
        self._of: dict[str, Pool] = {}
        """Name of a process -> its pool."""
        self._inputs: dict[str, Stdin] = {}
        self._serial = -1
        self._wanted: dict[str, list[Pool]] = {}
        """Name of an event -> who wants it, as far as somebody asked."""
        self._tick: asyncio.TimerHandle | None = None
        self._last_tick = int(time.time())

    def add(self, group: Group) -> None:
        """Add the pool of a group."""
        pool = self._pools[group.name] = Pool(group, _judge(group.result_handler))
        for name in group.members:
            self._of[name] = pool
        self._wanted.clear()
        if self._tick is None and any(pool.wants(f"TICK_{period}") for period in _TICKS):
            self._last_tick = int(time.time())
            self._next_tick()

    def remove(self, name: str) -> None:
        """Remove the pool of a group whose processes have ended."""
        pool = self._pools.pop(name, None)
        if pool is not None:
            for listener in pool.listeners:
                self._of.pop(listener, None)
                self._hang_up(listener)
            self._wanted.clear()

    def memory(self) -> dict[str, Any]:
        """Return what another version of this has to know."""
        return {
            "serial": self._serial,
            "tick": self._last_tick,
            "pools": {name: pool.memory() for name, pool in self._pools.items()},
            "unsent": {name: line.waiting.decode("latin-1") for name, line in self._inputs.items() if line.waiting},
        }

    def restore(self, memory: dict[str, Any]) -> None:
        """Go on with what another version knew."""
        self._serial, self._last_tick = memory["serial"], memory["tick"]
        for name, known in memory["pools"].items():
            if name in self._pools:
                self._pools[name].restore(known)
        for name, text in memory["unsent"].items():
            with suppress(OSError):
                self._input(name).write(text.encode("latin-1"))

    def _input(self, name: str) -> Stdin:
        if name not in self._inputs:
            process = self._process(name)
            self._inputs[name] = Stdin(self._loop, process.life.pid if process else 0)
        return self._inputs[name]

    def is_listener(self, name: str) -> bool:
        """Say whether a process is a listener."""
        return name in self._of

    def wanted(self, event: str) -> list[Pool]:
        """Return the pools that want an event."""
        found = self._wanted.get(event)
        if found is None:
            found = self._wanted[event] = [pool for pool in self._pools.values() if pool.wants(event)]
        return found

    def notify(self, event: str, payload: str) -> None:
        """Offer an event to all pools that want it."""
        pools = self.wanted(event)
        if not pools:
            return
        self._serial += 1
        for pool in pools:
            self._lament(pool, pool.offer(self._serial, event, payload))
            self._dispatch(pool)

    def _lament(self, pool: Pool, lost: Envelope | None) -> None:
        if lost is not None:
            _log.error("%s", overflow(pool.name, lost))

    def _dispatch(self, pool: Pool) -> None:
        for name, envelope in pool.dispatch():
            try:
                self._input(name).write(envelope.render(self._identifier, pool.name))
            except OSError as error:
                # It is ending: its end gives the event back.
                _log.warning("%s: can't be sent event %d: %s", name, envelope.serial, error)

    def started(self, name: str) -> None:
        """Take note that a listener's process is being started."""
        self._of[name].born(name)

    def running(self, name: str) -> None:
        """Take note that a listener is RUNNING."""
        pool = self._of[name]
        pool.ran(name)
        self._dispatch(pool)

    def ended(self, name: str) -> None:
        """Take note that a listener's process has ended."""
        pool = self._of[name]
        self._hang_up(name)
        self._lament(pool, pool.died(name))
        self._dispatch(pool)

    def received(self, name: str, data: bytes) -> None:
        """Take in what a listener wrote."""
        pool = self._of.get(name)
        if pool is not None:
            for line in pool.received(name, data):
                _log.warning("%s", line)
            self._dispatch(pool)

    def _hang_up(self, name: str) -> None:
        known = self._inputs.pop(name, None)
        if known is not None:
            with suppress(OSError):
                known.close()

    def _next_tick(self) -> None:
        now = time.time()
        self._tick = self._loop.call_later(5 - now % 5 + 0.001, self._ticked)

    def _ticked(self) -> None:
        """Tell the time: once for each period that has begun, also when the clock was set back."""
        self._tick = None
        now = int(time.time())
        for period in _TICKS:
            this = now - now % period
            if this != self._last_tick - self._last_tick % period:
                self.notify(f"TICK_{period}", f"when:{this}")
        self._last_tick = now
        if any(self.wanted(f"TICK_{period}") for period in _TICKS):
            self._next_tick()

    def close(self) -> None:
        """Let go of everything."""
        if self._tick is not None:
            self._tick.cancel()
        for name in list(self._inputs):
            self._hang_up(name)


def _judge(handler: str) -> Callable[[Envelope, bytes], bool]:
    """Return what says whether a result accepts an event: ``OK``, or a handler of the user's own."""
    if handler in ("", _DEFAULT_HANDLER):
        return lambda _envelope, result: result == b"OK"
    from genii.supervisord.plugins import load_callable

    call = load_callable(handler)

    def judged(envelope: Envelope, result: bytes) -> bool:
        try:
            call(_Event(envelope), result)
        except Exception as error:
            if type(error).__name__ != "RejectEvent":
                _log.exception("result handler %s", handler)
            return False
        return True

    return judged


class _Event:
    """An event as result handlers know it."""

    def __init__(self, envelope: Envelope) -> None:
        self.serial = envelope.serial
        self._payload = envelope.payload

    def payload(self) -> Any:
        """Return the text of the event."""
        return self._payload
