"""The client of job servers for asyncio: the twin of ``client``."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from genii.errors import ConnectionLost, PeerError, TimedOut
from genii.gearman.client import BaseClient, JobHandle, due_time
from genii.gearman.exchange import Exchange, JobStatus, Question, Task
from genii.gearman.protocol import Kind, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from genii.gearman.client import Priority, Report
    from genii.system.listen import Address

__all__ = ["AsyncClient"]


class _Connection(asyncio.Protocol):
    """One connection of the asyncio client: an ``asyncio.Protocol`` over an exchange."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.exchange = Exchange()
        self.lost = False
        self.transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Feed what came."""
        try:
            self.exchange.feed(data)
        except PeerError as error:
            assert self.transport is not None
            self.transport.abort()
            self.connection_lost(error)

    def eof_received(self) -> None:
        """Take no more requests: the server is about to be gone."""
        self.lost = True

    def pause_writing(self) -> None:
        """Let ``send`` wait from now on."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let ``send`` go on."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def connection_lost(self, error: Exception | None) -> None:
        """End all that waits."""
        self.lost = True
        self.resume_writing()
        why = f": {error}" if error else ""
        self.exchange.lose(f"the connection to {self.address} is lost{why}")

    async def send(self, data: bytes) -> None:
        """Send, waiting while the other side takes nothing."""
        assert self.transport is not None
        self.transport.write(data)
        if self._writable is not None:
            await self._writable


class AsyncClient(BaseClient):
    """Submit jobs to Gearman job servers from asyncio: the twin of ``Client``, for any number of tasks at once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._connections: dict[Address, asyncio.Task[_Connection]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; foreground jobs that wait are dropped by the server."""
        connections, self._connections = self._connections, {}
        for connecting in connections.values():
            connecting.cancel()
        for result in await asyncio.gather(*connections.values(), return_exceptions=True):
            if isinstance(result, _Connection) and result.transport is not None:
                result.transport.abort()
        await asyncio.sleep(0)

    async def call(
        self,
        function: str,
        payload: Any = b"",
        *,
        unique: str = "",
        priority: Priority = "normal",
        timeout: float | None = None,
        retries: int = 0,
        on_report: Callable[[Report], None] | None = None,
    ) -> Any:
        """Run a job and return its result; see ``Client.call``."""
        packet = self._packet(function, payload, unique, priority, background=False)
        while True:
            task = Task(heard=self._heard(on_report))
            try:
                await self._ask(task, packet, unique.encode(), timeout, function)
                return self._result(task)
            except ConnectionLost:
                if retries <= 0:
                    raise
                retries -= 1

    async def submit(
        self,
        function: str,
        payload: Any = b"",
        *,
        unique: str = "",
        priority: Priority = "normal",
        at: float | None = None,
        after: float | None = None,
        timeout: float | None = None,
    ) -> JobHandle:
        """Leave a background job with a server and return its handle; see ``Client.submit``."""
        packet = self._packet(function, payload, unique, priority, background=True, at=due_time(at, after))
        task = Task(background=True)
        address = await self._ask(task, packet, unique.encode(), timeout, function)
        if task.error is not None:
            raise task.error
        return JobHandle(task.handle.decode(), address)

    async def map(
        self,
        function: str,
        payloads: Iterable[Any],
        *,
        priority: Priority = "normal",
        window: int = 100,
        timeout: float | None = None,
    ) -> AsyncIterator[Any]:
        """Run a job for each payload and yield the results in order; see ``Client.map``."""
        waiting: deque[asyncio.Task[Any]] = deque()
        iterator = iter(payloads)
        try:
            while True:
                while len(waiting) < window:
                    try:
                        payload = next(iterator)
                    except StopIteration:
                        break
                    call = self.call(function, payload, priority=priority, timeout=timeout)
                    waiting.append(asyncio.ensure_future(call))
                if not waiting:
                    return
                yield await waiting[0]
                waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def map_reduce(self, function: str, payloads: Iterable[Any], reducer: str, **options: Any) -> Any:
        """Run ``function`` for each payload, then ``reducer`` once with the list of the results."""
        results = [result async for result in self.map(function, payloads, **options)]
        return await self.call(reducer, results)

    async def status(self, handle: str, *, timeout: float | None = None) -> JobStatus:
        """Ask for the status of a job: at its own server, or at each one until one knows it."""
        return await self._status(Kind.GET_STATUS, handle, getattr(handle, "server", None), timeout)

    async def status_unique(self, unique: str, *, timeout: float | None = None) -> JobStatus:
        """Ask for the status of a job by its unique id."""
        return await self._status(Kind.GET_STATUS_UNIQUE, unique, None, timeout)

    async def echo(self, data: bytes = b"?", *, timeout: float | None = None) -> bytes:
        """Have a server send bytes back."""
        question = Question()
        await self._ask(question, request(Kind.ECHO_REQ, data), b"", timeout, "echo")
        if question.error is not None:
            raise question.error
        return question.answer[0]

    # -- inside ---------------------------------------------------------------------------------------------------

    async def _ask(
        self,
        question: Question,
        packet: bytes,
        unique: bytes,
        timeout: float | None,
        what: str,
        servers: list[Address] | None = None,
    ) -> Address:
        """Send a request and wait until it is answered; return who did."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        question.ended = lambda _: None if done.done() else done.set_result(None)
        connection = None
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                connection = await self._connection(servers or self._pool.order(time.monotonic(), unique))
                connection.exchange.ask(question)
                await connection.send(packet)
                await done
        except TimeoutError:
            raise TimedOut(f"{what}: no answer in time") from None
        finally:
            if connection is not None and isinstance(question, Task) and question.handle and not question.done:
                connection.exchange.forget(question)
            question.ended = None
        if isinstance(question.error, ConnectionLost):
            self._note_failure(connection.address)
            raise question.error
        return connection.address

    async def _connection(self, servers: list[Address]) -> _Connection:
        tried: list[tuple[Address, OSError]] = []
        for address in servers:
            connecting = self._connections.get(address)
            if connecting is None or (connecting.done() and _is_dead(connecting)):
                connecting = self._connections[address] = asyncio.ensure_future(self._open(address))
            try:
                return await asyncio.shield(connecting)
            except OSError as error:
                tried.append((address, error))
                self._note_failure(address)
        raise self._failed(tried)

    async def _open(self, address: Address) -> _Connection:
        loop = asyncio.get_running_loop()
        connection = _Connection(address)
        async with asyncio.timeout(self.connect_timeout):
            if address.path:
                await loop.create_unix_connection(lambda: connection, address.path, ssl=self.tls)
            else:
                await loop.create_connection(lambda: connection, address.host, address.port, ssl=self.tls)
        self._pool.succeeded(address)
        if self.exceptions:
            connection.exchange.ask(Question())
            await connection.send(request(Kind.OPTION_REQ, b"exceptions"))
        return connection

    async def _status(self, kind: Kind, key: str, server: Address | None, timeout: float | None) -> JobStatus:
        status = None
        for address in [server] if server is not None else self._pool.servers:
            question = Question()
            await self._ask(question, request(kind, key.encode()), b"", timeout, key, [address])
            if question.error is not None:
                raise question.error
            status = JobStatus(question.answer)
            if status.known:
                break
        assert status is not None
        return status


def _is_dead(connecting: asyncio.Task[_Connection]) -> bool:
    return connecting.cancelled() or connecting.exception() is not None or connecting.result().lost
