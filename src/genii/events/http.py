"""A small HTTP/1.1 server for asyncio, on TCP and unix sockets: the shell around ``genii.events.wire``.

A handler takes a ``Request`` and returns a ``Response``, or an awaitable of one; a ``Router`` is a handler.
Requests of one connection are answered in order, one at a time. A handler that has begun is not interrupted when its
client leaves (what it does may be half done); a stream is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import time
from typing import TYPE_CHECKING, NamedTuple, cast

from genii.events.message import HttpError, Peer, Request, Response
from genii.events.wire import LAST_CHUNK, Limits, Phase, Reader, http_date, render_chunk, render_head

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    Handler = Callable[[Request], Response | Awaitable[Response]]

__all__ = ["Server", "Statistics"]

_log = logging.getLogger("genii.http")

_LINGER = 2.0
"""Seconds to read and drop what a client still sends after the last answer, so that it gets to read it (no reset)."""
_ROUNDS = 5
"""Rounds of the event loop after which a connection that was accepted before is known to us."""
_JOINED = 64 << 10
"""Bodies up to this many bytes are sent in one piece with their header."""


class Statistics(NamedTuple):
    """What a server has done."""

    connections: int
    """Open now."""
    accepted: int
    requests: int
    failures: int
    """Answers of 500 and above."""
    refused: int
    """Connections beyond the limit."""


class Server:
    """Serve ``handler`` on listening sockets until ``close``.

    ``failure`` makes the response for an ``HttpError`` (default: its message as plain text).
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits | None = None,
        failure: Callable[[HttpError], Response] | None = None,
    ) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.failure = failure or _plain_failure
        self.closing = False
        self.accepted = self.requests = self.failures = self.refused = 0
        self.open: dict[_Connection, None] = {}
        """The connections, oldest first."""
        self._listeners: list[asyncio.Server] = []
        self._emptied: asyncio.Event | None = None
        self._date = (0, "")

    async def listen(
        self, sockets: Iterable[socket.socket], *, tls: ssl.SSLContext | None = None, start_serving: bool = True
    ) -> None:
        """Accept on sockets that listen already (see ``genii.system.listen``); may be called again for more.

        Without ``start_serving`` who connects waits until ``start_serving`` is called.
        """
        loop = asyncio.get_running_loop()
        for listener in sockets:
            listener.setblocking(False)
            self._listeners.append(
                await loop.create_server(
                    lambda: _Connection(self, loop),
                    sock=listener,
                    ssl=tls,
                    backlog=1024,
                    start_serving=start_serving,
                )
            )

    async def start_serving(self) -> None:
        """Accept on the sockets that were only prepared so far."""
        for listener in self._listeners:
            await listener.start_serving()

    async def close(self, grace: float = 5.0) -> None:
        """Accept no more, end endless streams, let running requests finish for ``grace`` seconds, then cut."""
        self.closing = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._emptied = asyncio.Event()
        for connection in list(self.open):
            connection.drain()
        if self.open:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), grace)
        tasks = [connection.cut() for connection in list(self.open)]
        await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)

    @property
    def answers(self) -> int:
        """The number of answers under way that come to an end by themselves."""
        return sum(connection.answers for connection in self.open)

    async def release(self, grace: float) -> tuple[list[socket.socket], list[socket.socket]]:
        """Close, but return copies of the listening sockets and of the connections that ask nothing just now.

        Clients do not notice that nobody is there until somebody serves them again, by ``listen`` and ``adopt``.
        """
        listening = [one.dup() for listener in self._listeners for one in listener.sockets]
        loop = asyncio.get_running_loop()
        # Not closed at once: asyncio would drop what it has accepted and not yet told us of.
        for one in [one for listener in self._listeners for one in listener.sockets]:
            loop.remove_reader(one.fileno())
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        idle = [copy for connection in list(self.open) if (copy := connection.give_away())]
        await self.close(grace)
        self.closing = False
        self._emptied = None
        return listening, idle

    async def adopt(self, connections: Iterable[socket.socket]) -> None:
        """Serve connections that were accepted elsewhere; they are not encrypted."""
        loop = asyncio.get_running_loop()
        for connection in connections:
            connection.setblocking(False)
            await loop.connect_accepted_socket(lambda: _Connection(self, loop), connection)

    def statistics(self) -> Statistics:
        """Return the counters."""
        return Statistics(len(self.open), self.accepted, self.requests, self.failures, self.refused)

    def date(self) -> str:
        """Return the time for a Date header, formatted once a second."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, http_date(now))
        return self._date[1]

    def make_room(self, newest: _Connection) -> bool:
        """Send the oldest connection away that asks nothing just now; say whether there was one."""
        idle = next((connection for connection in self.open if connection.yields and connection is not newest), None)
        if idle is not None:
            idle.leave()
        return idle is not None

    def forget(self, connection: _Connection) -> None:
        """Take note that a connection has ended."""
        self.open.pop(connection, None)
        if self._emptied is not None and not self.open:
            self._emptied.set()


def _plain_failure(error: HttpError) -> Response:
    response = Response.text(f"{error}\n", error.status)
    response.headers.update(error.headers)
    return response


class _Connection(asyncio.Protocol):
    """One client: feed the reader, answer in order, watch the deadlines."""

    __slots__ = ("_deadline", "_ended", "_endless", "_fault", "_gone", "_loop", "_lost", "_paused", "_progress",
                 "_reader", "_server", "_streaming", "_task", "_timer", "_transport", "_unsent",
                 "_writable")  # fmt: skip

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._transport: asyncio.Transport
        self._reader: Reader
        self._task: asyncio.Task[None] | None = None
        self._streaming = False
        """Whether what ``_task`` does is broken off when the client leaves."""
        self._endless = False
        """Whether it is broken off when the server closes."""
        self._paused = False
        """Whether reading is paused."""
        self._writable: asyncio.Event | None = None
        """Set when the client takes bytes again; None while it does."""
        self._unsent = 0
        """Bytes that waited to be sent when the deadline was set."""
        self._fault: HttpError | None = None
        """What to say when the requests before the broken one are answered."""
        self._ended = False
        """Whether the last answer is written: what follows is read and dropped."""
        self._gone = False
        """Whether the client has sent its last byte."""
        self._lost = False
        """Whether the connection is closed."""
        self._deadline = 0.0
        """When to stop waiting for ``_progress``; 0: no hurry."""
        self._progress = Phase.HEAD
        self._timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------ what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self._server
        self._transport = cast("asyncio.Transport", transport)
        self._reader = Reader(server.limits, _identify(self._transport))
        server.accepted += 1
        server.open[self] = None
        if server.closing or len(server.open) > 2 * server.limits.connections:
            self._cut()
        elif len(server.open) > server.limits.connections and not server.make_room(self):
            server.refused += 1
            self._refuse(_crowded())
        else:
            self._await(server.limits.head_time)

    def data_received(self, data: bytes) -> None:
        if not self._ended and self._fault is None:
            self._read(data)
            self._advance()

    def eof_received(self) -> bool:
        self._gone = True
        if self._streaming and self._task is not None:
            self._task.cancel()
        if self._task is None and not self._reader.requests and self._writable is None:
            return False
        return self._transport.can_write_eof()

    def pause_writing(self) -> None:
        self._writable = asyncio.Event()
        self._unsent = self._transport.get_write_buffer_size()
        self._await(self._server.limits.send_time)

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None
        self._deadline = 0.0
        if self._ended:
            self._await(_LINGER)
        else:
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the signature of asyncio
        self._ended = self._gone = self._lost = True
        if self._timer is not None:
            self._timer.cancel()
        if self._writable is not None:
            self._writable.set()
            self._writable = None
        self._reader.release()
        if self._task is None:
            self._server.forget(self)
        elif self._streaming:
            self._task.cancel()

    # ------------------------------------------------------------------ what the server calls

    @property
    def yields(self) -> bool:
        """Say whether nobody waits for an answer here, so that the place may go to somebody else."""
        return self._task is None and self._writable is None and not self._ended

    @property
    def answers(self) -> bool:
        """Say whether an answer is under way that is not an endless stream."""
        return self._task is not None and not self._endless

    def leave(self) -> None:
        """Make room for another; a client that has begun to ask is told why."""
        if self._reader.phase is Phase.IDLE:
            self._ended = True
            self._transport.close()
        else:
            self._refuse(_crowded())

    def drain(self) -> None:
        """End when the request in hand is answered; at once when there is none, or it is an endless stream."""
        if self._endless and self._task is not None:
            self._task.cancel()
        elif self.yields:
            self._transport.close()

    def give_away(self) -> socket.socket | None:
        """Return a copy of the connection and let go of it; None: it is not idle, or can't be served by another."""
        idle = self.yields and self._reader.phase is Phase.IDLE and not self._gone
        if not idle or self._transport.get_extra_info("sslcontext"):
            return None
        copy: socket.socket = self._transport.get_extra_info("socket").dup()
        self._cut()
        return copy

    def cut(self) -> asyncio.Task[None] | None:
        """End now; return the task to wait for."""
        task = self._task
        if task is not None:
            task.cancel()
        self._cut()
        return task

    # ------------------------------------------------------------------ deadlines

    def _await(self, seconds: float) -> None:
        """Set the deadline; the timer is moved only when it would ring too late, which keeps requests cheap."""
        self._deadline = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self._deadline or self._lost:
            return
        if self._deadline > self._loop.time():
            self._timer = self._loop.call_at(self._deadline, self._ring)
        elif self._writable is not None:
            self._check_sending()
        elif self._ended:
            self._cut()
        elif self._progress is Phase.IDLE:
            self._transport.close()
        else:
            what = "header" if self._progress is Phase.HEAD else "body"
            self._refuse(HttpError(408, f"the {what} of the request did not arrive in time"))

    def _check_sending(self) -> None:
        unsent = self._transport.get_write_buffer_size()
        if unsent >= self._unsent:
            self._cut()
        else:
            self._unsent = unsent
            self._await(self._server.limits.send_time)

    def _expect(self) -> None:
        """Set the deadline for what is awaited next, unless it is the same as before."""
        reader, limits = self._reader, self._server.limits
        if reader.phase is Phase.IDLE:
            self._progress = Phase.IDLE
            self._await(limits.idle_time)
        elif reader.phase is not self._progress or not self._deadline:
            self._progress = reader.phase
            self._await(limits.head_time if reader.phase is Phase.HEAD else limits.body_time)
            if reader.expects_continue:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # ------------------------------------------------------------------ requests to responses

    def _read(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except HttpError as error:
            self._fault = error
        if self._reader.full and not self._paused and not self._gone:
            self._paused = True
            self._transport.pause_reading()

    def _advance(self) -> None:
        """Answer what waits, as far as that goes without waiting; then see to what comes next."""
        requests = self._reader.requests
        while self._task is None and self._writable is None and not self._ended:
            if requests:
                self._begin(requests.popleft())
            elif self._fault is not None:
                self._refuse(self._fault)
            elif self._paused:
                self._paused = False
                if not self._gone:
                    self._transport.resume_reading()
                self._read(b"")
            elif self._gone:
                self._end()
            else:
                self._expect()
                return

    def _begin(self, request: Request) -> None:
        self._server.requests += 1
        self._progress, self._deadline = Phase.IDLE, 0.0
        try:
            answer = self._server.handler(request)
        except Exception as error:
            answer = self._failed(request, error)
        if isinstance(answer, Response) and answer.stream is None:
            self._send(request, answer)
        else:
            self._task = self._loop.create_task(self._finish(request, answer))

    async def _finish(self, request: Request, answer: Response | Awaitable[Response]) -> None:
        """Answer a request that needs time, then go on with the next."""
        try:
            try:
                response = answer if isinstance(answer, Response) else await answer
            except Exception as error:
                response = self._failed(request, error)
            if response.stream is None:
                self._send(request, response)
            else:
                await self._stream(request, response, response.stream)
        finally:
            self._task = None
            self._streaming = self._endless = False
            if self._lost:
                self._server.forget(self)
        self._advance()

    def _failed(self, request: Request, error: Exception) -> Response:
        if isinstance(error, HttpError):
            return self._server.failure(error)
        _log.error("%s %s failed", request.method, request.path, exc_info=error)
        return self._server.failure(HttpError(500, "the server failed to answer; its log says why"))

    def _keeps(self, request: Request) -> bool:
        return request.keep_alive and not self._server.closing

    def _head(self, response: Response, *, keep_alive: bool, chunked: bool = False) -> bytes:
        if response.status >= 500:
            self._server.failures += 1
        return render_head(response, date=self._server.date(), keep_alive=keep_alive, chunked=chunked)

    def _send(self, request: Request, response: Response) -> None:
        if self._ended:
            return
        keep_alive = self._keeps(request)
        try:
            head = self._head(response, keep_alive=keep_alive)
        except ValueError as error:
            response = self._failed(request, error)
            head = self._head(response, keep_alive=keep_alive)
        body = response.body
        if request.method == "HEAD" or response.status in (204, 304):
            self._transport.write(head)
        elif len(body) < _JOINED:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        if not keep_alive:
            self._end()

    async def _stream(self, request: Request, response: Response, stream: AsyncIterator[bytes]) -> None:
        chunked = request.version != "1.0"
        keep_alive = chunked and self._keeps(request)
        try:
            if self._gone or (self._server.closing and response.endless):
                self._cut()
                return
            self._streaming, self._endless = True, response.endless
            self._transport.write(self._head(response, keep_alive=keep_alive, chunked=chunked))
            whole = request.method == "HEAD" or await self._pump(stream, chunked=chunked)
        except asyncio.CancelledError:
            # An endless stream that the closing server ends has a proper end; any other was broken off.
            whole = response.endless and not self._gone
        except Exception as error:
            _log.error("%s %s failed while streaming", request.method, request.path, exc_info=error)
            whole = False
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
        if not whole:
            # Only a connection that breaks off tells the client that this was not all.
            self._cut()
            return
        if chunked and request.method != "HEAD":
            self._transport.write(LAST_CHUNK)
        if not keep_alive or self._server.closing:
            self._end()

    async def _pump(self, stream: AsyncIterator[bytes], *, chunked: bool) -> bool:
        """Send the pieces as fast as the client takes them; say whether it has got all of them."""
        async for piece in stream:
            if piece:
                self._transport.write(render_chunk(piece) if chunked else piece)
            while self._writable is not None:
                await self._writable.wait()
            if self._ended:
                return False
        return True

    # ------------------------------------------------------------------ endings

    def _refuse(self, error: HttpError) -> None:
        """Say what was wrong and end."""
        response = self._server.failure(error)
        head = render_head(response, date=self._server.date(), keep_alive=False)
        self._transport.write(head + response.body)
        self._end()

    def _end(self) -> None:
        """Send what is written, then end; a client that still sends is read for a while, or it would see a reset."""
        self._ended = True
        if self._gone or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._writable is None:
            self._await(_LINGER)

    def _cut(self) -> None:
        self._ended = True
        self._transport.abort()


def _crowded() -> HttpError:
    return HttpError(503, "too many connections", headers={"Retry-After": "1"})


def _identify(transport: asyncio.Transport) -> Peer:
    """Find out who is at the other end, and switch Nagle's algorithm off."""
    connection = transport.get_extra_info("socket")
    if connection is None:
        return Peer("")
    if connection.family == socket.AF_UNIX:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid, uid, _ = struct.unpack("3i", raw)
        return Peer("", uid, pid)
    # Not left to asyncio: on inherited sockets (protocol 0) it would not.
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = transport.get_extra_info("peername")
    return Peer(f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "")
