"""The main log in supervisord's form: ``2026-01-31 12:00:00,123 INFO text``."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from genii.control.ownlog import TerminalLog

if TYPE_CHECKING:
    from genii.config.ini.declaration import Daemon
    from genii.supervisord.streams import Syslog

__all__ = ["dress_log"]

_NAMES = {logging.CRITICAL: "CRIT", logging.ERROR: "ERRO", logging.WARNING: "WARN", logging.INFO: "INFO",
          logging.DEBUG: "DEBG"}  # fmt: skip
_LEVELS = {"critical": logging.CRITICAL, "error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO}


class _Form(logging.Formatter):
    """Write a record as supervisord does; once for all places that it goes to."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._time = ""
        """That second as text."""
        self._last: tuple[logging.LogRecord, str] | None = None

    def format(self, record: logging.LogRecord) -> str:
        if self._last is not None and self._last[0] is record:
            return self._last[1]
        text = record.getMessage()
        if int(record.created) != self._second:
            self._second = int(record.created)
            self._time = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self._second))
        line = f"{self._time},{int(record.msecs):03d} {_NAMES.get(record.levelno, 'INFO')} {text}"
        if record.exc_info:
            return f"{line}\n{self.formatException(record.exc_info)}"
        self._last = record, line
        return line


class _ToSyslog(logging.Handler):
    def __init__(self, syslog: Syslog) -> None:
        super().__init__()
        self._syslog = syslog

    def emit(self, record: logging.LogRecord) -> None:
        self._syslog.send(self.format(record))


def dress_log(daemon: Daemon, syslog: Syslog, *, echo: bool) -> None:
    """Give the log its form, and its further places; genii's own lines about the states of processes are left out."""
    root = logging.getLogger()
    if echo:
        root.addHandler(TerminalLog(1))
    if daemon.logfile == "syslog":
        root.addHandler(_ToSyslog(syslog))
    form = _Form()
    for handler in root.handlers:
        handler.setFormatter(form)
    root.setLevel(_LEVELS.get(daemon.loglevel, logging.DEBUG))
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    for name in ("genii", "genii.supervise.supervisor"):
        logging.getLogger(name).addFilter(_is_important)


def _is_important(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO
