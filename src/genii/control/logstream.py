"""Logs of several processes as one stream of JSON: lines for what is there, server-sent events for what comes."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from genii.control.follow import Follower
from genii.control.logs import tail
from genii.control.query import LogLines
from genii.errors import NotAllowed
from genii.events.sse import HEARTBEAT, render_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from genii.control.target import Target

__all__ = ["LogFile", "follow_logs", "log_files", "recent_logs"]

_QUEUED = 64
"""Batches of lines that wait for a slow client before its files are read no further."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """Where one output of a process is kept."""

    name: str
    stream: str
    path: str


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


async def recent_logs(files: Sequence[LogFile], count: int, since: float) -> AsyncIterator[bytes]:
    """Yield the last lines of each file as JSON lines of ``LogLines``."""
    for file in files:
        async for lines in tail(file.path, count, since):
            yield msgspec.json.encode(LogLines(file.name, file.stream, lines)) + b"\n"


async def follow_logs(files: Sequence[LogFile], count: int, since: float, idle: float) -> AsyncIterator[bytes]:
    """Yield the last lines of each file and then those that are added, as events of ``LogLines``."""
    queue: asyncio.Queue[bytes] = asyncio.Queue(_QUEUED)
    loop = asyncio.get_running_loop()
    # Not a TaskGroup: it must not be left by the GeneratorExit of a client that went away.
    tasks = [loop.create_task(_follow_one(file, count, since, queue)) for file in files]
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


async def _follow_one(file: LogFile, count: int, since: float, queue: asyncio.Queue[bytes]) -> None:
    try:
        follower = Follower(file.path)
    except OSError as error:
        await queue.put(_event(file, [f"genii can't follow this log: {error}"]))
        return
    with follower:
        if follower.place is not None:
            async for lines in tail(file.path, count, since, follower.place):
                await queue.put(_event(file, lines))
        async for lines in follower.lines():
            await queue.put(_event(file, lines))


def _event(file: LogFile, lines: list[str]) -> bytes:
    return render_event(msgspec.json.encode(LogLines(file.name, file.stream, lines)).decode(), "log")
