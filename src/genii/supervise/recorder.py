"""Keep the record on disk: append a line for each thing that a later supervisor must know."""

from __future__ import annotations

import contextlib
import errno
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
        self._broken = False
        """Whether lines are missing in the file, so that it has to be written anew."""
        self._snapshot: Callable[[], Memory] | None = None

    def load(self) -> Memory:
        """Return what the last supervisor of this boot recorded.

        Raises:
            OSError: the file is there but can't be read.
        """
        try:
            with open(self._path, "rb") as file:
                memory = read(file.read().replace(b"\0", b""), self._boot)  # what was only reserved is left out
        except FileNotFoundError:
            return Memory(absent=True)
        if memory.damaged:
            _log.warning("%s: %d lines can't be read", self._path, memory.damaged)
        return memory

    def begin(self, snapshot: Callable[[], Memory]) -> None:
        """Start the record anew with what ``snapshot`` says; it is asked again whenever the file has grown large.

        Where it can't be written (full file system) it is told, and tried again with each line: what runs goes on.
        """
        self._snapshot = snapshot
        try:
            self._rewrite()
        except OSError as error:
            self._broken = True
            self._fail(error)

    def _rewrite(self) -> None:
        assert self._snapshot is not None
        data = rewrite(self._snapshot(), self._boot, self._supervisor)
        limit = max(_LARGE, 2 * len(data))
        temporary = self._path + ".new"
        os.makedirs(os.path.dirname(self._path), mode=0o755, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # whatever somebody may have put there, a link for one
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _write(descriptor, data, 0)
            # Room for all that is written before this is done again, and as much for the time when it can't be.
            with contextlib.suppress(OSError):
                os.posix_fallocate(descriptor, 0, 2 * limit)
            os.rename(temporary, self._path)
        except OSError:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._size = len(data)
        self._limit = limit
        self._failing = self._broken = False

    def resume(self, snapshot: Callable[[], Memory]) -> None:
        """Go on after another version, whose record holds until something changes or ``renew`` is called."""
        self._snapshot = snapshot
        self._broken = True

    def renew(self) -> None:
        """Start the record anew now if that is still to be done."""
        if self._snapshot is not None and self._broken:
            self.begin(self._snapshot)

    def write(self, *items: object) -> None:
        """Append one line.

        Before it, the record is written anew where that is due: a start that is only announced stands in no snapshot.
        """
        line = encode(*items)
        try:
            if self._descriptor < 0 or self._broken:
                self._rewrite()
            elif self._size > self._limit or not os.fstat(self._descriptor).st_nlink:
                self._shorten()
            _write(self._descriptor, line, self._size)
            self._size += len(line)
        except OSError as error:
            self._broken = True
            self._fail(error)

    def _shorten(self) -> None:
        """Write the record anew: it is long, or somebody has removed it; if that fails the old one still serves."""
        try:
            self._rewrite()
        except OSError as error:
            self._limit = self._size + _LARGE // 4
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if not self._failing:
            consequence = "after a crash now, running programs may not be found again" if self._broken else "it is kept"
            _log.error("%s can't be written (%s): %s", self._path, error.strerror, consequence)
        self._failing = True

    def close(self, *, remove: bool) -> None:
        """Close the file; ``remove`` it when nothing runs any more (what another has written is not ours to remove)."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if remove and self._snapshot:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        self._snapshot = None


def _write(descriptor: int, data: bytes, position: int) -> None:
    """Write all at a position.

    Raises:
        OSError: it can't all be written.
    """
    if os.pwrite(descriptor, data, position) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
