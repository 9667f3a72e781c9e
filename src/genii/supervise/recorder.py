"""Keep the record on disk: append a line for each thing that a later supervisor must know."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from genii.supervise.record import Memory, encode, read, rewrite

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Recorder"]

_log = logging.getLogger(__name__)
_LARGE = 256 << 10
"""Bytes after which the record is rewritten, if that makes it shorter."""


class Recorder:
    """The file ``state_dir/record``; a failure to write is told once and does not stop anything."""

    def __init__(self, path: str, boot: str, supervisor: str) -> None:
        self._path = path
        self._boot = boot
        self._supervisor = supervisor
        self._descriptor = -1
        self._size = 0
        self._limit = _LARGE
        self._failing = False
        self._snapshot: Callable[[], Memory] | None = None

    def load(self) -> Memory:
        """Return what the last supervisor of this boot recorded.

        Raises:
            OSError: the file is there but can't be read.
        """
        try:
            with open(self._path, "rb") as file:
                memory = read(file.read(), self._boot)
        except FileNotFoundError:
            return Memory()
        if memory.damaged:
            _log.warning("%s: %d damaged lines left out", self._path, memory.damaged)
        return memory

    def begin(self, snapshot: Callable[[], Memory]) -> None:
        """Start the record anew with what ``snapshot`` says; it is asked again whenever the file has grown large.

        Where it can't be written (full file system) it is told, and tried again with each line: what runs goes on.
        """
        self._snapshot = snapshot
        try:
            self._rewrite()
        except OSError as error:
            self._fail(error)

    def _rewrite(self) -> None:
        assert self._snapshot is not None
        data = rewrite(self._snapshot(), self._boot, self._supervisor)
        temporary = self._path + ".new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(temporary, flags, 0o600)
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(28, "No space left on device")
            os.rename(temporary, self._path)
        except OSError:
            os.close(descriptor)
            raise
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._size = len(data)
        self._limit = max(_LARGE, 2 * len(data))

    def write(self, *items: object) -> None:
        """Append one line."""
        line = encode(*items)
        try:
            if self._failing:
                self._rewrite()
                self._failing = False
            if os.write(self._descriptor, line) != len(line):
                raise OSError(28, "No space left on device")
            self._size += len(line)
            if self._size > self._limit:
                self._rewrite()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if not self._failing:
            _log.error(
                "%s can't be written (%s): after a crash now, running programs may not be found again",
                self._path,
                error.strerror,
            )
        self._failing = True

    def close(self, *, remove: bool) -> None:
        """Close the file; ``remove`` it when nothing runs any more (what another has written is not ours to remove)."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if remove and self._snapshot and os.path.exists(self._path):
            os.unlink(self._path)
