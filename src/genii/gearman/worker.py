"""Workers of job servers: classes whose public methods are jobs, or plain functions.

``run`` blocks: jobs run one after the other in the main thread, asynchronous ones on a loop of the worker's own.
``serve`` does the same on a loop that is there already, several jobs at once if asked to.
"""

from __future__ import annotations

import logging
import os
import random
import select
import signal
import socket
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from genii.backoff import Backoff
from genii.errors import JobFailed, PeerError, UsageError
from genii.gearman.client import connect
from genii.gearman.codecs import Codec, codec
from genii.gearman.methods import Ability, ability, methods
from genii.gearman.pool import read_servers
from genii.gearman.protocol import Kind, request
from genii.gearman.session import Assignment, Session, choose
from genii.gearman.telling import make_teller

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from genii.gearman.telling import Teller
    from genii.system.listen import Address

__all__ = ["RunningJob", "Worker"]

CHUNK = 1 << 18
PARTING = 5.0
"""Seconds that a server has to take the last result."""
_log = logging.getLogger("genii.worker")


class RunningJob:
    """The job that a worker's method runs, for methods that take it as their second argument."""

    __slots__ = ("_send", "function", "handle", "unique")

    def __init__(self, assignment: Assignment, send: Callable[[bytes], None]) -> None:
        self.handle = assignment.handle.decode(errors="replace")
        self.function = assignment.function.decode(errors="replace")
        self.unique = assignment.unique.decode(errors="replace")
        self._send = send

    def progress(self, done: int, of: int) -> None:
        """Tell how far it is."""
        self._send(request(Kind.WORK_STATUS, self.handle.encode(), b"%d" % done, b"%d" % of))

    def send(self, data: bytes | str) -> None:
        """Send a part of the result ahead."""
        self._send(request(Kind.WORK_DATA, self.handle.encode(), data.encode() if isinstance(data, str) else data))

    def warn(self, data: bytes | str) -> None:
        """Send a warning."""
        self._send(request(Kind.WORK_WARNING, self.handle.encode(), data.encode() if isinstance(data, str) else data))


class Worker:
    """Do jobs for Gearman job servers, all of ``servers`` at once.

    A subclass offers its public methods as ``Class::method``; names that begin with ``_`` or are all in capitals are
    not offered. ``prefix`` replaces the name of the class, ``separator`` the ``::``. ``register`` offers any function.
    A method takes the payload and returns the result, as ``codec`` has them (``bytes``, ``text``, ``json``,
    ``msgpack``); one that takes a second argument gets the ``RunningJob``. An exception fails the job, JobFailed
    without a report in the log.

    ``max_jobs`` ends the worker after so many (0: never), ``heartbeat`` is the seconds of silence after which a server
    is asked for a sign of life, ``timeout`` the seconds that a server gives each job (0: no limit). Lost servers are
    tried again for ever.
    """

    prefix: str | None = None
    separator: str = "::"

    def __init__(
        self,
        servers: str | Iterable[str] = "127.0.0.1",
        *,
        prefix: str | None = None,
        separator: str | None = None,
        codec: str | Codec = "bytes",
        client_id: str = "",
        max_jobs: int = 0,
        heartbeat: float = 30.0,
        timeout: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._servers = read_servers(servers)
        self._codec = _codec(codec)
        self._client_id = client_id or f"{socket.gethostname()}:{os.getpid()}"
        self._max_jobs = max_jobs
        self._heartbeat = heartbeat
        self._timeout = timeout
        self._tls = tls
        self._abilities: dict[bytes, Ability] = {}
        self._done = 0
        self._stopping = False
        self._paused = False
        self._teller: Teller | None = None
        self._wake: Callable[[], None] = lambda: None
        start = type(self).__name__ if type(self) is not Worker else ""
        chosen = prefix if prefix is not None else self.prefix if self.prefix is not None else start
        joint = separator if separator is not None else self.separator
        for name, method in methods(self, Worker, chosen + joint if chosen else ""):
            self.register(method, name)

    def register(self, function: Callable[..., Any], name: str | None = None, *, timeout: float | None = None) -> None:
        """Offer a function as a job, under its own name unless another is given."""
        chosen = name if name is not None else function.__name__
        made = ability(chosen, function, self._timeout if timeout is None else timeout)
        self._abilities[chosen.encode()] = made

    @property
    def functions(self) -> list[str]:
        """The names of the jobs that it offers."""
        return [made.name for made in self._abilities.values()]

    def stop(self) -> None:
        """End after the current job; may be called from a job, a signal handler or another thread."""
        self._stopping = True
        self._wake()

    def pause(self) -> None:
        """Take no more jobs until ``resume``, after the current one; may be called from anywhere, as ``stop``."""
        self._paused = True
        self._wake()

    def resume(self) -> None:
        """Take jobs again."""
        self._paused = False
        self._wake()

    def run(self, *, signals: bool = True) -> None:
        """Work until ``stop``, ``max_jobs``, or a TERM, INT or QUIT signal (unless ``signals`` is off; main thread).

        TSTP pauses it, CONT lets it go on.
        Raises UsageError when there is nothing to offer.
        """
        self.check()
        self._stopping = False
        self._done = 0
        if any(made.is_async for made in self._abilities.values()):
            import asyncio

            asyncio.run(self.serve(signals=signals, inline=True))
        else:
            _Shift(self).run(signals=signals)

    async def serve(self, *, concurrency: int = 1, signals: bool = False, inline: bool = False) -> None:
        """Work on the running loop, up to ``concurrency`` jobs at once.

        Methods that are not asynchronous run in threads, unless ``inline``.
        """
        from genii.gearman.async_worker import serve

        self.check()
        self._stopping = False
        self._done = 0
        await serve(self, concurrency=concurrency, signals=signals, inline=inline)

    # -- for the shells of this package ---------------------------------------------------------------------------

    def check(self) -> None:
        """Raise UsageError when there is nothing to offer."""
        if not self._abilities:
            raise UsageError(
                f"{type(self).__name__} offers no jobs: it has no public methods and nothing is registered"
            )

    def _session(self, now: float) -> Session:
        return Session({} if self._paused else self._limits(), self._client_id.encode(), now)

    def _limits(self) -> dict[bytes, float]:
        return {name: made.timeout for name, made in self._abilities.items()}

    def _apply_pause(self, sessions: Iterable[Session]) -> None:
        """Tell the servers that the worker takes no jobs now, or takes them again."""
        for session in sessions:
            if self._paused:
                session.withdraw()
            else:
                session.offer(self._limits())
        if self._teller is not None:
            self._teller.say(f"PAUSED={int(self._paused)}")

    def _count(self) -> None:
        self._done += 1
        if 0 < self._max_jobs <= self._done:
            self._stopping = True

    def _arguments(self, assignment: Assignment, send: Callable[[bytes], None]) -> tuple[Ability, list[Any]]:
        made = self._abilities.get(assignment.function)
        if made is None:
            raise JobFailed(f"this worker does not offer {assignment.function!r}")
        arguments = [self._codec.decode(assignment.payload)]
        if made.wants_job:
            arguments.append(RunningJob(assignment, send))
        return made, arguments

    def _failed(self, assignment: Assignment, error: Exception) -> None:
        """Report an exception to the server; what the job did not raise on purpose goes to the log, too."""
        if isinstance(error, JobFailed):
            text = error.exception
        else:
            text = f"{type(error).__name__}: {error}".encode()
            _log.error(
                "job %s of %s failed:\n%s",
                assignment.handle.decode(errors="replace"),
                assignment.function.decode(errors="replace"),
                "".join(traceback.format_exception(error)).rstrip(),
            )
        kind = Kind.WORK_EXCEPTION if text else Kind.WORK_FAIL
        assignment.session.finish(kind, assignment.handle, text)


def _codec(choice: str | Codec) -> Codec:
    return codec(choice)


class _Line:
    """One server of a blocking worker: its connection, if there is one, and when to try again."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.socket: socket.socket | None = None
        self.session: Session | None = None
        self.failures = 0
        self.retry_at = 0.0


class _Shift:
    """A blocking run of a worker."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.lines = [_Line(address) for address in worker._servers]
        self.poll = select.poll()
        self.by_descriptor: dict[int, _Line] = {}
        self.backoff = Backoff(initial=0.2, cap=5.0)
        self.next_check = 0.0
        self.paused = False
        self.teller = worker._teller = make_teller(worker._max_jobs)

    def run(self, *, signals: bool) -> None:
        """Work until the worker is to stop."""
        bell, button = socket.socketpair()
        button.setblocking(False)
        self.poll.register(bell, select.POLLIN)
        self.worker._wake = lambda: _ring(button)
        restore = _catch_signals(self.worker) if signals else []
        try:
            while not self._finished():
                self._turn(bell)
        finally:
            for number, handler in restore:
                signal.signal(number, handler)
            self.worker._wake = lambda: None
            for line in self.lines:
                self._part(line)
            bell.close()
            button.close()
            if self.teller is not None:
                self.teller.close()

    def _finished(self) -> bool:
        """Say whether to stop: not before a server that was asked for a job has answered."""
        waiting = any(line.session is not None and line.session.grabbing for line in self.lines)
        return self.worker._stopping and not waiting

    def _turn(self, bell: socket.socket) -> None:
        now = time.monotonic()
        if now >= self.next_check:
            self._look_after(now)
        sessions = [line.session for line in self.lines if line.session is not None]
        if self.paused != self.worker._paused:
            self.paused = self.worker._paused
            self.worker._apply_pause(sessions)
        if not self.worker._stopping and not any(session.grabbing for session in sessions):
            choose(sessions, 1)
        for line in self.lines:
            self._flush(line)
        if self._finished():
            return
        for descriptor, _ in self.poll.poll(self._patience() * 1000):
            line_or_none = self.by_descriptor.get(descriptor)
            if line_or_none is None:
                bell.recv(100)
            else:
                self._listen(line_or_none)

    def _patience(self) -> float:
        """Return the seconds for which nothing is to be done unless something happens."""
        deadline = self.next_check
        if self.teller is not None and self.teller.deadline is not None:
            self.teller.settle()
            deadline = min(deadline, self.teller.deadline or deadline)
        return max(0.0, deadline - time.monotonic())

    def _look_after(self, now: float) -> None:
        """Connect what is not connected, and check what is silent."""
        due = now + self.worker._heartbeat
        for line in self.lines:
            if line.session is None and now >= line.retry_at and not self.worker._stopping:
                self._connect(line)
            if line.session is None:
                due = min(due, line.retry_at)
            elif not line.session.check(now, self.worker._heartbeat):
                self._lost(line, f"silent for {2 * self.worker._heartbeat:.0f} seconds")
                due = min(due, line.retry_at)
        self.next_check = due

    def _connect(self, line: _Line) -> None:
        try:
            line.socket = connect(line.address, 5.0, self.worker._tls)
        except OSError as error:
            self._lost(line, error.strerror or str(error))
            return
        line.session = self.worker._session(time.monotonic())
        self.by_descriptor[line.socket.fileno()] = line
        self.poll.register(line.socket, select.POLLIN)
        if line.failures:
            _log.warning("connected to %s again", line.address)
        line.failures = 0
        if self.teller is not None:
            self.teller.note("")

    def _part(self, line: _Line) -> None:
        """End a connection so that the last result arrives: a close with unread bytes would cut it off."""
        self._flush(line)
        if line.socket is not None:
            with suppress(OSError):
                line.socket.settimeout(PARTING)
                line.socket.shutdown(socket.SHUT_WR)
                while line.socket.recv(CHUNK):
                    pass
        self._hang_up(line)

    def _hang_up(self, line: _Line) -> None:
        if line.socket is not None:
            self.by_descriptor.pop(line.socket.fileno(), None)
            self.poll.unregister(line.socket)
            line.socket.close()
        line.socket = line.session = None

    def _lost(self, line: _Line, why: str) -> None:
        self._hang_up(line)
        line.failures += 1
        if line.failures == 1:
            _log.warning("lost %s: %s; trying again for ever", line.address, why)
        chance = random.random()  # noqa: S311 -- spreads retries
        line.retry_at = time.monotonic() + self.backoff.delay(line.failures, chance)
        self.next_check = min(self.next_check, line.retry_at)
        if self.teller is not None and all(other.session is None for other in self.lines):
            self.teller.note(f"no job server: {line.address}: {why}")

    def _flush(self, line: _Line) -> None:
        session, connection = line.session, line.socket
        if session is None or connection is None or not session.out:
            return
        data = session.out[0] if len(session.out) == 1 else b"".join(session.out)
        session.out.clear()
        try:
            connection.settimeout(60.0)
            connection.sendall(data)
        except OSError as error:
            self._lost(line, error.strerror or str(error))

    def _listen(self, line: _Line) -> None:
        assert line.socket is not None
        assert line.session is not None
        try:
            data = line.socket.recv(CHUNK)
            while (pending := getattr(line.socket, "pending", None)) and pending():
                data += line.socket.recv(CHUNK)  # TLS may hold more than poll knows of
            assigned = line.session.feed(data, time.monotonic()) if data else []
        except (OSError, PeerError) as error:
            self._lost(line, str(error))
            return
        if not data:
            self._lost(line, "it closed the connection")
        for assignment in assigned:
            self._work(line, assignment)

    def _work(self, line: _Line, assignment: Assignment) -> None:
        worker, teller = self.worker, self.teller
        session = assignment.session
        if teller is not None:
            teller.begin(assignment.function)

        def send(packet: bytes) -> None:
            session.out.append(packet)
            if line.session is session:
                self._flush(line)

        try:
            made, arguments = worker._arguments(assignment, send)
            result = worker._codec.encode(made.function(*arguments))
        except Exception as error:  # a job may raise anything; it must not end the worker
            worker._failed(assignment, error)
        else:
            session.finish(Kind.WORK_COMPLETE, assignment.handle, result)
        worker._count()
        if teller is not None:
            teller.end(assignment.function)
        now = time.monotonic()
        for other in self.lines:
            if other.session is not None:
                other.session.resume(now)


def _ring(button: socket.socket) -> None:
    with suppress(OSError):  # it rings already, or nobody listens any more
        button.send(b"\0")


def _catch_signals(worker: Worker) -> list[tuple[int, Any]]:
    """Let TERM, INT and QUIT stop gracefully, TSTP and CONT pause; a second INT interrupts."""

    def stop(number: int, _frame: object) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        worker.stop()

    ends = [(number, signal.signal(number, stop)) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)]
    return [
        *ends,
        (signal.SIGTSTP, signal.signal(signal.SIGTSTP, lambda *_: worker.pause())),
        (signal.SIGCONT, signal.signal(signal.SIGCONT, lambda *_: worker.resume())),
    ]
