"""What a person sees of ``genii up`` in the foreground: lines of all programs, each with its name before it.

Used by the keeper; imports next to nothing. The terminal (or pipe) may be slow or stopped: what does not fit is left
out and told, the log files have it.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False  # typing itself is not worth its import here
if TYPE_CHECKING:
    from genii.supervise.rotation import Chunk

__all__ = ["Console"]

_COLORS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_ROOM = 1 << 20
"""Bytes that wait for a slow reader at the most."""
_PIECE = 4096
"""Bytes written at once when poll says that there is room: a pipe takes them without blocking (PIPE_BUF)."""


class Console:
    """Write lines to a descriptor without ever blocking on it."""

    def __init__(self, descriptor: int, *, color: bool, names: bool = True) -> None:
        self._descriptor = descriptor
        self._color = color
        self._names = names
        self._width = 0
        self._prefixes: dict[str, bytes] = {}
        self._partial: dict[tuple[str, str], bytearray] = {}
        self._waiting = bytearray()
        self._left_out = 0
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    @property
    def waiting(self) -> bool:
        """Say whether lines wait for the reader."""
        return bool(self._waiting)

    def add(self, name: str) -> None:
        """Announce a program, so that the names line up."""
        if not self._names:
            self._prefixes[name] = b""
        elif name not in self._prefixes:
            self._prefixes[name] = b""
            self._width = max(self._width, len(name))
            for number, known in enumerate(self._prefixes):
                text = f"{known.ljust(self._width)} | "
                code = _COLORS[number % len(_COLORS)]
                self._prefixes[known] = (f"\x1b[{code}m{text}\x1b[0m" if self._color else text).encode()

    def show(self, key: str, name: str, chunk: Chunk, length: int) -> None:
        """Show the whole lines in ``chunk[:length]`` of the stream ``key`` of a program.

        The rest waits for its end, but no more than 64 KiB of it.
        """
        partial = self._partial.setdefault((key, name), bytearray())
        partial += chunk[:length]
        end = partial.rfind(b"\n") + 1
        if not end and len(partial) > 65536:
            partial += b"\n"
            end = len(partial)
        if not end:
            return
        prefix = self._prefixes[name]
        lines = prefix + bytes(partial[: end - 1]).replace(b"\n", b"\n" + prefix) + b"\n"
        del partial[:end]
        if len(self._waiting) + len(lines) > _ROOM:
            self._left_out += lines.count(b"\n")
        else:
            self._waiting += lines
        self.flush()

    def flush(self) -> None:
        """Write as much as the reader takes now."""
        try:
            while self._waiting and self._poll.poll(0):
                del self._waiting[: os.write(self._descriptor, self._waiting[:_PIECE])]
        except OSError:
            self._waiting.clear()
        if self._left_out and not self._waiting:
            self._waiting += (
                b"[genii: %d lines not shown: the terminal was too slow; see 'genii logs']\n" % self._left_out
            )
            self._left_out = 0

    def finish(self) -> None:
        """Show what is left of unfinished lines and wait a moment for the reader."""
        for (key, name), partial in list(self._partial.items()):
            if partial:
                self.show(key, name, bytearray(b"\n"), 1)
        self.flush()
        while self._waiting and self._poll.poll(500):
            self.flush()
