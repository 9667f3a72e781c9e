"""One command on one host: input sent, output handed on as it comes, killed when it takes too long."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from genii.errors import GeniiError, TimedOut, UsageError
from genii.fleet.sudo import SudoTalk
from genii.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from genii.fleet.command import Command
    from genii.fleet.transport import Connection, RemoteProcess

__all__ = ["execute"]

_PIECE = 1 << 16
_KILLING = 15.0


async def execute(
    connection: Connection,
    command: Command,
    *,
    on_output: Callable[[bytes], object],
    on_error: Callable[[bytes], object],
    password: str | None = None,
    timeout: float | None = None,
    source: Iterable[bytes] | None = None,
    wrapped: bool = False,
) -> int:
    """Run a command to its end and return its exit status; its output goes to the two functions as it comes.

    ``source`` is its input instead of the command's own; ``wrapped`` has it run by sh whatever the user's shell is.

    Raises:
        ConnectionFailed: the connection broke.
        TimedOut: it took longer than ``timeout`` seconds; it was killed.
        CommandFailed: sudo wants another password.
        UsageError: there is a password, and no way to hand it to sudo.
    """
    pieces = _cut(command.data) if source is None else source
    talk = _talk(connection, password) if command.sudo else None
    limit = asyncio.timeout(timeout)
    process: RemoteProcess | None = None
    try:
        async with limit:
            line = command.line(talk.prompt, talk.passed) if talk else command.line(wrapped=wrapped)
            no_input = talk is None and source is None and not command.data
            process = await _start(connection, line, no_input=no_input)
            output = _pump(process.read, on_output)
            if talk is not None:
                await _together(output, _pump_sudo(process, talk, pieces, on_error))
            elif no_input:
                await _together(output, _pump(process.read_error, on_error))
            else:
                await _together(output, _pump(process.read_error, on_error), _feed(process, pieces))
            return await process.wait()
    except BaseException as error:
        killed = process is None or await _kill(process)
        if isinstance(error, TimeoutError) and limit.expired():
            took = format_duration(timeout or 0.0)
            how = f"killed after {took}" if killed else f"not ended after {took}, and the host does not answer any more"
            raise TimedOut(f"{connection.host.name}: {how}") from None
        raise


def _talk(connection: Connection, password: str | None) -> SudoTalk | None:
    """Return the conversation with sudo, if there can be one."""
    if connection.interactive:
        return SudoTalk(f"genii-{secrets.token_hex(8)}", password)
    if password is not None:
        raise UsageError(f"{connection.host.name}: sudo can't be given a password this way; leave it out")
    return None


async def _pump(read: Callable[[int], Awaitable[bytes]], hand_on: Callable[[bytes], object]) -> None:
    while data := await read(_PIECE):
        hand_on(data)


async def _start(connection: Connection, line: str, *, no_input: bool) -> RemoteProcess:
    """Start a command; one that begins although we have been cancelled meanwhile is killed."""
    starting = asyncio.ensure_future(connection.start(line, no_input=no_input))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(TimeoutError, GeniiError):
            async with asyncio.timeout(_KILLING):
                await (await starting).kill()
        raise


async def _together(*work: Coroutine[object, object, None]) -> None:
    """Do all at once; when one fails, the others are ended before this raises."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise


def _cut(data: bytes) -> Iterable[bytes]:
    return (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))


async def _feed(process: RemoteProcess, pieces: Iterable[bytes]) -> None:
    with suppress(BrokenPipeError):  # it may end without reading all, and that is its own affair
        for piece in pieces:
            await process.write(piece)
    await process.write_end()


async def _pump_sudo(
    process: RemoteProcess, talk: SudoTalk, pieces: Iterable[bytes], hand_on: Callable[[bytes], object]
) -> None:
    feeding: asyncio.Task[None] | None = None
    try:
        while piece := await process.read_error(_PIECE):
            shown, answer = talk.feed(piece)
            if answer:
                with suppress(BrokenPipeError):
                    await process.write(answer)
            if shown:
                hand_on(shown)
            if talk.through and feeding is None:
                feeding = asyncio.create_task(_feed(process, pieces))
        if rest := talk.rest():
            hand_on(rest)
        if feeding is not None:
            await feeding
    finally:
        if feeding is not None:
            feeding.cancel()


async def _kill(process: RemoteProcess) -> bool:
    """Kill it although we are being cancelled ourselves; say no where the host does not answer: it is left alone."""
    try:
        async with asyncio.timeout(_KILLING):
            await process.kill()
    except Exception:
        return False
    return True
