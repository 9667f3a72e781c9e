"""Server-sent events (text/event-stream of the WHATWG HTML standard), both directions. No I/O."""

from __future__ import annotations

from genii.typed import NamedTuple

__all__ = ["HEARTBEAT", "EventReader", "ServerEvent", "render_event"]

HEARTBEAT = b":\n\n"
"""A comment, so that proxies and clients see that the stream lives."""


class ServerEvent(NamedTuple):
    """One event as a client gets it."""

    data: str
    kind: str = "message"
    id: str = ""


def render_event(data: str, kind: str = "", identifier: str = "") -> bytes:
    """Write one event; each line of ``data`` becomes a line of its own."""
    lines = [f"{name}: {_one_line(value)}" for name, value in (("event", kind), ("id", identifier)) if value]
    # Only CR LF, CR and LF end a line here; str.splitlines() would cut at form feeds and U+2028 as well.
    normal = data.replace("\r\n", "\n").replace("\r", "\n")
    lines += [f"data: {line}" for line in normal.split("\n")]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ").replace("\0", " ")


class EventReader:
    """Read events from the bytes of a stream, whatever way they are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._kind = ""
        self._id = ""

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Take the next bytes and return the events that are complete with them."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        events = []
        for line in lines:
            text = line.removesuffix(b"\r").decode("utf-8", "replace")
            if text:
                self._field(text)
            elif self._data:
                events.append(ServerEvent("\n".join(self._data), self._kind or "message", self._id))
                self._data, self._kind = [], ""
        return events

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id":
            self._id = value
