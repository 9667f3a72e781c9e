"""The supervisor's own log file, rotated like those of programs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import time
from typing import TYPE_CHECKING

from genii.supervise.logfile import LogFile
from genii.supervise.model import Log

if TYPE_CHECKING:
    from genii.supervise.model import Settings

__all__ = ["OwnLog", "TerminalLog", "own_log_path"]

_ROOM = 64 << 10
"""Bytes that wait for a slow reader at the most."""
_AGAIN = 0.1
"""Seconds after which a slow reader is tried again."""
_PIECE = 4096
"""Bytes that a pipe or terminal takes without blocking when poll(2) says that there is room (PIPE_BUF)."""


def own_log_path(settings: Settings) -> str:
    """Return where the supervisor logs as a daemon."""
    if settings.log is not None:
        return settings.log.path
    return os.path.join(settings.log_dir or os.path.join(settings.state_dir, "log"), "genii.log")


class OwnLog(logging.Handler):
    """Write records to a rotated file; a full disk loses them, counted, and nothing else."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        log = settings.log or Log(path=own_log_path(settings))
        self._file = LogFile(log.path, log.size, log.backups, log.every, compress=False)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        line = bytearray(self.format(record).encode(errors="backslashreplace") + b"\n")
        self._file.append(line, len(line), time.monotonic())

    def reopen(self) -> None:
        """Open the file anew, after somebody has moved it."""
        self._file.close()


class TerminalLog(logging.Handler):
    """Write records to a descriptor that may be slow or stopped; what does not fit is left out and told."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._waiting = bytearray()
        self._left_out = 0
        self._timer: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, now or when there is room for it."""
        line = self.format(record).encode(errors="backslashreplace") + b"\n"
        if len(self._waiting) + len(line) > _ROOM:
            self._left_out += 1
        else:
            self._waiting += line
        self.flush()

    def flush(self) -> None:
        """Write what there is room for; try again later with the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            while self._waiting and self._poll.poll(0):
                del self._waiting[: os.write(self._descriptor, self._waiting[:_PIECE])]
        except OSError:
            self._waiting.clear()
        if self._left_out and not self._waiting:
            self._waiting += b"[genii: %d messages not shown: the terminal was too slow]\n" % self._left_out
            self._left_out = 0
        if self._waiting:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._timer = asyncio.get_running_loop().call_later(_AGAIN, self.flush)
