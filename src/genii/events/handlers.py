"""Run the handlers of an App: async ones as tasks, others in threads or inline; what they raise ends in the log."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from genii.events.source import Source
    from genii.system.threads import ThreadPool

__all__ = ["Handler", "Runner", "Statistics"]

_log = logging.getLogger("genii.app")
_SLOW = 0.5
"""An inline handler that takes longer than so many seconds is told of: it held up everything else."""


@dataclass(slots=True)
class Statistics:
    """What a handler has done."""

    runs: int = 0
    failures: int = 0
    missed: int = 0
    """Times it was due and not called: it still ran, the program was held up or asleep."""
    running: int = 0
    seconds: float = 0.0


class Handler:
    """A function that was registered, and how it is to be run.

    It is called with the event if it has a positional parameter, and without if it has none.
    """

    def __init__(self, function: Callable[..., Any], *, what: str, inline: bool = False) -> None:
        if not callable(function):
            raise TypeError(f"{what}: expected a function, not {function!r}")
        self.function = function
        self.name = getattr(function, "__qualname__", None) or repr(function)
        self.what = what
        self.inline = inline
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 -- an object with an async __call__
        )
        self.takes_event = _takes_argument(function)
        self.statistics = Statistics()

    def __str__(self) -> str:
        return f"{self.name} ({self.what})"

    def call(self, event: object) -> Any:
        """Call the function itself."""
        return self.function(event) if self.takes_event else self.function()


class Runner:
    """Run handlers for one app, and keep count of those that run."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: ThreadPool,
        failed: Callable[[Handler, Exception], None],
        forget: Callable[[Source], None],
    ) -> None:
        self.loop = loop
        self.forget = forget
        self._pool = pool
        self._failed = failed
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, handler: Handler, event: object, done: Callable[[], None] | None = None) -> None:
        """Start a handler; ``done`` is called in the loop when it has ended, however it did."""
        if handler.inline and not handler.is_async:
            self._run_inline(handler, event)
            if done is not None:
                done()
        else:
            self.keep(self._attend(handler, event, done))

    def in_loop(self, function: Callable[[], object]) -> None:
        """Call a function in the loop: now if this is its thread, otherwise as soon as it turns."""
        if asyncio._get_running_loop() is self.loop:
            function()
        else:
            self.loop.call_soon_threadsafe(function)

    def keep(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine as a task of the app."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def call(self, handler: Handler, call: Callable[[], Any]) -> Any:
        """Call a handler by the function given, in the way that it is to be run; its exceptions come through."""
        counts = handler.statistics
        counts.running += 1
        started = time.perf_counter()
        try:
            if handler.is_async:
                return await call()
            result = await asyncio.get_running_loop().run_in_executor(self._pool, call)
            return await result if inspect.isawaitable(result) else result
        except Exception:
            counts.failures += 1
            raise
        finally:
            counts.running -= 1
            counts.runs += 1
            counts.seconds += time.perf_counter() - started

    async def finish(self, seconds: float) -> list[str]:
        """Wait for the handlers that run, then cancel them; return the names of those that had to be."""
        tasks = self._tasks - {asyncio.current_task()}
        if not tasks:
            return []
        _, pending = await asyncio.wait(tasks, timeout=seconds)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=1.0)
        return [task.get_name() for task in pending]

    def leave_behind(self, pool: ThreadPool) -> None:
        """Give up the threads that hang in handlers, and use those of another pool from now on."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = pool

    async def _attend(self, handler: Handler, event: object, done: Callable[[], None] | None) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name(str(handler))
        try:
            await self.call(handler, lambda: handler.call(event))
        except Exception as error:
            self._tell(handler, error)
        finally:
            if done is not None:
                done()

    def _run_inline(self, handler: Handler, event: object) -> None:
        counts = handler.statistics
        started = time.perf_counter()
        try:
            handler.call(event)
        except Exception as error:
            counts.failures += 1
            self._tell(handler, error)
        seconds = time.perf_counter() - started
        counts.runs += 1
        counts.seconds += seconds
        if seconds > _SLOW:
            _log.warning("%s held up the program for %.1f s; don't run it inline", handler, seconds)

    def _tell(self, handler: Handler, error: Exception) -> None:
        _log.error("%s failed: %s", handler, str(error) or type(error).__name__, exc_info=error)
        self._failed(handler, error)


def _takes_argument(function: Callable[..., Any]) -> bool:
    """Say whether a function can be called with one positional argument, and wants it."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return False
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return True
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            return parameter.default is parameter.empty
    return False
