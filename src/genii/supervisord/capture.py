"""What is taken out of a program's output on its way to the log: captured messages, ANSI escapes. No I/O.

See http://supervisord.org/events.html#event-types (capture mode).
"""

from __future__ import annotations

import re

__all__ = ["Capture", "strip_ansi"]

BEGIN = b"<!--XSUPERVISOR:BEGIN-->"
END = b"<!--XSUPERVISOR:END-->"

_ESCAPE = re.compile(rb"\x1b\[[^HfABCDRsuJKhlpm]*[HfABCDRsuJKhlpm]")


def strip_ansi(data: bytes) -> bytes:
    """Return the data without ANSI escape sequences."""
    return _ESCAPE.sub(b"", data) if b"\x1b[" in data else data


class Capture:
    """Take what stands between the tags out of a stream, however it is cut; keep its newest ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = b""
        """The end of what was read, that may be the beginning of a tag."""
        self._inside = False
        self._captured = bytearray()

    def feed(self, data: bytes) -> tuple[bytes, list[bytes]]:
        """Return what goes to the log, and the messages that are complete."""
        data = self._held + data
        passed, messages = bytearray(), []
        while True:
            tag = END if self._inside else BEGIN
            before, found, data = data.partition(tag)
            if not found:
                break
            self._take(before, passed)
            if self._inside:
                messages.append(bytes(self._captured))
                self._captured.clear()
            self._inside = not self._inside
        held = _beginning(before, tag)
        self._held = before[len(before) - held :]
        self._take(before[: len(before) - held], passed)
        return bytes(passed), messages

    def unfinished(self) -> bytes:
        """Return what brings another one into this state when it is fed with it."""
        return (BEGIN + self._captured if self._inside else b"") + self._held

    def flush(self) -> bytes:
        """Return what was held back when the stream ends, and begin anew."""
        rest = b"" if self._inside else self._held
        self._held, self._inside = b"", False
        self._captured.clear()
        return rest

    def _take(self, data: bytes, passed: bytearray) -> None:
        if not self._inside:
            passed += data
            return
        self._captured += data
        del self._captured[: max(0, len(self._captured) - self._limit)]


def _beginning(data: bytes, tag: bytes) -> int:
    """Return how many bytes at the end of the data are the beginning of the tag."""
    for length in range(min(len(tag) - 1, len(data)), 0, -1):
        if data.endswith(tag[:length]):
            return length
    return 0
