"""Who did what: a line of JSON for each change that was asked for, and for each login."""

from __future__ import annotations

import logging
import os
import time
from collections import deque

import msgspec

__all__ = ["Audit", "Entry"]

_log = logging.getLogger("genii.control")
_KEPT = 256
_LARGEST = 1 << 20


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that somebody did."""

    time: float
    user: str
    """A name of ``[http]``, ``uid:N`` on the unix socket, ``anyone`` where no login is needed."""
    address: str
    """``host:port``, or ``unix``."""
    action: str
    """``login``, ``logout``, ``start``, ``stop``…"""
    about: str = ""
    """Names, signal, numbers: what was asked."""
    outcome: str = "done"
    """``done``, or the code of an error."""


class Audit:
    """Append to ``path`` (0600; the file before is kept as ``.1``); remember the last entries for the page."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._recent: deque[Entry] | None = None

    def note(self, user: str, address: str, action: str, about: str = "", outcome: str = "done") -> None:
        """Write down one thing; a full disk loses it with a warning, and hinders nobody."""
        entry = Entry(time.time(), user[:100], address, action, about[:500], outcome)
        if self._recent is not None:
            self._recent.append(entry)
        _log.info("audit: %s (%s): %s %s: %s", entry.user, entry.address, action, entry.about, outcome)
        if not self._path:
            return
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, msgspec.json.encode(entry) + b"\n")
                large = os.fstat(descriptor).st_size > _LARGEST
            finally:
                os.close(descriptor)
            if large:
                os.replace(self._path, f"{self._path}.1")
        except OSError as error:
            _log.warning("can't write the audit log %s: %s", self._path, error.strerror)

    def recent(self) -> list[Entry]:
        """Return the last entries, oldest first, also those that an earlier supervisor wrote."""
        if self._recent is None:
            self._recent = deque(self._read(), maxlen=_KEPT)
        return list(self._recent)

    def _read(self) -> list[Entry]:
        entries = []
        for path in (f"{self._path}.1", self._path):
            try:
                with open(path, "rb") as file:
                    file.seek(max(0, os.fstat(file.fileno()).st_size - (64 << 10)))
                    lines = file.read().split(b"\n")
            except OSError:
                continue
            for line in lines:
                try:
                    entries.append(msgspec.json.decode(line, type=Entry))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    continue  # the first may be cut, the last may be unfinished
        return entries
