"""A worker whose handler is async: many connections at once in a loop of its own."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from genii.serve.worker import watch_orphan

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from genii.serve.model import EventLoop, Handler
    from genii.serve.worker import Place

__all__ = ["AsyncWorker", "loop_factory"]

_log = logging.getLogger("genii.prefork")


def loop_factory(choice: EventLoop) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop: uvloop where it is wanted, or where it is installed and nothing was said."""
    if choice != "asyncio":
        try:
            import uvloop

            return uvloop.new_event_loop  # type: ignore[no-any-return]
        except ImportError:
            if choice == "uvloop":
                from genii.errors import UsageError

                raise UsageError("event_loop='uvloop' needs uvloop; try: pip install uvloop") from None
    return asyncio.new_event_loop


class AsyncWorker:
    """Serve connections in tasks until told to leave; then finish those that are at work."""

    def __init__(
        self,
        handler: Handler,
        listeners: Sequence[socket.socket],
        place: Place,
        *,
        concurrency: int,
        request_timeout: float,
        event_loop: EventLoop,
        outgrown: Callable[[], bool] | None = None,
    ) -> None:
        self._handler = handler
        self._listeners = listeners
        self._place = place
        self._concurrency = concurrency
        self._timeout = request_timeout
        self._event_loop = event_loop
        self._outgrown = outgrown
        self._manager = 0
        self._began: dict[asyncio.Task[None], int] = {}
        self._numbers: Sequence[int] = ()
        self._left = -1
        self._served = 0
        self._paused = True
        self._early = False
        """Whether it was told to leave before its loop ran."""
        self.code = 0

    def prepare(self, numbers: Sequence[int]) -> None:
        """Begin in this process; let the signals ``numbers`` mean: finish what is at work, then leave."""
        self._manager = os.getppid()
        self._numbers = numbers
        for number in numbers:
            signal.signal(number, self._leave_early)

    def _leave_early(self, *_: object) -> None:
        self._early = True

    def run(self, lifetime: int) -> None:
        """Serve up to ``lifetime`` connections (-1: any number)."""
        self._left = lifetime
        with asyncio.Runner(loop_factory=loop_factory(self._event_loop)) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._leaving = asyncio.Event()
        for number in self._numbers:
            self._loop.add_signal_handler(number, self._leave)
        if self._timeout:
            self._loop.call_later(self._timeout / 4, self._watch)
        if not self._early:
            self._resume()
            self._place.ready()
            await self._leaving.wait()
        if self._began:
            await asyncio.wait(list(self._began))
        # The loop gives the signals their default action back when it closes, and we are on our way already.
        signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)

    def _leave(self) -> None:
        self._leaving.set()
        self._pause()
        watch_orphan(self._manager)

    def _resume(self) -> None:
        if self._paused and not self._leaving.is_set():
            self._paused = False
            for listener in self._listeners:
                self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            for listener in self._listeners:
                self._loop.remove_reader(listener.fileno())

    def _accept(self, listener: socket.socket) -> None:
        """Take one connection: the others that wait are for the other workers, or for the next turn."""
        if self._paused:
            return
        try:
            connection, peer = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EPROTO, errno.EPERM):
                self._refused(error)
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._handle(connection, peer))
        self._began[task] = time.monotonic_ns()
        task.add_done_callback(self._done)
        self._left -= 1
        if not self._left:
            self._leave()
        elif len(self._began) >= self._concurrency:
            self._pause()
        self._note()

    def _refused(self, error: OSError) -> None:
        """Wait until a connection ends, or a moment, before the next try."""
        _log.warning("worker %d can't accept: %s", os.getpid(), error.strerror)
        self._pause()
        self._loop.call_later(0.1, self._resume)

    async def _handle(self, connection: socket.socket, peer: Any) -> None:
        try:
            await self._handler(connection, peer)  # type: ignore[misc]
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                _log.exception("handling %s", peer)
        except MemoryError:
            _log.exception("handling %s", peer)
            self._leave()  # those that are at work were the last
        except Exception:
            _log.exception("handling %s", peer)
        except asyncio.CancelledError:
            _log.warning("handling %s took longer than %g s and was cancelled", peer, self._timeout)
        finally:
            connection.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._began[task]
        self._served += 1
        if self._outgrown is not None and self._outgrown():
            self._leave()
        if len(self._began) < self._concurrency:
            self._resume()
        self._note()

    def _note(self) -> None:
        oldest = next(iter(self._began.values()), 0)
        self._place.note(oldest, self._served, full=len(self._began) >= self._concurrency)

    def _watch(self) -> None:
        """Cancel what takes too long."""
        limit = time.monotonic_ns() - int(self._timeout * 1e9)
        for task, began in list(self._began.items()):
            if began > limit:
                break
            task.cancel()
        self._loop.call_later(self._timeout / 4, self._watch)
