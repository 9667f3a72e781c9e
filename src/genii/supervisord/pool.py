"""A pool of event listeners: who is ready, what waits, what was answered. No I/O.

The protocol is that of http://supervisord.org/events.html#event-listener-notification-protocol: a listener writes
``READY``, gets one event, answers ``RESULT n`` and n bytes: ``OK``, or anything else to have it sent again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import astuple, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from genii.config.ini.events import matches

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.config.ini.declaration import Group

__all__ = ["Envelope", "Listener", "Mood", "Pool"]

READY = b"READY\n"
_RESULT = b"RESULT "
_LONGEST_LINE = 1024
_LONGEST_RESULT = 1 << 20


class Mood(Enum):
    """What a listener is doing."""

    ACKNOWLEDGED = "acknowledged"
    """It has been started or has answered, and is not ready yet."""
    READY = "ready"
    BUSY = "busy"
    UNKNOWN = "unknown"
    """It broke the protocol and gets no more events."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as one pool sends it."""

    serial: int
    pool_serial: int
    name: str
    payload: str

    def render(self, server: str, pool: str) -> bytes:
        """Return the bytes for a listener; ``len`` counts characters, as listeners in Python 3 rely on."""
        head = (
            f"ver:3.0 server:{server} serial:{self.serial} pool:{pool} poolserial:{self.pool_serial} "
            f"eventname:{self.name} len:{len(self.payload)}\n"
        )
        return (head + self.payload).encode("utf-8", "replace")


@dataclass(slots=True)
class Listener:
    """One process of a pool."""

    running: bool = False
    mood: Mood = Mood.ACKNOWLEDGED
    event: Envelope | None = None
    """What it works on."""
    unread: bytearray = field(default_factory=bytearray)

    def is_lost(self) -> bool:
        """Say whether it broke the protocol."""
        return self.mood is Mood.UNKNOWN


class Pool:
    """The listeners of one section; ``judge`` says whether the bytes of a result accept an event."""

    def __init__(self, group: Group, judge: Callable[[Envelope, bytes], bool]) -> None:
        self.name = group.name
        self.size = group.buffer_size
        self.waiting: deque[Envelope] = deque()
        self.listeners = {name: Listener() for name in group.members}
        self.discarded = 0
        self._subscriptions = group.events
        self._serial = -1
        self._judge = judge

    def memory(self) -> dict[str, Any]:
        """Return what another version of this has to know."""
        return {
            "serial": self._serial,
            "discarded": self.discarded,
            "waiting": [astuple(envelope) for envelope in self.waiting],
            "listeners": {
                name: {
                    "running": listener.running,
                    "mood": listener.mood.value,
                    "event": astuple(listener.event) if listener.event else None,
                    "unread": listener.unread.decode("latin-1"),
                }
                for name, listener in self.listeners.items()
            },
        }

    def restore(self, memory: dict[str, Any]) -> None:
        """Go on with what another version knew."""
        self._serial, self.discarded = memory["serial"], memory["discarded"]
        self.waiting = deque(Envelope(*words) for words in memory["waiting"])
        for name, known in memory["listeners"].items():
            if name in self.listeners:
                event = Envelope(*known["event"]) if known["event"] else None
                unread = bytearray(known["unread"].encode("latin-1"))
                self.listeners[name] = Listener(known["running"], Mood(known["mood"]), event, unread)

    def wants(self, event: str) -> bool:
        """Say whether the pool has subscribed to events of a name."""
        return any(matches(subscription, event) for subscription in self._subscriptions)

    def offer(self, serial: int, event: str, payload: str) -> Envelope | None:
        """Take an event in; return the oldest one, thrown away because the buffer is full."""
        self._serial += 1
        return self._keep(Envelope(serial, self._serial, event, payload), first=False)

    def _keep(self, envelope: Envelope, *, first: bool) -> Envelope | None:
        lost = None
        if len(self.waiting) >= self.size:
            lost = self.waiting.popleft()
            self.discarded += 1
        if first:
            self.waiting.appendleft(envelope)
        else:
            self.waiting.append(envelope)
        return lost

    def dispatch(self) -> list[tuple[str, Envelope]]:
        """Give what waits to those who are ready."""
        sent = []
        for name, listener in self.listeners.items():
            if not self.waiting:
                break
            if listener.running and listener.mood is Mood.READY:
                listener.event = self.waiting.popleft()
                listener.mood = Mood.BUSY
                sent.append((name, listener.event))
        return sent

    def born(self, name: str) -> None:
        """Take note that a listener's process was started."""
        self.listeners[name] = Listener()

    def ran(self, name: str) -> None:
        """Take note that a listener is in the state RUNNING, and may get events."""
        self.listeners[name].running = True

    def died(self, name: str) -> Envelope | None:
        """Take note that a listener ended; what it worked on is sent again. Returns what was thrown away for that."""
        listener = self.listeners[name]
        self.listeners[name] = Listener()
        return self._keep(listener.event, first=True) if listener.event is not None else None

    def received(self, name: str, data: bytes) -> list[str]:
        """Take in what a listener wrote; return what has to be logged."""
        listener = self.listeners[name]
        if listener.is_lost():
            return []
        listener.unread += data
        lines: list[str] = []
        while self._read(name, listener, lines):
            pass
        if listener.is_lost():
            listener.unread.clear()
            if listener.event is not None:
                self._again(listener, lines)
            lines.append(
                f"{name}: has entered the UNKNOWN state and will no longer receive events, this usually indicates "
                "the process violated the eventlistener protocol"
            )
        return lines

    def _read(self, name: str, listener: Listener, lines: list[str]) -> bool:
        """Read one message; say whether there may be more."""
        unread = listener.unread
        if not unread:
            return False
        if listener.mood is Mood.ACKNOWLEDGED:
            if not READY.startswith(unread[: len(READY)]):
                listener.mood = Mood.UNKNOWN
            elif len(unread) < len(READY):
                return False
            else:
                del unread[: len(READY)]
                listener.mood = Mood.READY
            return True
        if listener.mood is Mood.READY:
            listener.mood = Mood.UNKNOWN
        if listener.mood is Mood.UNKNOWN:
            return False
        return self._read_result(name, listener, lines)

    def _read_result(self, name: str, listener: Listener, lines: list[str]) -> bool:
        unread = listener.unread
        end = unread.find(b"\n")
        if end < 0:
            if len(unread) > _LONGEST_LINE or not _RESULT.startswith(unread[: len(_RESULT)]):
                listener.mood = Mood.UNKNOWN
            return listener.mood is Mood.UNKNOWN
        length = bytes(unread[len(_RESULT) : end])
        if not unread.startswith(_RESULT) or not length.isdigit() or int(length[:10]) > _LONGEST_RESULT:
            lines.append(f"{name}: bad result line: {bytes(unread[:60])!r}")
            listener.mood = Mood.UNKNOWN
            return True
        rest = end + 1 + int(length)
        if len(unread) < rest:
            return False
        result = bytes(unread[end + 1 : rest])
        del unread[:rest]
        assert listener.event is not None
        listener.mood = Mood.ACKNOWLEDGED
        if self._judge(listener.event, result):
            listener.event = None
        else:
            lines.append(f"{name}: event was rejected")
            self._again(listener, lines)
        return True

    def _again(self, listener: Listener, lines: list[str]) -> None:
        """Put back what a listener did not accept, for this pool only."""
        assert listener.event is not None
        lost = self._keep(listener.event, first=True)
        listener.event = None
        if lost is not None:
            lines.append(overflow(self.name, lost))


def overflow(pool: str, lost: Envelope) -> str:
    """Return the line of the log about an event that was thrown away."""
    return f"pool {pool} event buffer overflowed, discarding event {lost.serial}"
