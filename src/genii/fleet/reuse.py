"""Many commands over one channel: a connection that keeps a runner on its host, and a channel for what that can't do.

The runner carries one command at a time, without input and without a terminal; all else, and what comes meanwhile, has
a channel of its own, as every command has on a host where there is no runner: it has no Perl, its login shell is no
shell, or says something of its own, or every command there is replaced by another (ForceCommand).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from genii.fleet.command import encode
from genii.fleet.patience import CLOSING, KILLING, STARTING
from genii.fleet.runner import KILL, LONGEST_COMMAND, READY, Frames, is_for_sh, request, start_line
from genii.fleet.transport import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from genii.fleet.transport import Connection, Host, RemoteProcess, Transport

__all__ = ["ReusingConnection", "ReusingTransport"]

_PIECE = 1 << 16
_KILLED = 128 + 9


class ReusingTransport:
    """Reach hosts by another transport, and keep a runner on each."""

    def __init__(self, transport: Transport, first: int = 1) -> None:
        """``first``: the number of the command on a host with which the runner is started."""
        self._transport = transport
        self._first = first

    async def connect(self, host: Host) -> Connection:
        """Connect to a host; the runner is started when there is a command for it.

        Raises:
            ConnectionFailed: it can't be reached or does not let us in.
        """
        return ReusingConnection(await self._transport.connect(host), self._first)

    async def close(self) -> None:
        """Give back what all connections share."""
        await self._transport.close()


class ReusingConnection:
    """An open connection to a host, and perhaps a runner there."""

    def __init__(self, connection: Connection, first: int) -> None:
        self._connection = connection
        self._first = first
        self._count = 0
        self._possible = True
        self._runner: _Runner | None = None
        self._current: _Run | None = None
        self._opening = False

    @property
    def host(self) -> Host:
        """The host at the other end."""
        return self._connection.host

    @property
    def interactive(self) -> bool:
        """Whether the output of a command comes, and can be answered, before its input has ended."""
        return self._connection.interactive

    async def start(self, command: str, *, terminal: bool = False, no_input: bool = False) -> RemoteProcess:
        """Start a command, by the runner if it can, else in a channel of its own.

        Raises:
            ConnectionFailed: the connection is broken, or the host refuses.
        """
        if no_input and not terminal and len(encode(command)) <= LONGEST_COMMAND:
            self._count += 1
            found = await self._run(command) if self._count >= self._first else None
            if found is not None:
                return found
        try:
            return await self._connection.start(command, terminal=terminal, no_input=no_input)
        except ConnectionFailed:
            # The runner may have taken the last channel that the host allows (MaxSessions 1).
            if not await self._give_up():
                raise
        return await self._connection.start(command, terminal=terminal, no_input=no_input)

    async def _run(self, command: str) -> RemoteProcess | None:
        """Hand a command to the runner; None: it is busy, or there can't be one."""
        if not self._possible or self._opening or (self._current is not None and not self._current.over):
            return None
        runner = self._runner
        if runner is None or runner.broken or (is_for_sh(command) is None and not runner.login):
            if runner is not None and not runner.broken:
                return None
            runner = await self._open(login=is_for_sh(command) is None)
            if runner is None:
                return None
        self._current = run = _Run(self.host, runner)
        await runner.say(request(command))  # where it has gone meanwhile, who reads will notice
        return run

    async def _open(self, *, login: bool) -> _Runner | None:
        self._opening = True
        try:
            runner = await _Runner.open(self._connection, login=login)
        finally:
            self._opening = False
        self._runner, self._possible = runner, runner is not None
        return runner

    async def _give_up(self) -> bool:
        """End an idle runner, for good; say whether there was one."""
        runner, current = self._runner, self._current
        if runner is None or runner.broken or (current is not None and not current.over):
            return False
        self._runner, self._possible = None, False
        await runner.end()
        return True

    async def connect_unix(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a unix socket on the host.

        Raises:
            ConnectionFailed: nobody listens there, or the host does not forward.
        """
        return await self._connection.connect_unix(path)

    async def close(self) -> None:
        """Close it; a command that still runs is ended."""
        if self._current is not None and not self._current.over:
            with suppress(ConnectionFailed):
                await self._current.kill()
        await self._give_up()
        await self._connection.close()


class _Runner:
    """The program on the host, between commands."""

    def __init__(self, process: RemoteProcess, *, login: bool) -> None:
        self.process = process
        self.login = login
        """Whether it can run what the login shell has to read."""
        self.broken = False

    @classmethod
    async def open(cls, connection: Connection, *, login: bool) -> _Runner | None:
        """Start it; None: this host has none."""
        process: RemoteProcess | None = None
        ready = False
        try:
            async with asyncio.timeout(STARTING):
                process = await connection.start(start_line(login=login))
                greetings = await asyncio.gather(_greeting(process.read), _greeting(process.read_error))
                ready = all(greetings)
        except (TimeoutError, ConnectionFailed):
            ready = False
        finally:
            if process is not None and not ready:
                with suppress(ConnectionFailed):
                    await process.kill()
        return cls(process, login=login) if process is not None and ready else None

    async def say(self, data: bytes) -> None:
        """Send it something; that it has gone is noticed by who reads."""
        with suppress(BrokenPipeError):
            await self.process.write(data)

    async def end(self) -> None:
        """End it while it is idle: it ends with its input."""
        self.broken = True
        with suppress(TimeoutError, ConnectionFailed):
            async with asyncio.timeout(CLOSING):
                await self.process.write_end()
                await self.process.wait()


async def _greeting(read: Callable[[int], Awaitable[bytes]]) -> bool:
    """Say whether a stream begins as the runner's do; a login shell that prints something would do it each time."""
    said = b""
    while READY.startswith(said) and said != READY:
        piece = await read(_PIECE)
        if not piece:
            return False
        said += piece
    return said == READY


class _Stream:
    """One stream of one command."""

    def __init__(self, read: Callable[[int], Awaitable[bytes]]) -> None:
        self._read = read
        self._frames = Frames()
        self._rest = b""
        self._reading = asyncio.Lock()
        self.broken = False

    @property
    def status(self) -> int | None:
        """The exit status of the command, once this stream has ended."""
        return self._frames.status

    async def read(self, limit: int) -> bytes:
        async with self._reading:
            while not self._rest and self.status is None and not self.broken:
                data = await self._read(_PIECE)
                try:
                    self._rest = self._frames.feed(data)
                    self.broken = not data
                except ValueError:
                    self.broken = True
            piece, self._rest = self._rest[:limit], self._rest[limit:]
            return piece

    async def drain(self) -> None:
        while await self.read(_PIECE):
            pass


class _Run:
    """A command that the runner carries."""

    def __init__(self, host: Host, runner: _Runner) -> None:
        self._host = host
        self._runner = runner
        self._output = _Stream(runner.process.read)
        self._errors = _Stream(runner.process.read_error)
        self._killed = False

    @property
    def over(self) -> bool:
        """Whether the runner is done with it."""
        return self._runner.broken or (self._output.status is not None and self._errors.status is not None)

    async def read(self, limit: int = 65536) -> bytes:
        """Return some of its output; empty: it has ended, or the connection broke (``wait`` tells)."""
        return await self._output.read(limit)

    async def read_error(self, limit: int = 65536) -> bytes:
        """Return some of its standard error."""
        return await self._errors.read(limit)

    async def write(self, data: bytes) -> None:
        """Send nothing: its standard input is at its end.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError(f"{self._host.name}: nobody reads {len(data)} bytes of input")

    async def write_end(self) -> None:
        """Do nothing: its standard input is at its end."""

    async def wait(self) -> int:
        """Wait for its end and return its exit status; what has not been read of its output is dropped.

        Raises:
            ConnectionFailed: the connection broke, or the runner was killed, before.
        """
        await asyncio.gather(self._output.drain(), self._errors.drain())
        status = self._output.status
        if status is None or self._errors.status is None:
            self._runner.broken = True
            if self._killed:
                return _KILLED
            raise ConnectionFailed(f"{self._host.name}: the connection broke before the command had ended")
        return status

    async def kill(self) -> None:
        """Kill its process group; the runner ends with it, and the next command starts another.

        Raises:
            ConnectionFailed: the host does not answer.
        """
        if self.over:
            return
        self._killed = True
        try:
            async with asyncio.timeout(KILLING):
                await self._runner.say(KILL)
                await asyncio.gather(self._output.drain(), self._errors.drain())
        except TimeoutError:
            raise ConnectionFailed(f"{self._host.name}: the command can't be killed: no answer") from None
        finally:
            self._runner.broken = True
            await self._runner.process.write_end()
        if self._output.status is None:
            raise ConnectionFailed(f"{self._host.name}: the command can't be killed: the connection is broken")
