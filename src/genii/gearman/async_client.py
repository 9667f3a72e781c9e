"""The client of job servers for asyncio: carries out the steps of ``calls`` as its twin in ``client`` does."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from genii.errors import ConnectionLost, PeerError, TimedOut
from genii.gearman.calls import due_time
from genii.gearman.client import BaseClient
from genii.gearman.exchange import Exchange, JobStatus, Question, Task
from genii.gearman.protocol import Kind, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable

    from genii.gearman.calls import Ask, JobHandle, Priority, Report, Steps, Value
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
        return await self._run(self._calls.call(function, payload, unique, priority, timeout, retries, on_report))

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
        due = due_time(at, after, time.time())
        return await self._run(self._calls.submit(function, payload, unique, priority, due, timeout))

    async def submit_many(
        self, function: str, payloads: Iterable[Any], *, priority: Priority = "normal", window: int = 1000
    ) -> list[JobHandle]:
        """Leave many background jobs with a server; see ``Client.submit_many``."""
        under_way = (self.submit(function, payload, priority=priority) for payload in payloads)
        return [handle async for handle in _in_order(under_way, window)]

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
        calls = (self.call(function, payload, priority=priority, timeout=timeout) for payload in payloads)
        async for result in _in_order(calls, window):
            yield result

    async def map_reduce(self, function: str, payloads: Iterable[Any], reducer: str, **options: Any) -> Any:
        """Run ``function`` for each payload, then ``reducer`` once with the list of the results."""
        results = [result async for result in self.map(function, payloads, **options)]
        return await self.call(reducer, results)

    async def status(self, handle: str, *, timeout: float | None = None) -> JobStatus:
        """Ask for the status of a job: at its own server, or at each one until one knows it."""
        return await self._run(self._calls.status(Kind.GET_STATUS, handle, self._knowing(handle), timeout))

    async def status_unique(self, unique: str, *, timeout: float | None = None) -> JobStatus:
        """Ask for the status of a job by its unique id."""
        return await self._run(self._calls.status(Kind.GET_STATUS_UNIQUE, unique, self._pool.servers, timeout))

    async def echo(self, data: bytes = b"?", *, timeout: float | None = None) -> bytes:
        """Have a server send bytes back."""
        return await self._run(self._calls.echo(data, timeout))

    # -- inside ---------------------------------------------------------------------------------------------------

    async def _run(self, steps: Steps[Value]) -> Value:
        """Carry out steps one after the other, and return what they lead to."""
        try:
            ask = next(steps)
            while True:
                try:
                    server = await self._ask(ask)
                except Exception as error:
                    ask = steps.throw(error)
                else:
                    ask = steps.send(server)
        except StopIteration as end:
            value: Value = end.value
            return value

    async def _ask(self, ask: Ask) -> Address:
        """Send a request and wait until it is answered; return who did."""
        question = ask.question
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        question.ended = lambda _: None if done.done() else done.set_result(None)
        connection = None
        try:
            async with asyncio.timeout(self.timeout if ask.timeout is None else ask.timeout):
                connection = await self._connection(ask)
                connection.exchange.ask(question)
                await connection.send(ask.packet)
                await done
        except TimeoutError:
            raise TimedOut(f"{ask.what}: no answer in time") from None
        finally:
            if connection is not None and isinstance(question, Task) and question.handle and not question.done:
                connection.exchange.forget(question)
            question.ended = None
        if isinstance(question.error, ConnectionLost):
            self._note_failure(connection.address)
            raise question.error
        return connection.address

    async def _connection(self, ask: Ask) -> _Connection:
        tried: list[tuple[Address, OSError]] = []
        for address in self._candidates(ask):
            connecting = self._connections.get(address)
            if connecting is None or (connecting.done() and _is_dead(connecting)):
                connecting = self._connections[address] = asyncio.ensure_future(self._open(address))
            try:
                connection = await asyncio.shield(connecting)
            except OSError as error:
                tried.append((address, error))
            else:
                if not connection.lost:  # it may have been, between its opening and this task's turn
                    return connection
                tried.append((address, ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))))
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


async def _in_order(coroutines: Iterable[Coroutine[Any, Any, Value]], window: int) -> AsyncIterator[Value]:
    """Run coroutines, at most ``window`` at once, and yield their results in order; the first failure ends it all."""
    waiting: deque[asyncio.Task[Value]] = deque()
    iterator = iter(coroutines)
    try:
        while True:
            while len(waiting) < window and (coroutine := next(iterator, None)) is not None:
                waiting.append(asyncio.ensure_future(coroutine))
            if not waiting:
                return
            yield await waiting[0]
            waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _is_dead(connecting: asyncio.Task[_Connection]) -> bool:
    return connecting.cancelled() or connecting.exception() is not None or connecting.result().lost
