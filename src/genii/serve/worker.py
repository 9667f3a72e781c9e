"""A worker's own side: from the fork to its last request. Whatever happens here ends with ``os._exit``."""

from __future__ import annotations

import _signal  # see genii.serve.manager
import contextlib
import errno
import os
import select
import signal
import socket
import sys
import time

from genii.serve import messages
from genii.serve.listeners import timeval
from genii.serve.scoreboard import (
    BEGAN,
    BUSY,
    ENDED,
    IDLE,
    LEAVING,
    PID,
    PLACE_WORDS,
    SERVED,
    TELL_READY,
    TELL_SATURATED,
)
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from genii.serve.model import Handler
    from genii.serve.scoreboard import Scoreboard

    Accept = Callable[[], tuple[int, Any]]

__all__ = ["ORPHAN_PATIENCE", "Place", "Worker", "flush", "watch_orphan"]

ORPHAN_PATIENCE = 0.5
"""Seconds that a worker whose manager was killed has to finish its request."""
_PAUSE = 0.05
"""Seconds to wait when the system (not this process) has run out of something."""
_OUT_OF_DESCRIPTORS = 3
"""Exit code of a worker whose descriptors are used up: it, or its handler, leaks them."""


class Place:
    """A worker's place on the scoreboard, written to for each request: plain stores, no lock, no system call."""

    __slots__ = (
        "_began", "_ended", "_first", "_memory", "_served", "_state", "_states", "_wake", "_words", "served",
    )  # fmt: skip

    def __init__(self, board: Scoreboard, wake: int) -> None:
        self._memory, self._words = board.memory, board.words
        self._states = board.states
        self._first = board.word(0, 0)
        self._wake = wake
        self._state = self._began = self._ended = self._served = -1
        self.served = 0

    def occupy(self, place: int) -> None:
        """Be the worker of this place, from the fork on."""
        self._state = self._states[0] + place
        first = self._first + place * PLACE_WORDS
        self._began, self._ended, self._served = first + BEGAN, first + ENDED, first + SERVED
        self._words[first + PID] = os.getpid()

    def ready(self) -> None:
        """Say that requests can come."""
        self._memory[self._state] = IDLE
        if self._memory[0] & TELL_READY:
            self._tell()

    def begin(self, now_ns: int) -> None:
        """Say that a request has begun; wake the manager if it wants to know that nobody is left for the next."""
        self._words[self._began] = now_ns
        memory = self._memory
        memory[self._state] = BUSY
        if memory[0] & TELL_SATURATED and memory.find(b"_", *self._states) < 0:
            self._tell()

    def end(self, now_ns: int) -> None:
        """Say that the request is done."""
        words = self._words
        self.served += 1
        words[self._served] = self.served
        words[self._ended] = now_ns
        words[self._began] = 0
        self._memory[self._state] = IDLE

    def note(self, oldest_ns: int, served: int, *, full: bool) -> None:
        """Say how a worker does that has many requests at once; ``oldest_ns`` 0: none."""
        self._words[self._served] = self.served = served
        if not oldest_ns:
            self._words[self._ended] = time.monotonic_ns()
        self._words[self._began] = oldest_ns
        self._memory[self._state] = BUSY if full else IDLE
        if full and self._memory[0] & TELL_SATURATED and self._memory.find(b"_", *self._states) < 0:
            self._tell()

    def leaving(self) -> None:
        """Say that it ends of its own will, in order."""
        self._memory[self._state] = LEAVING

    def _tell(self) -> None:
        with contextlib.suppress(OSError):
            os.eventfd_write(self._wake, 1)


class Worker:
    """Serve connections one after the other until told to leave."""

    def __init__(
        self,
        handler: Handler,
        listeners: Sequence[socket.socket],
        place: Place,
        *,
        receive_timeout: float,
        outgrown: Callable[[], bool] | None = None,
        at_fork: Callable[..., object] = os.register_at_fork,
    ) -> None:
        self._handler = handler
        self._listeners = listeners
        self._place = place
        self._receive_timeout = receive_timeout
        self._outgrown = outgrown
        self._at_fork = at_fork
        self._connected = self._connection_handler()
        self._manager = self._pid = 0
        self._stopping = False
        self._bell = (-1, -1)
        self.code = 0

    def prepare(self, numbers: Sequence[int]) -> None:
        """Begin in this process; let the signals ``numbers`` mean: finish the request, then leave."""
        self._manager, self._pid = os.getppid(), os.getpid()
        self._stopping = False
        if len(self._listeners) > 1:
            self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            signal.set_wakeup_fd(self._bell[1], warn_on_full_buffer=False)
        for number in numbers:
            _signal.signal(number, self._leave)

    def run(self, lifetime: int) -> None:
        """Serve up to ``lifetime`` requests (-1: any number)."""
        self._at_fork(after_in_child=self._forked)
        self.serve(lifetime, self._accept_one() if len(self._listeners) == 1 else self._accept_any())
        if self._pid != os.getpid():
            os._exit(0)  # the handler forked, and its child came back from it

    def serve(self, left: int, accept: Accept) -> None:
        """Serve what ``accept`` brings."""
        handle, outgrown = self._connected, self._outgrown
        place, clock = self._place, time.monotonic_ns
        begin, end = place.begin, place.end
        place.ready()
        while left and not self._stopping:
            try:
                descriptor, peer = accept()
            except OSError as error:
                if self._recovers(error):
                    continue
                break
            begin(clock())
            try:
                handle(descriptor, peer)
            except Exception as error:
                self._failed(error, peer)
            end(clock())
            left -= 1
            if outgrown is not None and outgrown():
                break

    def _connection_handler(self) -> Handler:
        """Return what makes a socket of an accepted descriptor, and gives it to the handler."""
        handler, limit = self._handler, b""
        if len(self._listeners) > 1:
            family = kind = protocol = -1
        else:
            listener = self._listeners[0]
            family, kind, protocol = listener.family, listener.type, listener.proto
        if self._receive_timeout and any(each.family == socket.AF_UNIX for each in self._listeners):
            limit = timeval(self._receive_timeout)  # TCP connections have it from their listener

        def handle(descriptor: int, peer: Any) -> None:
            connection = socket.socket(family, kind, protocol, descriptor)
            try:
                if limit:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
                handler(connection, peer)
            finally:
                connection.close()

        return handle

    def _accept_one(self) -> Accept:
        """Accept in the kernel's own queue: it wakes one worker for each connection."""
        # The half of accept() that is the system call; the other half makes an object that not everybody needs.
        return self._listeners[0]._accept  # type: ignore[attr-defined, no-any-return]

    def _accept_any(self) -> Accept:
        """Accept from several listeners; of the workers that wait, one is woken (EPOLLEXCLUSIVE)."""
        poll = select.epoll()
        by_number = {listener.fileno(): listener for listener in self._listeners}
        for number in by_number:
            poll.register(number, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        poll.register(self._bell[0], select.EPOLLIN)

        def accept() -> tuple[int, Any]:
            for number, _ in poll.poll():
                if number in by_number:
                    descriptor, peer = by_number[number]._accept()  # type: ignore[attr-defined]
                    os.set_blocking(descriptor, True)
                    return descriptor, peer
            with contextlib.suppress(BlockingIOError):
                os.read(self._bell[0], 64)
            raise BlockingIOError

        return accept

    def _recovers(self, error: OSError) -> bool:
        """Say whether to accept again after this error."""
        if self._stopping:  # the listener was taken away on purpose
            return False
        match error.errno:
            case errno.EAGAIN | errno.ECONNABORTED | errno.EINTR | errno.EPROTO | errno.EPERM:
                return True
            case errno.EMFILE:
                messages.error(
                    "worker %d has used up its descriptors and is replaced; does the handler leak?", self._pid
                )
                self.code = _OUT_OF_DESCRIPTORS
                return False
            case errno.ENFILE | errno.ENOBUFS | errno.ENOMEM:
                messages.warning("worker %d can't accept: %s", self._pid, error.strerror)
                time.sleep(_PAUSE)
                return True
        messages.error("worker %d can't accept: %s", self._pid, error)
        self.code = 1
        return False

    def _failed(self, error: Exception, peer: object) -> None:
        if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ECONNRESET, errno.EAGAIN, errno.ENOTCONN):
            messages.debug("%s went away, or was silent: %s", peer, error)
            return
        messages.error("handling %s: %s", peer, error, cause=error)
        if isinstance(error, MemoryError):
            self._stopping = True  # this request was the last

    def _leave(self, *_: object) -> None:
        if not self._stopping and len(self._listeners) == 1:
            _replace_by_null(self._listeners[0].fileno())
        self._stopping = True
        watch_orphan(self._manager)

    def _forked(self) -> None:
        self._stopping = True


def _replace_by_null(number: int) -> None:
    """Let an accept(2) that waits, and is interrupted and tried again, fail: then no client was taken."""
    try:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # no descriptor is left
        os.close(number)
    else:
        os.dup2(null, number, inheritable=False)
        os.close(null)


def watch_orphan(manager: int) -> None:
    """Give this worker little time to finish when its manager was killed."""
    if os.getppid() != manager:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, ORPHAN_PATIENCE)


def flush() -> None:
    """Write what is in the buffers of the standard streams; whoever reads them may be gone."""
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 -- contextlib.suppress would touch more memory, in each worker
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
