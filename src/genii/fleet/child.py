"""A process of this machine that carries a command: its end, whoever else has its pipes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio.subprocess import Process

__all__ = ["reap"]


async def reap(process: Process) -> None:
    """Close our ends of a killed process's pipes and wait for it.

    asyncio waits for the end of the pipes as well, and somebody else may hold them: a daemon that the command left, or
    the control master of ssh. Nor is the whole transport closed: that would reap the process behind the back of
    asyncio's own watcher.
    """
    for number in range(3):
        pipe = process._transport.get_pipe_transport(number)  # type: ignore[attr-defined]
        if pipe is not None:
            pipe.close()
    await process.wait()
