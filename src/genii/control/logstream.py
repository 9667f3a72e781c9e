"""Logs of several processes as one stream of JSON: lines for what is there, server-sent events for what comes."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from genii.control.follow import Follower
from genii.control.logs import tail
from genii.control.query import LogLines
from genii.errors import NotAllowed
from genii.events.sse import HEARTBEAT, render_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from genii.control.logs import Place
    from genii.control.target import Target

__all__ = ["LogFile", "Wish", "follow_logs", "log_files", "plain_logs", "recent_logs"]

_PACE = 0.1
"""Seconds between two batches for people."""
_UNREAD = 256 << 10
"""Bytes that may lie before such a reader; more is skipped."""
_QUEUED = 64
"""Batches of lines that wait for a slow client before its files are read no further."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """Where one output of a process is kept."""

    name: str
    stream: str
    path: str


@dataclass(frozen=True, slots=True)
class Wish:
    """Which lines are wanted."""

    count: int
    """The last so many of each file; -1: all."""
    since: float = 0.0
    contains: str = ""
    """Only lines with this text."""
    paced: bool = False
    """Whether to leave out what comes faster than anybody could read: for people who look on."""
    after: dict[tuple[int, int], int] = field(default_factory=dict)
    """Where to go on: device and inode of files, and offsets in them; empty: this is the beginning."""


def log_files(target: Target, names: Sequence[str], stream: str) -> list[LogFile]:
    """List the log files of the processes named (none: all), each file once.

    Raises:
        UnknownProgram: a name means nothing.
        NotAllowed: what they write is not kept in files.
    """
    streams = ("stdout", "stderr") if stream == "both" else (stream,)
    found: dict[str, LogFile] = {}
    for status in target.statuses(names):
        for each in streams:
            path = target.log_path(status.name, each)
            if path and path in found:
                found[path] = LogFile(found[path].name, "both", path)
            elif path and os.path.isabs(path):
                found[path] = LogFile(status.name, each, path)
    if names and not found:
        raise NotAllowed(f"the output of {', '.join(names)} is not kept in a file (see 'logs' in the configuration)")
    return list(found.values())


async def recent_logs(files: Sequence[LogFile], wish: Wish) -> AsyncIterator[bytes]:
    """Yield the last lines of each file as JSON lines of ``LogLines``."""
    for file in files:
        async for lines in tail(file.path, wish.count, wish.since):
            if found := _matching(lines, wish.contains):
                yield msgspec.json.encode(LogLines(file.name, file.stream, found)) + b"\n"


async def plain_logs(files: Sequence[LogFile], wish: Wish) -> AsyncIterator[bytes]:
    """Yield the last lines of each file as text; lines of several files with the name of their process."""
    for file in files:
        prefix = f"{file.name} | " if len(files) > 1 else ""
        async for lines in tail(file.path, wish.count, wish.since):
            yield "".join(f"{prefix}{line}\n" for line in _matching(lines, wish.contains)).encode("utf-8", "replace")


def _matching(lines: list[str], text: str) -> list[str]:
    return [line for line in lines if text in line] if text else lines


async def follow_logs(files: Sequence[LogFile], wish: Wish, idle: float) -> AsyncIterator[bytes]:
    """Yield the last lines of each file and then those that are added, as events of ``LogLines``."""
    queue: asyncio.Queue[bytes] = asyncio.Queue(_QUEUED)
    loop = asyncio.get_running_loop()
    # Not a TaskGroup: it must not be left by the GeneratorExit of a client that went away.
    tasks = [loop.create_task(_follow_one(file, wish, queue)) for file in files]
    try:
        yield HEARTBEAT
        while True:
            try:
                async with asyncio.timeout(idle):
                    piece = await queue.get()
            except TimeoutError:
                piece = HEARTBEAT
            yield piece
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow_one(file: LogFile, wish: Wish, queue: asyncio.Queue[bytes]) -> None:
    try:
        follower = Follower(file.path, wish.after)
    except OSError as error:
        await queue.put(_event(file, [f"genii can't follow this log: {error}"]))
        return
    with follower:
        if follower.place is not None:
            async for lines in tail(file.path, wish.count, wish.since, follower.place):
                if found := _matching(lines, wish.contains):
                    await queue.put(_event(file, found))
        await queue.put(_event(file, [], place=follower.here))  # so that who is cut off can go on from here
        skipped = 0
        async for lines in follower.lines():
            found = _matching(lines, wish.contains)
            if found or skipped:
                await queue.put(_event(file, found, skipped, follower.here))
                skipped = 0
            if wish.paced:
                await asyncio.sleep(_PACE)
                skipped += follower.skip(_UNREAD)
            elif not found:
                await asyncio.sleep(0)


def _event(file: LogFile, lines: list[str], skipped: int = 0, place: Place | None = None) -> bytes:
    found = LogLines(file.name, file.stream, lines, skipped, "" if place is None else str(place))
    return render_event(msgspec.json.encode(found).decode(), "log")
