"""The supervisors of hosts: the client of the command line, over a unix socket that is forwarded."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from genii.control.client import Client, ClientSocket
from genii.errors import NotRunning
from genii.fleet.transport import ConnectionFailed
from genii.system.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    from genii.fleet.transport import Connection

    R = TypeVar("R")

__all__ = ["RemoteClient", "ask"]

_PIECE = 1 << 16


class RemoteClient(Client):
    """Talk to the supervisor of a host; its methods are called in a thread, while the loop of ``connection`` runs."""

    def __init__(self, connection: Connection, path: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(Address(path=path))
        self.host = connection.host.name
        self._remote = connection
        self._path = path
        self._loop = loop

    def _connect(self) -> ClientSocket:
        return asyncio.run_coroutine_threadsafe(self._forward(), self._loop).result()

    async def _forward(self) -> ClientSocket:
        try:
            reader, writer = await self._remote.connect_unix(self._path)
        except ConnectionFailed as error:
            reason = str(error).removeprefix(f"{self.host}: ").removeprefix(f"{self._path}: ")
            message = f"no supervisor answers at {self._path} ({reason}); start it there with 'genii up -d'"
            raise NotRunning(message) from error
        ours, theirs = socket.socketpair()
        near_reader, near_writer = await asyncio.open_connection(sock=theirs)
        self._pumping = asyncio.ensure_future(_pump_both(reader, writer, near_reader, near_writer))
        return ClientSocket(fileno=ours.detach())


async def _pump_both(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    near_reader: asyncio.StreamReader,
    near_writer: asyncio.StreamWriter,
) -> None:
    await asyncio.gather(_pump(reader, near_writer), _pump(near_reader, writer), return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
    finally:
        with suppress(Exception):
            writer.close()


async def ask(connection: Connection, path: str, question: Callable[[Client], R], threads: ThreadPoolExecutor) -> R:
    """Put a question to the supervisor of a host.

    Raises:
        NotRunning: there is none.
        GeniiError: what it answers.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, question, RemoteClient(connection, path, loop))
