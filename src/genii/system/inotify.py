"""File events of the kernel (inotify(7)): the raw descriptor, without policy."""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["FileEvent", "Inotify", "Mask"]

_HEADER = struct.Struct("iIII")
_BUFFER = 64 << 10


class Mask(IntFlag):
    """What may happen to a file or in a directory, as <sys/inotify.h> numbers it."""

    ACCESS = 0x1
    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    CLOSE_NOWRITE = 0x10
    OPEN = 0x20
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    UNMOUNT = 0x2000
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x01000000
    DONT_FOLLOW = 0x02000000
    EXCL_UNLINK = 0x04000000
    MASK_ADD = 0x20000000
    ISDIR = 0x40000000
    ONESHOT = 0x80000000


@dataclass(frozen=True, slots=True)
class FileEvent:
    """One event; ``watch`` is what ``add`` returned, -1 when the queue overflowed and events were lost."""

    watch: int
    mask: int
    cookie: int
    """The same in MOVED_FROM and MOVED_TO of one rename."""
    name: str
    """Of the entry within a watched directory; empty when it is about the watched path itself."""


class Inotify:
    """An inotify descriptor: non-blocking, closed on exec, made for ``loop.add_reader``."""

    def __init__(self) -> None:
        import ctypes

        self._ctypes = ctypes
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise self._error("inotify_init1 (the user's fs.inotify.max_user_instances may be used up)")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor."""
        return int(self._descriptor)

    def add(self, path: str, mask: int) -> int:
        """Watch a path; returns the number of the watch, the same one for the same inode.

        Raises:
            OSError: there is no such path, or fs.inotify.max_user_watches is used up (ENOSPC).
        """
        watch = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), self._ctypes.c_uint32(mask))
        if watch < 0:
            raise self._error(path)
        return int(watch)

    def remove(self, watch: int) -> None:
        """End a watch; one that has ended by itself is fine."""
        self._libc.inotify_rm_watch(self._descriptor, watch)

    def read(self) -> list[FileEvent]:
        """Return the events that wait; none when nothing has happened."""
        try:
            data = os.read(self._descriptor, _BUFFER)
        except BlockingIOError:
            return []
        events, position = [], 0
        while position < len(data):
            watch, mask, cookie, length = _HEADER.unpack_from(data, position)
            position += _HEADER.size
            name = data[position : position + length].rstrip(b"\0")
            position += length
            events.append(FileEvent(watch, mask, cookie, os.fsdecode(name)))
        return events

    def close(self) -> None:
        """End all watches."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _error(self, what: str) -> OSError:
        number = self._ctypes.get_errno() or errno.EINVAL
        return OSError(number, os.strerror(number), what)
