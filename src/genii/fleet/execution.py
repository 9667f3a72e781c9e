"""Run one command over a connection: output collected and bounded, sudo answered, nothing left behind."""

from __future__ import annotations

import asyncio
import codecs
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genii.errors import NotAllowed, TimedOut
from genii.fleet.command import SudoDialogue

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable

    from genii.fleet.command import Command
    from genii.fleet.transport import Connection, RemoteProcess

__all__ = ["LARGEST_OUTPUT", "Output", "SudoRefused", "execute"]

LARGEST_OUTPUT = 16 << 20
"""Bytes of each stream that are kept; what a host prints beyond is read and dropped."""
_CHUNK = 1 << 16


class SudoRefused(NotAllowed):
    """A host's sudo did not let us in; the text tells what it said. The command was not run."""

    code = "sudo-refused"


@dataclass(slots=True)
class Output:
    """What a command printed, and its exit status."""

    status: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False


class _Kept:
    """The first part of a stream, up to a limit; also handed on by line to who wants to read along."""

    def __init__(self, limit: int, on_line: Callable[[str], None] | None) -> None:
        self._limit = limit
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        self.data = bytearray()
        self.truncated = False

    def add(self, data: bytes) -> None:
        room = self._limit - len(self.data)
        self.data += data[:room]
        self.truncated |= len(data) > room
        if self._on_line is not None:
            *lines, rest = (self._line + self._decoder.decode(data)).split("\n")
            self._line = rest[-_CHUNK:]
            for line in lines:
                self._on_line(line)

    def end(self) -> None:
        if self._on_line is not None and self._line:
            self._on_line(self._line)
            self._line = ""


async def execute(
    connection: Connection,
    command: Command,
    *,
    input: bytes | AsyncIterable[bytes] = b"",  # noqa: A002 -- what subprocess calls it
    password: str = "",
    root: bool = False,
    timeout: float | None = None,
    limit: int = LARGEST_OUTPUT,
    on_line: Callable[[str], None] | None = None,
) -> Output:
    """Run a command to its end and return what it printed; ``root``: we are root on the host, and need no sudo.

    Raises:
        SudoRefused: sudo did not let us in.
        TimedOut: it took longer than ``timeout`` seconds; it was killed.
        ConnectionFailed: the connection broke.
    """
    token = secrets.token_hex(8)
    dialogue = SudoDialogue(token) if command.user and not root else None
    running = _Running(connection.host.name, dialogue, password, limit, on_line)
    try:
        async with asyncio.timeout(timeout):
            process = await connection.start(command.line(token, password=bool(password), root=root))
            try:
                return await running.follow(process, input)
            except BaseException:
                await asyncio.shield(process.kill())
                raise
    except TimeoutError:
        raise TimedOut(f"{connection.host.name}: the command took longer than {timeout:g} s and was killed") from None


class _Running:
    """One command while it runs."""

    def __init__(
        self,
        host: str,
        dialogue: SudoDialogue | None,
        password: str,
        limit: int,
        on_line: Callable[[str], None] | None,
    ) -> None:
        self._host = host
        self._dialogue = dialogue
        self._password = password
        self._stdout = _Kept(limit, on_line)
        self._stderr = _Kept(limit, on_line)
        self._begun = asyncio.Event()

    async def follow(self, process: RemoteProcess, given: bytes | AsyncIterable[bytes]) -> Output:
        """Read and write until it has ended."""
        if self._dialogue is None:
            self._begun.set()
        feeding = asyncio.ensure_future(self._feed(process, given))
        try:
            await _all(self._read(process), self._read_error(process))
            status = await process.wait()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        if not feeding.cancelled() and (error := feeding.exception()) is not None:
            raise error
        if self._dialogue is not None and not self._dialogue.begun:
            raise SudoRefused(self._refusal(status))
        truncated = self._stdout.truncated or self._stderr.truncated
        return Output(status, bytes(self._stdout.data), bytes(self._stderr.data), truncated)

    async def _read(self, process: RemoteProcess) -> None:
        while data := await process.read(_CHUNK):
            self._stdout.add(data)
        self._stdout.end()

    async def _read_error(self, process: RemoteProcess) -> None:
        while data := await process.read_error(_CHUNK):
            if not self._begun.is_set():
                data = await self._talk(process, data)
            self._stderr.add(data)
        self._stderr.end()

    async def _talk(self, process: RemoteProcess, data: bytes) -> bytes:
        """Answer sudo; return what is not its own."""
        assert self._dialogue is not None
        asked = self._dialogue.asked
        data = self._dialogue.feed(data)
        if self._dialogue.begun:
            self._begun.set()
        elif self._dialogue.asked > max(asked, 1):  # it did not take the password: a second try would only lock us out
            await process.write_end()
        elif self._dialogue.asked > asked:
            await process.write(self._password.encode() + b"\n")
        return data

    def _refusal(self, status: int) -> str:
        assert self._dialogue is not None
        said = self._dialogue.words
        if self._dialogue.asked > 1:
            return f"{self._host}: sudo did not accept the password"
        if "password is required" in said and not self._password:
            said += "; give it with --sudo-password-file or --ask-sudo-password"
        return f"{self._host}: sudo refused: {said or f'it ended with status {status}'}"

    async def _feed(self, process: RemoteProcess, given: bytes | AsyncIterable[bytes]) -> None:
        await self._begun.wait()
        try:
            if isinstance(given, bytes):
                for start in range(0, len(given), _CHUNK):
                    await process.write(given[start : start + _CHUNK])
            else:
                async for chunk in given:
                    await process.write(chunk)
            await process.write_end()
        except (BrokenPipeError, ConnectionResetError):
            return  # it did not want to read it all; its exit status tells whether that is right


async def _all(*parts: Awaitable[None]) -> None:
    """Wait for all; an error of one ends the others."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
