"""The supervisor's own log file, rotated like those of programs."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from genii.supervise.logfile import LogFile
from genii.supervise.model import Log

if TYPE_CHECKING:
    from genii.supervise.model import Settings

__all__ = ["OwnLog", "own_log_path"]


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
