"""Write to the standard input of programs: the pipe that a process holds open itself (see ``Process._stdin``)."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["Stdin", "open_stdin"]

_MOST = 16 << 20
"""Bytes that may wait for a process that does not read."""


def open_stdin(pid: int) -> int:
    """Return a descriptor for writing to a process's standard input.

    Raises:
        OSError: it has none, or what it has there is no pipe.
    """
    path = f"/proc/{pid}/fd/0"
    if not stat.S_ISFIFO(os.stat(path).st_mode):
        raise OSError("its standard input is no pipe")
    return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)


class Stdin:
    """What is written to one process: kept and sent on as it reads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pid: int) -> None:
        self.pid = pid
        self._loop = loop
        self._descriptor = open_stdin(pid)
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        """Send data, now or when the process has read what is in the pipe.

        Raises:
            OSError: too much waits already, or nobody can read it any more.
        """
        if len(self._waiting) + len(data) > _MOST:
            raise OSError("it does not read its standard input")
        waited = bool(self._waiting)
        self._waiting += data
        if not waited:
            self._send()
            if self._waiting:
                self._loop.add_writer(self._descriptor, self._more)

    @property
    def waiting(self) -> bytes:
        """What the process has not read yet and its pipe has no room for."""
        return bytes(self._waiting)

    def write_now(self, data: bytes) -> None:
        """Send data as far as the process's pipe takes it.

        Raises:
            BlockingIOError: it has no room for all of it; what had is sent.
            OSError: nobody can read it any more.
        """
        self._waiting += data
        self._send()
        if self._waiting:
            self._waiting.clear()
            raise BlockingIOError("it does not read its standard input")

    def _send(self) -> None:
        while self._waiting:
            try:
                sent = os.write(self._descriptor, self._waiting[: 64 << 10])
            except BlockingIOError:
                return
            del self._waiting[:sent]

    def _more(self) -> None:
        try:
            self._send()
        except OSError:
            self._waiting.clear()
        if not self._waiting:
            self._loop.remove_writer(self._descriptor)

    def close(self) -> None:
        """Let go of it."""
        if self._waiting:
            self._loop.remove_writer(self._descriptor)
        os.close(self._descriptor)
