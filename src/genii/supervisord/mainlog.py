"""The main log in supervisord's form: ``2026-01-31 12:00:00,123 INFO text``."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genii.config.ini.declaration import Daemon
    from genii.supervisord.streams import Syslog

__all__ = ["dress_log"]

_NAMES = {logging.CRITICAL: "CRIT", logging.ERROR: "ERRO", logging.WARNING: "WARN", logging.INFO: "INFO",
          logging.DEBUG: "DEBG"}  # fmt: skip
_LEVELS = {"critical": logging.CRITICAL, "error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO}


class _Form(logging.Formatter):
    """Write a record as supervisord does."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return f"{self.formatTime(record)} {_NAMES.get(record.levelno, 'INFO')} {text}"


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
        root.addHandler(logging.StreamHandler(sys.stdout))
    if daemon.logfile == "syslog":
        root.addHandler(_ToSyslog(syslog))
    for handler in root.handlers:
        handler.setFormatter(_Form())
    root.setLevel(_LEVELS.get(daemon.loglevel, logging.DEBUG))
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    for name in ("genii", "genii.supervise.supervisor"):
        logging.getLogger(name).addFilter(_is_important)


def _is_important(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO
