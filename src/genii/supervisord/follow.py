"""Follow a log byte by byte from near its end, as ``supervisorctl tail -f`` shows it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from genii.system.inotify import Inotify, Mask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["follow_bytes"]

_BEFORE = 1024
_BLOCK = 64 << 10


async def follow_bytes(path: str) -> AsyncIterator[bytes]:
    """Yield the last 1,024 bytes of a file, then what is added; after a rotation the new file from its beginning."""
    loop = asyncio.get_running_loop()
    watcher, changed = Inotify(), asyncio.Event()
    watcher.add(os.path.dirname(path), Mask.CREATE | Mask.MOVED_TO | Mask.ONLYDIR)
    loop.add_reader(watcher.fileno(), _note, watcher, changed)
    descriptor = -1
    position: int | None = None
    try:
        while True:
            changed.clear()
            if descriptor < 0 and (descriptor := _open(path)) >= 0:
                watcher.add(path, Mask.MODIFY)
                position = max(0, os.fstat(descriptor).st_size - _BEFORE) if position is None else 0
            while descriptor >= 0 and (data := _next(descriptor, position or 0)):
                position = (position or 0) + len(data)
                yield data
            if descriptor >= 0 and _replaced(descriptor, path):
                os.close(descriptor)
                descriptor = -1
                continue
            if descriptor >= 0 and os.fstat(descriptor).st_size < (position or 0):
                position = 0  # somebody emptied it
                continue
            await changed.wait()
    finally:
        loop.remove_reader(watcher.fileno())
        watcher.close()
        if descriptor >= 0:
            os.close(descriptor)


def _note(watcher: Inotify, changed: asyncio.Event) -> None:
    if watcher.read():
        changed.set()


def _open(path: str) -> int:
    """Return a descriptor of a file; -1: it is not there (yet)."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return -1


def _next(descriptor: int, position: int) -> bytes:
    return os.pread(descriptor, _BLOCK, position)


def _replaced(descriptor: int, path: str) -> bool:
    """Say whether another file is at the path by now."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)
