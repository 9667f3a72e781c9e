"""Who does the work: a coroutine, a thread, or a process; each does one item at a time."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal, Protocol

from genii.errors import UsageError
from genii.system.threads import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    Under = Literal["coroutines", "threads", "processes"]

__all__ = ["Worker", "choose", "serve"]


class Worker(Protocol):
    """One worker of a pool."""

    async def call(self, item: Any) -> Any:
        """Do the work on one item; raises what the work raises."""

    async def discard(self) -> None:
        """Give up what is being done, since it takes too long; the next call begins afresh."""

    async def close(self) -> None:
        """End; what is being done is cancelled, awaited or killed."""


def choose(work: Callable[[Any], Any], under: Under | None) -> Callable[[], Worker]:
    """Return what makes a worker; None chooses coroutines for async work, threads for any other.

    Raises:
        UsageError: the work can't be done that way.
    """
    is_async = inspect.iscoroutinefunction(work) or inspect.iscoroutinefunction(getattr(work, "__call__", None))  # noqa: B004
    chosen = under or ("coroutines" if is_async else "threads")
    if chosen not in ("coroutines", "threads", "processes"):
        raise UsageError(f"{under!r}: expected 'coroutines', 'threads' or 'processes'")
    if is_async != (chosen == "coroutines"):
        kind, hint = ("async", "coroutines") if is_async else ("not async", "threads or processes")
        raise UsageError(f"{getattr(work, '__name__', work)!s} is {kind}: it runs as {hint}")
    if chosen == "processes":
        return lambda: _ProcessWorker(work)
    return (lambda: _CoroutineWorker(work)) if chosen == "coroutines" else (lambda: _ThreadWorker(work))


class _CoroutineWorker:
    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work

    async def call(self, item: Any) -> Any:
        return await self._work(item)

    async def discard(self) -> None:
        """Do nothing: the time-out has cancelled it."""

    async def close(self) -> None:
        """Do nothing: the task was cancelled."""


class _ThreadWorker:
    """A thread of its own, so that one that hangs can be left behind without shrinking the pool."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work
        self._pool: ThreadPool | None = None
        self._call: asyncio.Future[Any] | None = None

    async def call(self, item: Any) -> Any:
        if self._pool is None:
            self._pool = ThreadPool(1, name="genii-worker")
        self._call = asyncio.get_running_loop().run_in_executor(self._pool, self._work, item)
        result = await asyncio.shield(self._call)
        self._call = None
        return result

    async def discard(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None
        if self._call is not None:
            self._call.add_done_callback(_forget_result)
            self._call = None

    async def close(self) -> None:
        """Wait for the call that is going on: a thread can't be cancelled, and must not go on unseen."""
        call, self._call = self._call, None
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None
        if call is not None:
            await asyncio.wait({call})
            _forget_result(call)


def _forget_result(call: asyncio.Future[Any]) -> None:
    """Fetch the exception, so that asyncio does not complain that nobody did."""
    if not call.cancelled():
        call.exception()


class _ProcessWorker:
    """A fresh interpreter (not a fork: threads and loops don't survive one) that is killed when it takes too long."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work
        self._thread = ThreadPool(1, name="genii-process")
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._call: asyncio.Future[Any] | None = None

    async def call(self, item: Any) -> Any:
        self._call = asyncio.get_running_loop().run_in_executor(self._thread, self._ask, item)
        good, value = await asyncio.shield(self._call)
        self._call = None
        if not good:
            raise value
        return value

    async def discard(self) -> None:
        call, self._call = self._call, None
        if self._process is not None:
            self._process.kill()
        if call is not None:
            await asyncio.wait({call})  # its pipe has ended, so that this is short
            _forget_result(call)
        self._bury()

    async def close(self) -> None:
        await self.discard()
        self._thread.shutdown(wait=False)

    def _ask(self, item: Any) -> tuple[bool, Any]:
        """Have the process do one item; runs in the thread."""
        if self._process is not None and self._process.poll() is not None:
            self._bury()
        if self._connection is None:
            self._spawn()
        assert self._connection is not None
        assert self._process is not None
        try:
            self._connection.send(item)
            answer: tuple[bool, Any] = self._connection.recv()
        except (EOFError, ConnectionError):
            status = self._process.wait()
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            return False, UsageError(f"the process that did the work ended ({how})")
        return answer

    def _spawn(self) -> None:
        from multiprocessing import spawn
        from multiprocessing.connection import Connection

        ours, theirs = socket.socketpair()
        with theirs:
            code = f"from genii.patterns.workers import serve; serve({theirs.fileno()})"
            self._process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()])
        self._connection = Connection(ours.detach())
        preparation = spawn.get_preparation_data("genii-worker")
        preparation.pop("authkey", None)  # a secret of the parent that refuses to be pickled
        self._connection.send(preparation)
        self._connection.send(self._work)

    def _bury(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def serve(descriptor: int) -> None:
    """Be the process of a worker: take the work, then items until the parent closes the connection."""
    import pickle
    import signal
    from multiprocessing import spawn
    from multiprocessing.connection import Connection

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's ^C is for the boss, who ends us
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    try:
        spawn.prepare(connection.recv())
        work, broken = None, None
        try:
            work = connection.recv()
        except (AttributeError, ImportError, pickle.UnpicklingError) as error:
            broken = UsageError(f"the work can't be found in a fresh process: {error}")
        while True:
            item = connection.recv()
            answer = (False, broken) if work is None else _try(work, item)
            try:
                connection.send(answer)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                connection.send((False, UsageError(f"the result can't be sent to another process: {error}")))
    except (EOFError, ConnectionError):
        return


def _try(work: Callable[[Any], Any], item: Any) -> tuple[bool, Any]:
    try:
        return True, work(item)
    except Exception as error:
        import traceback

        error.add_note("in the worker process:\n" + "".join(traceback.format_exception(error)).rstrip())
        return False, error
