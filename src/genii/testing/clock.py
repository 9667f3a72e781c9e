"""A clock that jumps: hours of timers and schedules pass in milliseconds, always in the same order."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Executor

    from genii.events.app import App

__all__ = ["VirtualTime"]

T = TypeVar("T")


class VirtualTime:
    """Time that passes only when everybody waits for it; also a ``genii.clock.Clock``.

    ``run`` executes a coroutine in a loop of its own whose time jumps to the next timer whenever nothing is ready and
    no thread of the loop works. Sockets, pipes and processes live in real time: what waits for them *and* for a
    timer is likely to see the timer first.

    Args:
        start: the wall time at the start, in seconds since the epoch.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._elapsed = 0.0
        self._wall = start
        self._apps: list[App] = []

    def monotonic(self) -> float:
        """Return the seconds that have passed since the start."""
        return self._elapsed

    def time(self) -> float:
        """Return the wall time."""
        return self._wall + self._elapsed

    def advance(self, seconds: float) -> None:
        """Let time pass at once; timers of the loop that are due then run late."""
        if seconds < 0:
            raise ValueError("time does not go back; to set the clock back use set_time")
        self._elapsed += seconds

    def set_time(self, wall_time: float) -> None:
        """Set the wall clock, as an administrator does; the apps that run are told."""
        self._wall = wall_time - self._elapsed
        for app in self._apps:
            app.clock_was_set()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end in virtual time and return its result."""
        with asyncio.Runner(loop_factory=lambda: _VirtualLoop(self)) as runner:
            return runner.run(main)

    def run_app(self, app: App, seconds: float, then: Callable[[], object] | None = None) -> None:
        """Run an app for so many virtual seconds; ``then`` is called before it is stopped."""

        async def main() -> None:
            async with self.attached(app):
                await asyncio.sleep(seconds)
                if then is not None:
                    then()

        self.run(main())

    def attached(self, app: App) -> _Attached:
        """Run an app by this clock within ``async with``, inside of a coroutine given to ``run``."""
        return _Attached(self, app, self._apps)


class _Attached:
    def __init__(self, time: VirtualTime, app: App, apps: list[App]) -> None:
        self._time = time
        self._app = app
        self._apps = apps
        self._clock = app.clock

    async def __aenter__(self) -> App:
        self._app.clock = self._time
        self._apps.append(self._app)
        return await self._app.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        try:
            await self._app.__aexit__(None, None, None)
        finally:
            self._apps.remove(self._app)
            self._app.clock = self._clock


class _VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that lets time jump instead of waiting."""

    def __init__(self, time: VirtualTime) -> None:
        self._virtual = time
        self._threads = 0
        super().__init__(_JumpingSelector(time, lambda: self._threads > 0))

    def time(self) -> float:
        return self._virtual.monotonic()

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Count the calls that threads work on: no time passes while they do."""
        self._threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *arguments: Any) -> None:
        """Join the threads in real time: the time-out that Python 3.12 and later have for it must not jump."""
        self._threads += 1
        try:
            await super().shutdown_default_executor(*arguments)
        finally:
            self._threads -= 1

    def _thread_done(self, future: asyncio.Future[Any]) -> None:  # noqa: ARG002 -- the signature of a callback
        self._threads -= 1


class _JumpingSelector(selectors.BaseSelector):
    """Wait for descriptors in real time, for timers not at all."""

    def __init__(self, time: VirtualTime, busy: Callable[[], bool]) -> None:
        self._time = time
        self._busy = busy
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self._busy():
            return self._real.select(None)
        self._time.advance(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()
