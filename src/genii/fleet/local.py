"""This machine itself as a host: the same commands through ``/bin/sh -c``, without a network."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE
from contextlib import suppress
from typing import TYPE_CHECKING

from genii.fleet.child import reap
from genii.fleet.transport import ConnectionFailed, Host

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from genii.fleet.transport import Connection, RemoteProcess

__all__ = ["LocalConnection", "LocalTransport"]

_LIMIT = 1 << 18
_END_OF_INPUT = b"\x04"


class LocalTransport:
    """Reach this machine, under whatever name."""

    async def connect(self, host: Host) -> Connection:
        """Return a connection; nothing can go wrong."""
        return LocalConnection(host)

    async def close(self) -> None:
        """Give nothing back: there is nothing shared."""


class LocalConnection:
    """Run commands here; those that still run are killed when it is closed."""

    interactive = True

    def __init__(self, host: Host) -> None:
        self._host = host
        self._running: set[_LocalProcess] = set()

    @property
    def host(self) -> Host:
        """The name under which this machine is known."""
        return self._host

    async def start(self, command: str, *, terminal: bool = False, no_input: bool = False) -> RemoteProcess:
        """Start a command in a session of its own.

        Raises:
            ConnectionFailed: the system can't start it.
        """
        try:
            process = await (_start_on_terminal(command) if terminal else _start(command))
        except OSError as error:
            raise ConnectionFailed(f"{self._host.name}: can't start a shell: {error.strerror}") from error
        self._running = {one for one in self._running if not one.ended} | {process}
        if no_input:
            await process.write_end()
        return process

    async def connect_unix(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a unix socket of this machine.

        Raises:
            ConnectionFailed: nobody listens there, or it is not for us.
        """
        try:
            return await asyncio.open_unix_connection(path)
        except OSError as error:
            raise ConnectionFailed(f"{self._host.name}: {path}: {error.strerror or error}") from error

    async def close(self) -> None:
        """Kill what still runs."""
        for process in self._running:
            await process.kill()


async def _start(command: str) -> _LocalProcess:
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True, limit=_LIMIT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    return _LocalProcess(process, process.stdout, process.stderr, process.stdin)


async def _start_on_terminal(command: str) -> _LocalProcess:
    master, slave = os.openpty()
    try:
        # setsid(1) makes the terminal the controlling one; Python can't without code between fork and exec.
        process = await asyncio.create_subprocess_exec(
            "setsid", "-c", "/bin/sh", "-c", command, stdin=slave, stdout=slave, stderr=slave
        )
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LIMIT)
    output, entry = os.fdopen(master, "rb", 0), os.fdopen(os.dup(master), "wb", 0)
    reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), output)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), entry
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    return _LocalProcess(process, reader, None, writer, reading)


class _LocalProcess:
    """A process of this machine; with a terminal, its standard error comes with its output."""

    def __init__(
        self,
        process: Process,
        output: asyncio.StreamReader,
        errors: asyncio.StreamReader | None,
        writer: asyncio.StreamWriter,
        reading: asyncio.ReadTransport | None = None,
    ) -> None:
        self._process = process
        self._output = output
        self._errors = errors
        self._writer = writer
        self._reading = reading
        """Of a terminal, which nobody else closes while its output has not been read to the end."""

    @property
    def ended(self) -> bool:
        """Whether it is known to have ended."""
        return self._process.returncode is not None

    async def read(self, limit: int = 65536) -> bytes:
        """Return some of its output; empty: it has ended."""
        try:
            return await self._output.read(limit)
        except OSError:  # EIO of a terminal that nobody has open any more: tty(4)
            return b""

    async def read_error(self, limit: int = 65536) -> bytes:
        """Return some of its standard error."""
        return b"" if self._errors is None else await self._errors.read(limit)

    async def write(self, data: bytes) -> None:
        """Send to its standard input.

        Raises:
            BrokenPipeError: nobody reads it any more.
        """
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError as error:
            raise BrokenPipeError("nobody reads the input") from error

    async def write_end(self) -> None:
        """End its standard input."""
        if self._errors is None:
            with suppress(BrokenPipeError):
                await self.write(_END_OF_INPUT)
            return
        self._writer.close()

    async def wait(self) -> int:
        """Wait for its end; 128 + N after signal N."""
        status = await self._process.wait()
        if self._errors is None:
            self._writer.close()
        return status if status >= 0 else 128 - status

    async def kill(self) -> None:
        """Kill it with all of its session's processes that stayed in its group."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await reap(self._process)
        self._writer.close()
        if self._reading is not None:
            self._reading.close()
