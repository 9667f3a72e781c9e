"""Give processes something to read, where their program is declared to read what it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.errors import NotAllowed, NotRunning

if TYPE_CHECKING:
    from genii.supervise.model import Program
    from genii.supervise.report import ProcessStatus

__all__ = ["write_input"]


def write_input(process: ProcessStatus, program: Program, text: str) -> None:
    """Write a text into the pipe that a process reads, as UTF-8, as far as there is room.

    Raises:
        NotAllowed: it reads nothing, or does not read what it was sent before.
        NotRunning: there is no process.
    """
    import asyncio

    from genii.supervisord.stdin import Stdin

    if program.stdin != "pipe":
        raise NotAllowed(f'{process.name} reads nothing; with stdin = "pipe" in [program.{program.name}] it would')
    if not process.pid:
        raise NotRunning(f"{process.name} does not run")
    try:
        pipe = Stdin(asyncio.get_running_loop(), process.pid)
    except OSError as error:
        raise NotAllowed(f"{process.name} can't be written to: {error}") from error
    try:
        pipe.write_now(text.encode("utf-8", "replace"))
    except OSError as error:
        raise NotAllowed(f"{process.name} does not take all of it: {error}") from error
    finally:
        pipe.close()
