"""The blocking client of job servers: carries out the steps of ``calls`` over connections of its own."""

from __future__ import annotations

import os
import random
import select
import socket
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from genii.errors import ConnectionLost, NotRunning, PeerError, TimedOut
from genii.gearman.calls import Ask, Calls, due_time, handle
from genii.gearman.codecs import Codec, codec
from genii.gearman.exchange import Exchange, JobStatus, Question, Task
from genii.gearman.pool import Pool, read_servers
from genii.gearman.protocol import Kind, request

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from genii.gearman.calls import JobHandle, Priority, Report, Steps, Value
    from genii.system.listen import Address

__all__ = ["BaseClient", "Client", "connect"]

CHUNK = 1 << 18


def connect(address: Address, timeout: float, tls: ssl.SSLContext | None = None) -> socket.socket:
    """Connect to a job server; raises OSError."""
    if address.path:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(address.path)
        except OSError:
            connection.close()
            raise
    else:
        connection = socket.create_connection((address.host, address.port), timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if tls is not None:
        return tls.wrap_socket(connection, server_hostname=address.host or "localhost")
    return connection


class BaseClient:
    """What both clients are told, and which server they use next."""

    def __init__(
        self,
        servers: str | Iterable[str] = "127.0.0.1",
        *,
        codec: str | Codec = "bytes",
        timeout: float | None = None,
        connect_timeout: float = 5.0,
        exceptions: bool = True,
        shuffle: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        found = read_servers(servers)
        self.timeout = timeout
        self.connect_timeout = connect_timeout
        self.exceptions = exceptions
        self.tls = tls
        self._calls = Calls(_codec(codec))
        self._pool = Pool(found, random.randrange(len(found)) if shuffle else 0)  # noqa: S311 -- spreads load

    def _candidates(self, ask: Ask) -> Sequence[Address]:
        """Return the servers to try, the best first."""
        return ask.servers or self._pool.order(time.monotonic(), ask.unique)

    def _knowing(self, handle: str) -> Sequence[Address]:
        """Return the servers that may know a job: its own if that is known, else all."""
        server = getattr(handle, "server", None)
        return self._pool.servers if server is None else [server]

    def _note_failure(self, address: Address) -> None:
        self._pool.failed(address, time.monotonic(), random.random())  # noqa: S311 -- spreads retries

    def _failed(self, tried: list[tuple[Address, OSError]]) -> NotRunning:
        told = ", ".join(f"{address} ({error.strerror or error})" for address, error in tried)
        return NotRunning(f"no job server answers: {told}")


def _codec(choice: str | Codec) -> Codec:
    return codec(choice)


class _Connection:
    """One connection of the blocking client."""

    def __init__(self, address: Address, client: Client) -> None:
        self.address = address
        self.exchange = Exchange()
        self._socket = connect(address, client.connect_timeout, client.tls)
        self._socket.setblocking(False)
        self._pending = getattr(self._socket, "pending", lambda: 0)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._writing = False

    def send(self, data: bytes, deadline: float | None) -> None:
        """Send, reading meanwhile so that neither side blocks the other."""
        view = memoryview(data)
        while view:
            try:
                sent = self._socket.send(view)
            except _later():
                self._wait(select.POLLIN | select.POLLOUT, deadline)
                self.receive(None, only_ready=True)
                continue
            except OSError as error:
                self.lose(error)
                raise ConnectionLost(f"the connection to {self.address} is lost: {error.strerror}") from error
            view = view[sent:]

    def receive(self, deadline: float | None, *, only_ready: bool = False) -> None:
        """Wait for bytes and feed them; raises TimedOut and ConnectionLost."""
        while True:
            try:
                data = self._socket.recv(CHUNK)
            except _later():
                if only_ready:
                    return
                self._wait(select.POLLIN, deadline)
                continue
            except OSError as error:
                self.lose(error)
                raise ConnectionLost(f"the connection to {self.address} is lost: {error.strerror}") from error
            break
        if not data:
            self.lose(None)
            raise ConnectionLost(f"{self.address} closed the connection")
        try:
            self.exchange.feed(data)
        except PeerError:
            self.lose(None)
            raise

    def _wait(self, events: int, deadline: float | None) -> None:
        self._poll.modify(self._socket, events)
        patience = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not self._poll.poll(patience):
            raise TimedOut(f"{self.address} did not answer in time")

    def lose(self, error: OSError | None) -> None:
        """Close, failing all that waits."""
        self._socket.close()
        why = f": {error.strerror or error}" if error else ""
        self.exchange.lose(f"the connection to {self.address} is lost{why}")


def _later() -> tuple[type[OSError], ...]:
    """Return the exceptions that mean 'not now', without importing ssl for those who have no TLS."""
    module: Any = sys.modules.get("ssl")
    wanting = (module.SSLWantReadError, module.SSLWantWriteError) if module else ()
    return (BlockingIOError, InterruptedError, *wanting)


class Client(BaseClient):
    """Submit jobs to Gearman job servers, blocking; not for use by several threads at once.

    ``servers`` are ``host``, ``host:port`` or ``unix:/path``, in a list or separated by commas. One is used until it
    fails, then the next; ``shuffle`` begins with a random one. ``codec`` is ``bytes``, ``text``, ``json``, ``msgpack``
    or an object with ``encode`` and ``decode``. Times are in seconds. Methods raise NotRunning when no server answers,
    ConnectionLost when the one in use goes away, JobRefused, JobFailed and TimedOut.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._connections: dict[Address, _Connection] = {}
        self._process = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; foreground jobs that wait are dropped by the server."""
        for connection in self._connections.values():
            connection.lose(None)
        self._connections.clear()

    def call(
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
        """Run a job and return its result; ``on_report`` hears of data, warnings and progress meanwhile.

        A job whose connection is lost is submitted again up to ``retries`` times: it may then run twice.
        """
        return self._run(self._calls.call(function, payload, unique, priority, timeout, retries, on_report))

    def submit(
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
        """Leave a background job with a server and return its handle.

        It runs as soon as a worker is free, or not before ``at`` (seconds since the epoch) or ``after`` seconds.
        """
        due = due_time(at, after, time.time())
        return self._run(self._calls.submit(function, payload, unique, priority, due, timeout))

    def submit_many(
        self, function: str, payloads: Iterable[Any], *, priority: Priority = "normal", window: int = 1000
    ) -> list[JobHandle]:
        """Leave many background jobs with a server, up to ``window`` unanswered at once; return their handles."""
        handles: list[JobHandle] = []
        waiting: deque[tuple[Task, _Connection]] = deque()
        for payload in payloads:
            task = Task(background=True)
            packet = self._calls.packet(function, payload, "", priority, background=True)
            waiting.append((task, self._send(Ask(task, packet, function), None)))
            if len(waiting) >= window:
                handles.append(self._handle(*waiting.popleft(), function))
        handles += [self._handle(task, connection, function) for task, connection in waiting]
        return handles

    def map(
        self,
        function: str,
        payloads: Iterable[Any],
        *,
        priority: Priority = "normal",
        window: int = 100,
        timeout: float | None = None,
    ) -> Iterator[Any]:
        """Run a job for each payload and yield the results in order; at most ``window`` are under way at once.

        ``timeout`` is for each result. The first failure is raised and ends the iteration.
        """
        waiting: deque[tuple[Task, _Connection]] = deque()
        iterator = iter(payloads)
        exhausted = False
        try:
            while True:
                while not exhausted and len(waiting) < window:
                    try:
                        payload = next(iterator)
                    except StopIteration:
                        exhausted = True
                        break
                    task = Task()
                    packet = self._calls.packet(function, payload, "", priority)
                    waiting.append((task, self._send(Ask(task, packet, function), self._deadline(timeout))))
                if not waiting:
                    return
                task, connection = waiting[0]
                self._finish(connection, task, self._deadline(timeout), function)
                waiting.popleft()
                yield self._calls.result(task)
        finally:
            for task, connection in waiting:
                connection.exchange.forget(task)

    def map_reduce(self, function: str, payloads: Iterable[Any], reducer: str, **options: Any) -> Any:
        """Run ``function`` for each payload, then ``reducer`` once with the list of the results.

        The codec must be able to hold a list: ``json`` or ``msgpack``.
        """
        return self.call(reducer, list(self.map(function, payloads, **options)))

    def status(self, handle: str, *, timeout: float | None = None) -> JobStatus:
        """Ask for the status of a job: at its own server, or at each one until one knows it."""
        return self._run(self._calls.status(Kind.GET_STATUS, handle, self._knowing(handle), timeout))

    def status_unique(self, unique: str, *, timeout: float | None = None) -> JobStatus:
        """Ask for the status of a job by its unique id."""
        return self._run(self._calls.status(Kind.GET_STATUS_UNIQUE, unique, self._pool.servers, timeout))

    def echo(self, data: bytes = b"?", *, timeout: float | None = None) -> bytes:
        """Have a server send bytes back."""
        return self._run(self._calls.echo(data, timeout))

    # -- inside ---------------------------------------------------------------------------------------------------

    def _run(self, steps: Steps[Value]) -> Value:
        """Carry out steps one after the other, and return what they lead to."""
        try:
            ask = next(steps)
            while True:
                try:
                    deadline = self._deadline(ask.timeout)
                    connection = self._send(ask, deadline)
                    self._finish(connection, ask.question, deadline, ask.what)
                except Exception as error:
                    ask = steps.throw(error)
                else:
                    ask = steps.send(connection.address)
        except StopIteration as end:
            value: Value = end.value
            return value

    def _deadline(self, timeout: float | None) -> float | None:
        timeout = self.timeout if timeout is None else timeout
        return None if timeout is None else time.monotonic() + timeout

    def _connection(self, ask: Ask) -> _Connection:
        """Return a connection to the best server that can be reached."""
        if self._process != os.getpid():  # a fork must not share its parent's connections
            self._connections = {}
            self._process = os.getpid()
        tried: list[tuple[Address, OSError]] = []
        for address in self._candidates(ask):
            connection = self._connections.get(address)
            if connection is not None:
                return connection
            try:
                connection = _Connection(address, self)
            except OSError as error:
                tried.append((address, error))
                self._note_failure(address)
                continue
            self._pool.succeeded(address, keep=not (ask.unique or ask.servers))
            self._connections[address] = connection
            if self.exceptions:
                connection.exchange.ask(Question())
                connection.send(request(Kind.OPTION_REQ, b"exceptions"), None)
            return connection
        raise self._failed(tried)

    def _send(self, ask: Ask, deadline: float | None) -> _Connection:
        """Send a request; a connection that turns out to be dead before anything was sent on it is replaced once."""
        for attempt in (1, 2):
            connection = self._connection(ask)
            try:
                connection.receive(None, only_ready=True)
            except (ConnectionLost, PeerError):
                self._lost(connection)
                if attempt == 2:
                    raise
                continue
            break
        connection.exchange.ask(ask.question)
        try:
            connection.send(ask.packet, deadline)
        except BaseException:
            self._lost(connection)  # half a packet may be out
            raise
        return connection

    def _lost(self, connection: _Connection) -> None:
        if self._connections.get(connection.address) is connection:
            del self._connections[connection.address]
        self._note_failure(connection.address)
        connection.lose(None)

    def _wait(self, connection: _Connection, question: Question, deadline: float | None, what: str) -> None:
        while not question.done:
            try:
                connection.receive(deadline)
            except TimedOut:
                raise TimedOut(f"{what}: {connection.address} did not answer in time") from None
            except (ConnectionLost, PeerError):
                self._lost(connection)
                if not question.done:
                    raise
        if isinstance(question.error, ConnectionLost):
            self._lost(connection)

    def _finish(self, connection: _Connection, question: Question, deadline: float | None, what: str) -> None:
        try:
            self._wait(connection, question, deadline, what)
        except BaseException:
            if isinstance(question, Task) and question.handle:
                connection.exchange.forget(question)
            else:
                self._lost(connection)  # its answer would be taken for that of the next request
            raise

    def _handle(self, task: Task, connection: _Connection, what: str) -> JobHandle:
        self._wait(connection, task, self._deadline(None), what)
        return handle(task, connection.address)
