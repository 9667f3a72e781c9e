"""Call the functions of a file of tasks: ``async`` ones in the loop, plain ones in threads that wait for the loop.

Whatever such a function raises stays with its host: neither ``sys.exit`` nor ``StopIteration`` ends anything else.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from genii.errors import UsageError
from genii.fleet.blocking import Abandoned, Remote
from genii.system.threads import ThreadPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from genii.fleet.verbs import AsyncRemote

__all__ = ["Caller"]

_PATIENCE = 2.0
"""Seconds that a thread has to end after its host was taken from it; then it is left behind."""


class Caller:
    """Threads for so many hosts at once."""

    def __init__(self, limit: int) -> None:
        self._threads = ThreadPool(limit + 1, name="genii-task")

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)

    async def call(self, function: Callable[..., Any], *given: Any) -> Any:
        """Call a function that has nothing to do with one host."""
        if inspect.iscoroutinefunction(function):
            return await _contained(function, *given)
        return await self._in_thread(partial(function, *given), None)

    async def call_on(self, remote: AsyncRemote, function: Callable[..., Any], *given: Any, **values: Any) -> Any:
        """Call a function with a host of its kind, and with more.

        When this is cancelled, what the function waits for on the host is ended, and it can begin nothing more there.
        """
        if inspect.iscoroutinefunction(function):
            return await _contained(function, remote, *given, **values)
        waiting = Remote(remote, asyncio.get_running_loop())
        try:
            return await self._in_thread(partial(function, waiting, *given, **values), waiting)
        finally:
            waiting.abandon()  # a thread that the function has left behind can do nothing more, either

    @asynccontextmanager
    async def around(self, remote: AsyncRemote, hook: Callable[..., Any]) -> AsyncIterator[None]:
        """Run a generator to its ``yield``, and to its end behind what this is around."""
        if inspect.isasyncgenfunction(hook):
            async with asynccontextmanager(hook)(remote):
                yield
            return
        waiting = Remote(remote, asyncio.get_running_loop())
        manager = contextmanager(hook)(waiting)
        try:
            await self._in_thread(manager.__enter__, waiting)
            try:
                yield
            except Exception as error:
                leave = partial(manager.__exit__, type(error), error, error.__traceback__)
                if not await self._in_thread(leave, waiting):
                    raise
            else:
                await self._in_thread(partial(manager.__exit__, None, None, None), waiting)
        finally:
            waiting.abandon()
            with suppress(Abandoned, Exception):  # where it was interrupted before its end
                manager.gen.close()

    async def _in_thread(self, work: Callable[[], Any], waiting: Remote | None) -> Any:
        call = partial(contextvars.copy_context().run, partial(_guarded, work))
        future = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if waiting is not None:
                waiting.abandon()
            await asyncio.wait({future}, timeout=_PATIENCE)
            if future.done() and not future.cancelled():
                future.exception()  # nobody else asks for it
            raise


def _guarded(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (SystemExit, KeyboardInterrupt, StopIteration) as error:
        raise _ended(error) from error


async def _contained(function: Callable[..., Any], *given: Any, **values: Any) -> Any:
    try:
        return await function(*given, **values)
    except (SystemExit, KeyboardInterrupt) as error:
        raise _ended(error) from error


def _ended(error: BaseException) -> UsageError:
    """Make an outcome of one host of what would end the whole program."""
    text = f"the task raised {type(error).__name__}{f' ({error})' if str(error) else ''}: it ends on this host only"
    return UsageError(text).with_traceback(error.__traceback__)
