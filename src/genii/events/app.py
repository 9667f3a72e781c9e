"""A resident program in ten lines: handlers for signals, timers, schedules, files, children, descriptors and HTTP.

An ``App`` registers and connects; what it connects lives in the other modules of this package.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

from genii.errors import UsageError
from genii.events.handlers import Handler, Runner
from genii.events.signals import Signals
from genii.events.source import Source
from genii.events.timers import CronTimer, Delay, Repeater
from genii.system.clock import SystemClock
from genii.system.threads import ThreadPool
from genii.units import format_signal, parse_signal

if TYPE_CHECKING:
    import os
    import signal
    import subprocess
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType

    from genii.clock import Clock
    from genii.events.http import Server
    from genii.events.pages import Pages
    from genii.events.schedule import Missed, Overlap
    from genii.events.sources import Child, Descriptor, FileWatch
    from genii.events.wire import Limits
    from genii.system.clockwatch import ClockWatch

    Function = Callable[..., object]
    F = TypeVar("F", bound=Function)

__all__ = ["App"]

_log = logging.getLogger("genii.app")


S = TypeVar("S", bound=Source)


class App:
    """Register handlers, then ``run()``; each method is a decorator, or takes the handler as its second argument.

    Handlers may be ``async``; others run in a thread, so that they hold up nothing, or in the loop with
    ``inline=True``. An exception in a handler is logged and ends nothing.

    Args:
        listen: where its HTTP pages are served: ``127.0.0.1:9090``, ``unix:/run/my.sock``; None: nowhere.
        timezone: where the hours of its schedules are; empty: the zone of the machine.
        threads: how many handlers that are not async may run at once; with 1 they never meet each other.
        stop_timeout: seconds that handlers have to end when the app is stopped, and stop handlers to run thereafter.
        on_error: ``stop`` ends the app with status 1 when a handler fails.
        health: whether ``GET /health`` answers that the app runs.
        metrics: whether ``GET /metrics`` tells its figures in the text format of Prometheus.
        limits: of its HTTP server.
        socket_mode: of a unix socket that it listens on.
    """

    def __init__(
        self,
        *,
        listen: str | None = None,
        timezone: str = "",
        threads: int = 8,
        stop_timeout: float = 10.0,
        on_error: Literal["log", "stop"] = "log",
        health: bool = False,
        metrics: bool = False,
        limits: Limits | None = None,
        socket_mode: int = 0o600,
    ) -> None:
        if on_error not in ("log", "stop"):
            raise ValueError(f"on_error {on_error!r}: expected 'log' or 'stop'")
        self.clock: Clock = SystemClock()
        """Asked for the wall time of schedules; tests put another one here (``genii.testing.VirtualTime``)."""
        self.addresses: list[str] = []
        """Where it listens, once it has started; port 0 is replaced by the port taken."""
        self._listen = listen
        self._timezone = timezone
        self._threads = threads
        self._stop_timeout = stop_timeout
        self._on_error = on_error
        self._limits = limits
        self._socket_mode = socket_mode
        self._sources: dict[Source, None] = {}
        self._signals: dict[signal.Signals, list[Handler]] = {}
        self._start_handlers: list[Handler] = []
        self._stop_handlers: list[Handler] = []
        self._pages_made: Pages | None = None
        self._gauges: dict[str, Callable[[], float]] = {}
        self._session: _Session | None = None
        if health:
            self.get("/health", self._health, inline=True)
        if metrics:
            self.get("/metrics", self._metrics, inline=True)

    # ------------------------------------------------------------------ registering

    @overload
    def after(self, seconds: float, handler: Function, *, inline: bool = ...) -> Delay: ...
    @overload
    def after(self, seconds: float, handler: None = ..., *, inline: bool = ...) -> Callable[[F], F]: ...
    def after(self, seconds: float, handler: Function | None = None, *, inline: bool = False) -> Any:
        """Call the handler once, so many seconds after the start (or from now, if the app runs)."""
        return self._add(
            handler, lambda function: Delay(Handler(function, what=f"after {seconds:g}s", inline=inline), seconds)
        )

    @overload
    def every(self, seconds: float, handler: Function, *, at_once: bool = ..., inline: bool = ...) -> Repeater: ...
    @overload
    def every(
        self, seconds: float, handler: None = ..., *, at_once: bool = ..., inline: bool = ...
    ) -> Callable[[F], F]: ...
    def every(
        self, seconds: float, handler: Function | None = None, *, at_once: bool = False, inline: bool = False
    ) -> Any:
        """Call the handler every so many seconds, without drift; the first time after one interval, or ``at_once``.

        It gets a ``Tick``. Beats that come while it still runs, or while the program is held up, are joined to the
        next one and counted in ``Tick.missed``. The ``Repeater`` that is returned can pause and resume.
        """
        return self._add(
            handler,
            lambda function: Repeater(
                Handler(function, what=f"every {seconds:g}s", inline=inline), seconds, at_once=at_once
            ),
        )

    @overload
    def cron(
        self, expression: str, handler: Function, *, timezone: str | None = ..., overlap: Overlap = ...,
        jitter: float = ..., missed: Missed = ..., inline: bool = ...,
    ) -> CronTimer: ...  # fmt: skip
    @overload
    def cron(
        self, expression: str, handler: None = ..., *, timezone: str | None = ..., overlap: Overlap = ...,
        jitter: float = ..., missed: Missed = ..., inline: bool = ...,
    ) -> Callable[[F], F]: ...  # fmt: skip
    def cron(
        self,
        expression: str,
        handler: Function | None = None,
        *,
        timezone: str | None = None,
        overlap: Overlap = "skip",
        jitter: float = 0.0,
        missed: Missed = "skip",
        inline: bool = False,
    ) -> Any:
        """Call the handler by the calendar: ``*/5 * * * *``, ``5 seconds``, ``06:30``, ``@daily`` (``events.cron``).

        Overlap, jitter and missed runs are explained in ``genii.events.schedule``. It gets a ``Tick``.

        Raises:
            ValueError: the expression is wrong; the message names the field.
        """
        from genii.events.cron import parse
        from genii.events.schedule import Schedule
        from genii.events.zone import load_zone

        parsed = parse(expression, load_zone(self._timezone if timezone is None else timezone))

        def make(function: Function) -> CronTimer:
            schedule = Schedule(parsed, overlap=overlap, jitter=jitter, missed=missed)
            return CronTimer(Handler(function, what=f"cron {expression}", inline=inline), schedule)

        return self._add(handler, make)

    @overload
    def watch(
        self, paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], handler: Function, *,
        ignore: Iterable[str] = ..., only: Iterable[str] = ..., gitignore: bool = ..., debounce: float = ...,
        recursive: bool = ..., missing: Literal["error", "wait"] = ..., inline: bool = ...,
    ) -> FileWatch: ...  # fmt: skip
    @overload
    def watch(
        self, paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], handler: None = ..., *,
        ignore: Iterable[str] = ..., only: Iterable[str] = ..., gitignore: bool = ..., debounce: float = ...,
        recursive: bool = ..., missing: Literal["error", "wait"] = ..., inline: bool = ...,
    ) -> Callable[[F], F]: ...  # fmt: skip
    def watch(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        handler: Function | None = None,
        *,
        ignore: Iterable[str] = (),
        only: Iterable[str] = (),
        gitignore: bool = False,
        debounce: float = 0.0,
        recursive: bool = True,
        missing: Literal["error", "wait"] = "error",
        inline: bool = False,
    ) -> Any:
        """Call the handler with each ``Batch`` of changes below some paths; see ``genii.events.watch.Watcher``."""
        from genii.events.sources import FileWatch
        from genii.events.watch import Watcher

        def make(function: Function) -> FileWatch:
            watcher = Watcher(
                paths, ignore=ignore, only=only, gitignore=gitignore, debounce=debounce, recursive=recursive,
                missing=missing,
            )  # fmt: skip
            return FileWatch(Handler(function, what="watch " + " ".join(watcher.paths), inline=inline), watcher)

        return self._add(handler, make)

    @overload
    def child(self, process: int | subprocess.Popen[Any], handler: Function, *, inline: bool = ...) -> Child: ...
    @overload
    def child(
        self, process: int | subprocess.Popen[Any], handler: None = ..., *, inline: bool = ...
    ) -> Callable[[F], F]: ...
    def child(
        self, process: int | subprocess.Popen[Any], handler: Function | None = None, *, inline: bool = False
    ) -> Any:
        """Call the handler with the exit status of a child process when it has ended; -N stands for signal N."""
        from genii.events.sources import Child

        pid = process if isinstance(process, int) else process.pid
        return self._add(
            handler, lambda function: Child(Handler(function, what=f"child {pid}", inline=inline), process)
        )

    @overload
    def io(self, file: Any, handler: Function, *, mode: Literal["r", "w"] = ..., inline: bool = ...) -> Descriptor: ...
    @overload
    def io(
        self, file: Any, handler: None = ..., *, mode: Literal["r", "w"] = ..., inline: bool = ...
    ) -> Callable[[F], F]: ...
    def io(
        self, file: Any, handler: Function | None = None, *, mode: Literal["r", "w"] = "r", inline: bool = False
    ) -> Any:
        """Call the handler whenever a descriptor (or what has ``fileno()``) can be read from, or written to."""
        from genii.events.sources import Descriptor

        if mode not in ("r", "w"):
            raise ValueError(f"mode {mode!r}: expected 'r' or 'w'")
        number = file if isinstance(file, int) else file.fileno()
        return self._add(
            handler,
            lambda function: Descriptor(Handler(function, what=f"io {number} {mode}", inline=inline), number, mode),
        )

    @overload
    def signal(self, name: str | int, handler: F, *, inline: bool = ...) -> F: ...
    @overload
    def signal(self, name: str | int, handler: None = ..., *, inline: bool = ...) -> Callable[[F], F]: ...
    def signal(self, name: str | int, handler: Function | None = None, *, inline: bool = False) -> Any:
        """Call the handler when the signal has come, outside of the signal context; it gets the ``signal.Signals``.

        With a handler for INT or TERM these don't stop the app any more, unless the handler calls ``stop``.

        Raises:
            ValueError: there is no such signal.
            UsageError: it can't be caught.
        """
        number = parse_signal(name)
        Signals().on(number, lambda: None)  # refuses KILL and STOP

        def register(function: F) -> F:
            handlers = self._signals.setdefault(number, [])
            handlers.append(Handler(function, what=f"signal {format_signal(number)}", inline=inline))
            session = self._session
            if session is not None and len(handlers) == 1:
                session.runner.in_loop(lambda: session.catch(number))
            return function

        return register if handler is None else register(handler)

    def on_start(self, handler: F) -> F:
        """Call the handler before anything else happens; if it fails, the app does not start."""
        self._start_handlers.append(Handler(handler, what="on_start"))
        return handler

    def on_stop(self, handler: F) -> F:
        """Call the handler when the app ends, after the others have ended; several run in turn, the last one first."""
        self._stop_handlers.append(Handler(handler, what="on_stop"))
        return handler

    @overload
    def route(self, method: str, path: str, handler: F, *, inline: bool = ...) -> F: ...
    @overload
    def route(self, method: str, path: str, handler: None = ..., *, inline: bool = ...) -> Callable[[F], F]: ...
    def route(self, method: str, path: str, handler: Function | None = None, *, inline: bool = False) -> Any:
        """Answer requests: a str is sent as plain text, bytes as they are, a ``Response`` too, anything else as JSON.

        ``/files/{name}`` passes the segment as the argument ``name``. A handler that needs more than microseconds
        should not be ``inline``; one that just shows a number answers three times as fast if it is.
        """

        def register(function: F) -> F:
            if self._listen is None:
                raise UsageError(f"{method} {path} can't be served: say where, as in App(listen='127.0.0.1:9090')")
            self._pages().add(method, path, Handler(function, what=f"{method} {path}", inline=inline))
            return function

        return register if handler is None else register(handler)

    @overload
    def get(self, path: str, handler: F, *, inline: bool = ...) -> F: ...
    @overload
    def get(self, path: str, handler: None = ..., *, inline: bool = ...) -> Callable[[F], F]: ...
    def get(self, path: str, handler: Function | None = None, *, inline: bool = False) -> Any:
        """Answer GET (and HEAD) requests; see ``route``."""
        return self.route("GET", path, handler, inline=inline)

    @overload
    def post(self, path: str, handler: F, *, inline: bool = ...) -> F: ...
    @overload
    def post(self, path: str, handler: None = ..., *, inline: bool = ...) -> Callable[[F], F]: ...
    def post(self, path: str, handler: Function | None = None, *, inline: bool = False) -> Any:
        """Answer POST requests; see ``route``."""
        return self.route("POST", path, handler, inline=inline)

    def gauge(self, name: str, value: Callable[[], float]) -> None:
        """Show a number of the program's own on ``/metrics``; ``value`` is called for each request."""
        from genii.events.pages import check_metric_name

        self._gauges[check_metric_name(name)] = value

    @overload
    def _add(self, handler: Function, make: Callable[[Function], S]) -> S: ...
    @overload
    def _add(self, handler: None, make: Callable[[Function], S]) -> Callable[[F], F]: ...
    def _add(self, handler: Function | None, make: Callable[[Function], S]) -> Any:
        if handler is not None:
            return self._register(make(handler))

        def decorate(function: F) -> F:
            self._register(make(function))
            return function

        return decorate

    def _register(self, source: S) -> S:
        self._sources[source] = None
        if self._session is not None:
            self._session.begin(source)
        return source

    def _pages(self) -> Pages:
        if self._pages_made is None:
            from genii.events.pages import Pages

            self._pages_made = Pages()
        return self._pages_made

    # ------------------------------------------------------------------ running

    def run(self) -> int:
        """Run until ``stop`` is called, or INT or TERM comes; return the exit status, for ``sys.exit``.

        0: stopped by ``stop``; 128+N: by signal N; 1: a handler failed (``on_error="stop"``) or a stop handler did.
        A second INT or TERM ends the patience with handlers that don't end, a third that with stop handlers.

        Raises:
            UsageError: a loop runs in this thread already; ``await app.serve()`` there.
        """
        if asyncio._get_running_loop() is not None:
            raise UsageError("a loop runs here already: use 'await app.serve()' or 'async with app'")
        return asyncio.run(self.serve(stop_signals=("INT", "TERM")))

    async def serve(self, *, stop_signals: Iterable[str] = ()) -> int:
        """Run within the loop that runs already, until ``stop`` is called or a stop signal comes; return the status."""
        session = _Session(self, tuple(parse_signal(name) for name in stop_signals))
        await session.start()
        try:
            await session.stopped.wait()
        finally:
            await session.end()
        return session.status

    async def __aenter__(self) -> Self:
        session = _Session(self, ())
        await session.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.end()

    def stop(self, status: int = 0) -> None:
        """End the app; ``run`` returns ``status``. May be called from handlers, other threads, and more than once."""
        if self._session is not None:
            self._session.stop(status)

    def clock_was_set(self) -> None:
        """Look at the schedules again; the app does so by itself when the system's clock was set."""
        for source in list(self._sources):
            if isinstance(source, CronTimer):
                source.check()

    def handlers(self) -> list[Handler]:
        """Return all handlers of timers, schedules, files, children, descriptors and signals, with their statistics."""
        return [source.handler for source in list(self._sources)] + [
            handler for handlers in self._signals.values() for handler in handlers
        ]

    def _health(self) -> object:
        from genii.events.message import Response

        started = self._session.started if self._session is not None else time.monotonic()
        # By hand: it is asked of every program, also of those that need no library for JSON.
        text = f'{{"status":"ok","uptime":{time.monotonic() - started:.3f}}}'
        return Response(200, text.encode(), "application/json")

    def _metrics(self) -> object:
        from genii.events.message import Response
        from genii.events.pages import render_metrics

        gauges = {name: value() for name, value in self._gauges.items()}
        counters: dict[str, float] = {}
        if self._session is not None and self._session.server is not None:
            http = self._session.server.statistics()
            gauges["genii_http_connections"] = http.connections
            counters["genii_http_requests_total"] = http.requests
            counters["genii_http_failures_total"] = http.failures
        text = render_metrics(self.handlers(), gauges, counters)
        return Response(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")


class _Session:
    """One run of an app: what exists only while it runs."""

    def __init__(self, app: App, stop_signals: tuple[signal.Signals, ...]) -> None:
        if app._session is not None:
            raise UsageError("the app runs already")
        self.app = app
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.started = time.monotonic()
        self.status = 0
        self.stopped = asyncio.Event()
        self.server: Server | None = None
        self._hurry = asyncio.Event()
        self._stop_signals = stop_signals
        self._signals: Signals | None = None
        self._clock_watch: ClockWatch | None = None
        self._pool = ThreadPool(app._threads)
        self._added: set[Source] = set()
        self.runner = Runner(self.loop, self._pool, self._failed, self._forget)

    async def start(self) -> None:
        """Begin with what can fail, so that nothing has happened if it does."""
        app = self.app
        app._session = self
        try:
            self._catch_signals()
            await self._open_server()
            for source in list(app._sources):
                await source.prepare()
            for handler in app._start_handlers:
                await self.runner.call(handler, partial(handler.call, app))
            for source in list(app._sources):
                source.start(self.runner, app.clock)
            if isinstance(app.clock, SystemClock) and any(isinstance(source, CronTimer) for source in app._sources):
                self._watch_clock()
        except BaseException:
            self._release()
            if self.server is not None:
                await self.server.close(0)
            raise

    async def end(self) -> None:
        """Listen to nothing more, let handlers end, run the stop handlers; each of both within ``stop_timeout``."""
        for source in list(self.app._sources):
            source.cancel()
        if not await self._patiently(self._let_handlers_end(), "handlers"):
            # Stop handlers run all the same, what they put in order matters the more; but they need threads.
            self._pool = ThreadPool(1)
            self.runner.leave_behind(self._pool)
        await self._patiently(self._run_stop_handlers(), "stop handlers")
        await self.runner.finish(0)
        self._release()

    async def _patiently(self, work: Coroutine[Any, Any, None], what: str) -> bool:
        """Do it within ``stop_timeout``, or until somebody is in a hurry; say whether it was done."""
        patience = self.loop.create_task(work)
        hurry = self.loop.create_task(self._hurry.wait())
        await asyncio.wait({patience, hurry}, timeout=self.app._stop_timeout, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        done = patience.done()
        if not done:
            _log.error("%s did not end within %g s and were left behind", what, self.app._stop_timeout)
            self.status = self.status or 1
        patience.cancel()
        await asyncio.wait({patience, hurry})
        self._hurry.clear()
        return done

    async def _let_handlers_end(self) -> None:
        if self.server is not None:
            await self.server.close(self.app._stop_timeout)
        await self.runner.finish(self.app._stop_timeout)

    async def _run_stop_handlers(self) -> None:
        app = self.app
        for handler in reversed(app._stop_handlers):
            try:
                await self.runner.call(handler, partial(handler.call, app))
            except Exception as error:
                _log.error("%s failed: %s", handler, error, exc_info=error)
                self.status = self.status or 1

    def begin(self, source: Source) -> None:
        """Start a source that was registered while the app runs; it is forgotten when it has done its work."""
        self._added.add(source)
        source.expect(self.runner)
        if type(source).prepare is Source.prepare:
            self.runner.in_loop(lambda: self._start(source))
        else:
            self.runner.in_loop(lambda: self.runner.keep(self._prepare_and_start(source)))

    async def _prepare_and_start(self, source: Source) -> None:
        try:
            await source.prepare()
        except Exception as error:
            self._tell_unstarted(source, error)
        else:
            self._start(source)

    def _start(self, source: Source) -> None:
        source.expect(self.runner)
        if self.stopped.is_set() or source not in self._added:
            source.cancel()
            return
        try:
            source.start(self.runner, self.app.clock)
        except Exception as error:
            self._tell_unstarted(source, error)
        if isinstance(source, CronTimer) and isinstance(self.app.clock, SystemClock):
            self._watch_clock()

    def _tell_unstarted(self, source: Source, error: Exception) -> None:
        _log.error("%s can't start: %s", source.handler, error)
        self._forget(source)
        self._failed(source.handler, error)

    def _forget(self, source: Source) -> None:
        if source in self._added:
            self._added.discard(source)
            self.app._sources.pop(source, None)

    def stop(self, status: int) -> None:
        """Ask for the end."""
        if not self.stopped.is_set():
            self.status = self.status or status
            self.runner.in_loop(self.stopped.set)

    # ------------------------------------------------------------------ signals, clock, pages

    def _catch_signals(self) -> None:
        names = {*self.app._signals, *self._stop_signals}
        if names:
            self._signals = Signals(stops=())
            for number in names:
                self._signals.on(number, lambda: None)
            self._signals.__enter__()
            self.loop.add_reader(self._signals.fileno(), self._take_signals)

    def catch(self, number: signal.Signals) -> None:
        """Catch one more signal."""
        if self._signals is not None:
            self._signals.on(number, lambda: None)
        else:
            self._catch_signals()

    def _take_signals(self) -> None:
        assert self._signals is not None
        for number in self._signals.take():
            if self.stopped.is_set() and number in self._stop_signals:
                self._hurry.set()
            handlers = self.app._signals.get(number, [])
            for handler in handlers:
                self.runner.run(handler, number)
            if not handlers and number in self._stop_signals:
                self.stop(128 + number)

    def _watch_clock(self) -> None:
        from genii.system.clockwatch import ClockWatch

        if self._clock_watch is None:
            self._clock_watch = ClockWatch()
            self.loop.add_reader(self._clock_watch.fileno(), self._clock_moved)

    def _clock_moved(self) -> None:
        assert self._clock_watch is not None
        if self._clock_watch.was_set():
            self.app.clock_was_set()

    async def _open_server(self) -> None:
        app = self.app
        if app._listen is None:
            return
        from genii.events.http import Server
        from genii.system.listen import listen

        pages = app._pages()
        pages.bind(self.runner)
        sockets = listen(app._listen, mode=app._socket_mode)
        self.server = Server(pages, limits=app._limits)
        await self.server.listen(sockets)
        app.addresses = [_address(socket.getsockname()) for socket in sockets]

    def _failed(self, handler: Handler, error: Exception) -> None:  # noqa: ARG002 -- told already
        if self.app._on_error == "stop":
            self.stop(1)

    def _release(self) -> None:
        """Give back what was taken from the process; harmless if half of it was."""
        app = self.app
        for source in list(app._sources):
            source.cancel()
        if self._signals is not None:
            self.loop.remove_reader(self._signals.fileno())
            self._signals.__exit__(None, None, None)
            self._signals = None
        if self._clock_watch is not None:
            self.loop.remove_reader(self._clock_watch.fileno())
            self._clock_watch.close()
            self._clock_watch = None
        self._pool.shutdown(wait=False, cancel_futures=True)
        if app._pages_made is not None:
            app._pages_made.bind(None)
        app._session = None


def _address(name: Any) -> str:
    if isinstance(name, str):
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
