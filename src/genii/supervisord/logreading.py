"""Read logs by offset and length, with supervisord's rules."""

from __future__ import annotations

import os

from genii.supervisord.faults import Fault
from genii.system.trusted import open_trusted

__all__ = ["read_log", "tail_log"]

_MOST = 16 << 20
"""Bytes in one answer: more is cut at its beginning, as no client shows it and the supervisor would stand still."""


def read_log(path: str, offset: int, length: int) -> str:
    """Return a piece of a file: ``(0, 0)`` all, ``(o, 0)`` from o, ``(o, n)`` n bytes, ``(-n, 0)`` the last n.

    Raises:
        Fault: BAD_ARGUMENTS for a negative length or a negative offset with one, FAILED if it can't be read.
    """
    if length < 0 or (offset < 0 and length):
        raise Fault("BAD_ARGUMENTS")
    try:
        with open(path, "rb", buffering=0, opener=open_trusted) as file:
            size = _size(file.fileno())
            start = max(0, size + offset) if offset < 0 else min(offset, size)
            count = min(size - start, length) if length else size - start
            if count > _MOST:
                start, count = (start, _MOST) if length else (size - _MOST, _MOST)
            return _text(os.pread(file.fileno(), count, start))
    except OSError:
        raise Fault("FAILED") from None


def tail_log(path: str, offset: int, length: int) -> tuple[str, int, bool]:
    """Return the end of a file, its size, and whether more than ``length`` bytes follow ``offset``.

    What is returned are the last ``length`` bytes, also those before ``offset``; nothing where that is beyond the end.
    """
    try:
        with open(path, "rb", buffering=0, opener=open_trusted) as file:
            size = _size(file.fileno())
            overflow = size > offset + length
            length = max(0, min(length, _MOST))
            if not overflow and offset >= size:
                length = 0
            start = max(0, size - length)
            return _text(os.pread(file.fileno(), length, start)), size, overflow
    except OSError:
        return "", offset, False


def _size(descriptor: int) -> int:
    status = os.fstat(descriptor)
    if (status.st_mode & 0o170000) != 0o100000:
        raise OSError("not a regular file")
    return status.st_size


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
