"""Read the last lines of logs for clients, over rotated files.

Files are read in pieces, with a turn of the event loop between them, so that no client holds up the supervisor.
A file ``name`` is continued by older ones: ``name.1``, ``name.2`` …, each perhaps compressed (``.gz``).
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self, cast

from genii.control.timestamp import line_time
from genii.system.trusted import open_trusted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Place", "rotated", "split_lines", "tail"]

_BLOCK = 64 << 10
_LONGEST_LINE = 64 << 10
"""A longer line is given in pieces: a program may write a gigabyte without a line end."""


def rotated(path: str) -> list[str]:
    """Return the files of a log that exist, newest first."""
    found = [path] if os.path.exists(path) else []
    number = 1
    while True:
        name = next((name for name in (f"{path}.{number}", f"{path}.{number}.gz") if os.path.exists(name)), None)
        if name is None:
            return found
        found.append(name)
        number += 1


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file, wherever rotation moves it."""

    device: int
    inode: int
    offset: int

    def __str__(self) -> str:
        return f"{self.device:x}.{self.inode:x}.{self.offset:x}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str`` gives.

        Raises:
            ValueError: it is something else.
        """
        device, inode, offset = (int(part, 16) for part in text.split("."))
        if offset < 0:
            raise ValueError("no place is before the beginning")
        return cls(device, inode, offset)

    def within(self, path: str) -> bool:
        """Say whether the file at ``path`` is the one that is meant."""
        try:
            found = os.stat(path)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == (self.device, self.inode)


async def tail(path: str, count: int, since: float = 0.0, until: Place | None = None) -> AsyncIterator[list[str]]:
    """Yield the last ``count`` lines (-1: all) before ``until``, oldest first, in batches.

    ``since`` leaves out what is older: files that were last written before it, and lines that begin with an ISO 8601
    time before it. Lines without one belong to the line before them.
    """
    recent = since == 0.0
    for part in reversed(await _plan(path, count, since, until)):
        async for lines in _read_lines(part):
            first = 0 if recent else _first_since(lines, since)
            recent = recent or first < len(lines)
            if first < len(lines):
                yield lines[first:]


@dataclass(frozen=True, slots=True)
class _Part:
    path: str
    start: int
    end: int | None


async def _plan(path: str, count: int, since: float, until: Place | None) -> list[_Part]:
    """List the parts of files to read, newest first."""
    names = rotated(path)
    if until is not None:
        marked = next((index for index, name in enumerate(names) if until.within(name)), 0)
        names = names[marked:]
    parts: list[_Part] = []
    for name in names:
        if count == 0 or (since and _modified(name) < since):
            break
        end = until.offset if until is not None and until.within(name) else None
        start, held = await _locate(name, count, end)
        parts.append(_Part(name, start, end))
        count = max(0, count - held) if count > 0 else count
    return parts


def _first_since(lines: list[str], since: float) -> int:
    """Return the index of the first line that is not older; lines without a time count as new until one has one."""
    times = [line_time(line) for line in lines]
    if all(moment is None for moment in times):
        return 0
    return next((index for index, moment in enumerate(times) if moment is not None and moment >= since), len(lines))


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _open_log(path: str) -> IO[bytes]:
    if path.endswith(".gz"):
        import gzip

        # Unbuffered, and as its own: what GzipFile is only lent it does not close.
        file = open(path, "rb", buffering=0, opener=open_trusted)  # noqa: SIM115 -- closed with what is returned
        packed = gzip.GzipFile(fileobj=file)
        packed.myfileobj = file
        return cast("IO[bytes]", packed)
    return open(path, "rb", opener=open_trusted)


async def _locate(path: str, count: int, end: int | None) -> tuple[int, int]:
    """Find where the last ``count`` lines before ``end`` begin: the bytes to skip, and how many lines follow."""
    if count < 0:
        return 0, 0
    try:
        if path.endswith(".gz"):
            return await _locate_forward(path, count)
        return await _locate_backward(path, count, end)
    except FileNotFoundError:
        return 0, 0


async def _locate_backward(path: str, count: int, end: int | None) -> tuple[int, int]:
    with _open_log(path) as file:
        position = file.seek(0, os.SEEK_END) if end is None else end
        if position == 0:
            return 0, 0
        file.seek(position - 1)
        position -= file.read(1) == b"\n"  # the end of the last line begins no other
        lines = 1
        while position > 0:
            start = max(0, position - _BLOCK)
            file.seek(start)
            block = file.read(position - start)
            cut = len(block)
            while (cut := block.rfind(b"\n", 0, cut)) >= 0:
                if lines == count:
                    return start + cut + 1, lines
                lines += 1
            position = start
            await asyncio.sleep(0)
        return 0, lines


async def _locate_forward(path: str, count: int) -> tuple[int, int]:
    """As above for a compressed file, which can only be read from its beginning."""
    from collections import deque

    starts: deque[int] = deque((0,), maxlen=count + 1)
    position = 0
    with _open_log(path) as file:
        while block := file.read(_BLOCK):
            cut = -1
            while (cut := block.find(b"\n", cut + 1)) >= 0:
                starts.append(position + cut + 1)
            position += len(block)
            await asyncio.sleep(0)
    if starts[-1] == position:
        starts.pop()
    elif len(starts) > count:
        starts.popleft()
    return (starts[0], len(starts)) if starts else (0, 0)


async def _read_lines(part: _Part) -> AsyncIterator[list[str]]:
    try:
        file = _open_log(part.path)
    except FileNotFoundError:
        return  # rotated away while we read the older ones
    with file:
        file.seek(part.start)
        left = -1 if part.end is None else part.end - part.start
        rest = b""
        while data := file.read(_BLOCK if left < 0 else min(_BLOCK, left)):
            left = max(0, left - len(data)) if left >= 0 else left
            lines, rest = split_lines(rest + data)
            if lines:
                yield lines
            await asyncio.sleep(0)
    if rest:
        yield [rest.decode("utf-8", "replace")]


def split_lines(data: bytes) -> tuple[list[str], bytes]:
    """Cut bytes into whole lines and the rest; a line without end is given away in pieces."""
    *whole, rest = data.split(b"\n")
    while len(rest) > _LONGEST_LINE:
        whole.append(rest[:_LONGEST_LINE])
        rest = rest[_LONGEST_LINE:]
    return [line.removesuffix(b"\r").decode("utf-8", "replace") for line in whole], rest
