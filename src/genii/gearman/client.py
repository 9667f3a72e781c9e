"""The blocking client of job servers, over ``exchange`` and ``pool``, and what it shares with its asyncio twin."""

from __future__ import annotations

import os
import random
import select
import socket
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from genii.errors import ConnectionLost, NotRunning, PeerError, TimedOut, UsageError
from genii.gearman.codecs import Codec, codec
from genii.gearman.exchange import Exchange, JobStatus, Question, Task, submit_packet
from genii.gearman.pool import Pool, read_servers
from genii.gearman.protocol import HIGH, LOW, NORMAL, Kind, request

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator

    from genii.system.listen import Address

    Priority = Literal["high", "normal", "low"]

__all__ = ["BaseClient", "Client", "JobHandle", "Report", "connect", "due_time"]

_PRIORITIES = {"high": HIGH, "normal": NORMAL, "low": LOW}
CHUNK = 1 << 18


class JobHandle(str):
    """The name that a server gave to a job; ``server`` is the address of that server."""

    __slots__ = ("server",)

    server: Address | None

    def __new__(cls, handle: str, server: Address | None = None) -> Self:
        """Make it of the handle's text."""
        self = super().__new__(cls, handle)
        self.server = server
        return self


class Report(NamedTuple):
    """What a running job tells: ``kind`` is ``data``, ``warning`` or ``status``; ``value`` its data or (done, of)."""

    kind: Literal["data", "warning", "status"]
    value: Any


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
    """What both clients share: arguments to packets, answers to values."""

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
        self.codec = _codec(codec)
        self.timeout = timeout
        self.connect_timeout = connect_timeout
        self.exceptions = exceptions
        self.tls = tls
        self._pool = Pool(found, random.randrange(len(found)) if shuffle else 0)  # noqa: S311 -- spreads load

    def _packet(
        self, function: str, payload: Any, unique: str, priority: Priority, *, background: bool, at: int = 0
    ) -> bytes:
        if priority not in _PRIORITIES:
            raise UsageError(f"priority {priority!r}: it is 'high', 'normal' or 'low'")
        if "\0" in function or "\0" in unique:
            raise UsageError("the name of a function and a unique id can't contain NUL")
        data = self.codec.encode(payload)
        name, key = function.encode(), unique.encode()
        if len(key) > 63:
            raise UsageError(f"the unique id {unique!r} is longer than 63 bytes")
        return submit_packet(name, data, key, priority=_PRIORITIES[priority], background=background, at=at)

    def _note_failure(self, address: Address) -> None:
        self._pool.failed(address, time.monotonic(), random.random())  # noqa: S311 -- spreads retries

    def _failed(self, tried: list[tuple[Address, OSError]]) -> NotRunning:
        told = ", ".join(f"{address} ({error.strerror or error})" for address, error in tried)
        return NotRunning(f"no job server answers: {told}")

    def _report(self, kind: Kind, parts: list[bytes]) -> Report:
        if kind == Kind.WORK_STATUS:
            return Report("status", (int(parts[0] or b"0"), int(parts[1] or b"0")))
        if kind == Kind.WORK_WARNING:
            return Report("warning", parts[0])
        return Report("data", parts[0])

    def _heard(self, on_report: Callable[[Report], None] | None) -> Callable[[Kind, list[bytes]], None] | None:
        if on_report is None:
            return None
        return lambda kind, parts: on_report(self._report(kind, parts))

    def _result(self, task: Question) -> Any:
        if task.error is not None:
            raise task.error
        return self.codec.decode(task.answer[0])


def _codec(choice: str | Codec) -> Codec:
    return codec(choice)


def due_time(at: float | None, after: float | None) -> int:
    """Return when a job is to run, in whole seconds since the epoch; 0: now."""
    if at is not None and after is not None:
        raise UsageError("give a job one of 'at' and 'after', not both")
    if after is not None:
        at = time.time() + after
    return 0 if at is None else max(1, int(-(-at // 1)))


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
        packet = self._packet(function, payload, unique, priority, background=False)
        deadline = self._deadline(timeout)
        while True:
            task = Task(heard=self._heard(on_report))
            try:
                connection = self._ask(task, packet, unique.encode(), deadline)
                self._finish(connection, task, deadline, function)
                return self._result(task)
            except ConnectionLost:
                if retries <= 0:
                    raise
                retries -= 1

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
        packet = self._packet(function, payload, unique, priority, background=True, at=due_time(at, after))
        task = Task(background=True)
        deadline = self._deadline(timeout)
        connection = self._ask(task, packet, unique.encode(), deadline)
        self._wait(connection, task, deadline, function)
        if task.error is not None:
            raise task.error
        return JobHandle(task.handle.decode(), connection.address)

    def submit_many(
        self, function: str, payloads: Iterable[Any], *, priority: Priority = "normal", window: int = 1000
    ) -> list[JobHandle]:
        """Leave many background jobs with a server, up to ``window`` unanswered at once; return their handles."""
        handles: list[JobHandle] = []
        waiting: deque[tuple[Task, _Connection]] = deque()
        for payload in payloads:
            task = Task(background=True)
            packet = self._packet(function, payload, "", priority, background=True)
            waiting.append((task, self._ask(task, packet, b"", None)))
            if len(waiting) >= window:
                handles.append(self._handle(*waiting.popleft()))
        handles += [self._handle(task, connection) for task, connection in waiting]
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
                    packet = self._packet(function, payload, "", priority, background=False)
                    waiting.append((task, self._ask(task, packet, b"", self._deadline(timeout))))
                if not waiting:
                    return
                task, connection = waiting[0]
                self._finish(connection, task, self._deadline(timeout), function)
                waiting.popleft()
                yield self._result(task)
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
        return self._status(Kind.GET_STATUS, handle, getattr(handle, "server", None), timeout)

    def status_unique(self, unique: str, *, timeout: float | None = None) -> JobStatus:
        """Ask for the status of a job by its unique id."""
        return self._status(Kind.GET_STATUS_UNIQUE, unique, None, timeout)

    def echo(self, data: bytes = b"?", *, timeout: float | None = None) -> bytes:
        """Have a server send bytes back."""
        question = Question()
        connection = self._ask(question, request(Kind.ECHO_REQ, data), b"", self._deadline(timeout))
        self._wait(connection, question, self._deadline(timeout), "echo")
        if question.error is not None:
            raise question.error
        return question.answer[0]

    # -- inside ---------------------------------------------------------------------------------------------------

    def _deadline(self, timeout: float | None) -> float | None:
        timeout = self.timeout if timeout is None else timeout
        return None if timeout is None else time.monotonic() + timeout

    def _connection(self, unique: bytes) -> _Connection:
        """Return a connection to the best server that can be reached."""
        if self._process != os.getpid():  # a fork must not share its parent's connections
            self._connections = {}
            self._process = os.getpid()
        tried: list[tuple[Address, OSError]] = []
        for address in self._pool.order(time.monotonic(), unique):
            connection = self._connections.get(address)
            if connection is not None:
                return connection
            try:
                connection = _Connection(address, self)
            except OSError as error:
                tried.append((address, error))
                self._note_failure(address)
                continue
            self._pool.succeeded(address, keep=not unique)
            self._connections[address] = connection
            if self.exceptions:
                connection.exchange.ask(Question())
                connection.send(request(Kind.OPTION_REQ, b"exceptions"), None)
            return connection
        raise self._failed(tried)

    def _ask(self, question: Question, packet: bytes, unique: bytes, deadline: float | None) -> _Connection:
        """Send a request; a connection that turns out to be dead before anything was sent on it is replaced once."""
        for attempt in (1, 2):
            connection = self._connection(unique)
            try:
                connection.receive(None, only_ready=True)
            except (ConnectionLost, PeerError):
                self._lost(connection)
                if attempt == 2:
                    raise
                continue
            break
        connection.exchange.ask(question)
        try:
            connection.send(packet, deadline)
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

    def _finish(self, connection: _Connection, task: Task, deadline: float | None, what: str) -> None:
        try:
            self._wait(connection, task, deadline, what)
        except BaseException:
            if task.handle:
                connection.exchange.forget(task)
            else:
                self._lost(connection)  # its answer would be taken for that of the next request
            raise

    def _handle(self, task: Task, connection: _Connection) -> JobHandle:
        self._wait(connection, task, self._deadline(None), "submit")
        if task.error is not None:
            raise task.error
        return JobHandle(task.handle.decode(), connection.address)

    def _status(self, kind: Kind, key: str, server: Address | None, timeout: float | None) -> JobStatus:
        status = None
        for address in [server] if server is not None else self._pool.servers:
            question = Question()
            single = self._only(address)
            connection = single._ask(question, request(kind, key.encode()), b"", self._deadline(timeout))
            single._wait(connection, question, self._deadline(timeout), key)
            if question.error is not None:
                raise question.error
            status = JobStatus(question.answer)
            if status.known:
                break
        assert status is not None
        return status

    def _only(self, address: Address) -> Client:
        """Return a client of one server that shares this one's connections."""
        if self._pool.servers == [address]:
            return self
        other = Client.__new__(Client)
        other.__dict__.update(self.__dict__)
        other._pool = Pool([address])
        return other
