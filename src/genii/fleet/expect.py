"""Run a program on a terminal and answer what it asks: the shell around ``Dialogue``."""

from __future__ import annotations

import asyncio
import codecs
from contextlib import suppress
from typing import TYPE_CHECKING

from genii.errors import TimedOut
from genii.fleet.dialogue import Dialogue, ExpectFailed
from genii.fleet.task_result import TaskResult
from genii.fleet.transport import ConnectionFailed
from genii.units import parse_duration

if TYPE_CHECKING:
    from genii.fleet.dialogue import Answers
    from genii.fleet.transport import Connection, RemoteProcess

__all__ = ["converse", "expect"]

_LOGIN_SHELL = 'exec "${SHELL:-/bin/sh}"'


def expect(command: str, answers: Answers, *, timeout: float | str = 30) -> TaskResult:
    """Run a command of this machine on a terminal and answer what it asks; no loop may run in this thread.

    ``answers`` maps regular expressions to what is typed when they come; a list of pairs is waited for pair by pair.
    What is a ``Secret`` is typed once and hidden. ``timeout`` is the longest wait for the next question or the end.

    Raises:
        ExpectFailed: something else happened; the text tells what was waited for and what came.
        TimedOut: nothing that is waited for came in time; the program was killed.
    """
    from genii.fleet.local import LocalTransport
    from genii.fleet.transport import Host

    async def run() -> tuple[int, str]:
        connection = await LocalTransport().connect(Host("localhost"))
        try:
            return await converse(connection, command, answers, parse_duration(timeout))
        finally:
            await connection.close()

    status, transcript = asyncio.run(run())
    return TaskResult("localhost", command, status, transcript)


async def converse(connection: Connection, command: str, answers: Answers, timeout: float) -> tuple[int, str]:
    """Run a command on a terminal of a host, answer it, and return its exit status and the masked transcript.

    An empty command is the login shell, which is left after the last answer of a list. ``timeout`` is the longest wait,
    in seconds, for the next question or the end.

    Raises:
        ExpectFailed: what was waited for did not come, or an answer was not accepted.
        TimedOut: nothing that is waited for came in time; the program was killed.
    """
    dialogue = Dialogue(answers)
    process = await connection.start(command or _LOGIN_SHELL, terminal=True)
    try:
        return await _follow(process, dialogue, timeout, leave=not command), dialogue.transcript
    except TimeoutError:
        said = dialogue.tail
        raise TimedOut(
            f"{connection.host.name}: waited {timeout:g} s for {dialogue.waiting_for}; "
            + (f"it said last: {said!r}" if said else "it said nothing")
        ) from None
    except ExpectFailed as error:
        raise ExpectFailed(f"{connection.host.name}: {error}") from None
    finally:
        with suppress(ConnectionFailed):  # what went wrong with the host is told already
            await asyncio.shield(process.kill())


async def _follow(process: RemoteProcess, dialogue: Dialogue, timeout: float, *, leave: bool) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    async with asyncio.timeout(timeout) as limit:
        while data := await process.read():
            before = dialogue.matched
            for line in dialogue.feed(decoder.decode(data)):
                await process.write(line.encode())
            if leave and dialogue.done:
                return 0
            if dialogue.matched > before:
                limit.reschedule(asyncio.get_running_loop().time() + timeout)
        status = await process.wait()
    dialogue.check_end()
    return status
