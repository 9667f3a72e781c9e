"""A page of memory in which a worker writes what it is doing, for whoever wants to know.

Writing costs a microsecond and wakes nobody, so it is done for each job; reading is done when somebody asks. The page
is a memfd (memfd_create(2)) that the reader finds among the worker's descriptors in proc(5): it needs no name, no
cleaning up, and is there again for a supervisor that has taken the worker over.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from typing import NamedTuple

__all__ = ["Work", "Worksheet", "read_worksheet"]

_NAME = "genii-worker"
_LINK = f"/memfd:{_NAME} (deleted)"
_LAYOUT = struct.Struct("=4sB3xdqq")
"""Mark, busy, since when (seconds since the epoch), jobs done, jobs left (-1: any number); then the job's name."""
_MARK = b"gw01"
_SIZE = 256
_ROOM = _SIZE - _LAYOUT.size


class Work(NamedTuple):
    """What a worker is doing."""

    busy: bool
    since: float
    """When it became so, in seconds since the epoch."""
    done: int
    """Jobs that it has done."""
    left: int | None
    """Jobs that it will still take before it ends, without the one it does; None: any number."""
    job: str
    """The name of what it does, or did last."""


class Worksheet:
    """The writing side; one a process. A copy that was inherited over a fork still belongs to the parent."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create(_NAME, os.MFD_CLOEXEC)
        os.truncate(self._descriptor, _SIZE)
        self._page = mmap.mmap(self._descriptor, _SIZE)
        self.write(busy=False, done=0, left=None, job=b"")

    def write(self, *, busy: bool, done: int, left: int | None, job: bytes) -> None:
        """Say what is being done from now on."""
        head = _LAYOUT.pack(_MARK, busy, time.time(), done, -1 if left is None else left)
        # One copy of memory: a reader sees the old page or the new one, see read_worksheet for the rare mixture.
        self._page[:] = head + job[:_ROOM].ljust(_ROOM, b"\0")

    def close(self) -> None:
        """Take the page away."""
        self._page.close()
        os.close(self._descriptor)


def read_worksheet(pid: int) -> Work | None:
    """Return what a process says that it does; None: it says nothing, is gone, or is not ours to look at."""
    try:
        folder = f"/proc/{pid}/fd"
        for number in os.listdir(folder):
            path = f"{folder}/{number}"
            if os.readlink(path) == _LINK:
                return _read(path)
    except OSError:
        pass
    return None


def _read(path: str) -> Work | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        page = os.pread(descriptor, _SIZE, 0)
        for _ in range(3):  # until two looks agree: it was not being written
            again = os.pread(descriptor, _SIZE, 0)
            if page == again:
                break
            page = again
    finally:
        os.close(descriptor)
    if len(page) < _SIZE or not page.startswith(_MARK):
        return None
    _, busy, since, done, left = _LAYOUT.unpack_from(page)
    job = page[_LAYOUT.size :].rstrip(b"\0").decode(errors="replace")
    return Work(bool(busy), since, done, None if left < 0 else left, job)
