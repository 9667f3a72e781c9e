"""``genii.prefork``: serve connections with workers that are forked ahead of demand."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from functools import partial

from genii.errors import AlreadyRunning, NotRunning, TimedOut, UsageError
from genii.serve import messages
from genii.serve.listeners import DEFAULT_BACKLOG, describe, open_listeners, prepare
from genii.serve.manager import Manager
from genii.serve.model import DEFAULT_SIGNALS, Settings, worker_bounds
from genii.serve.recruit import is_async
from genii.serve.scoreboard import Scoreboard
from genii.serve.upgrade import Handover, is_trial
from genii.system.pidfile import PidFile
from genii.system.process import open_process, send_signal
from genii.typed import TYPE_CHECKING
from genii.units import parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from genii.serve.model import EventLoop, Handler, Hook, ReapHook
    from genii.system.daemonize import Daemon

__all__ = ["prefork", "stop_process", "stop_server"]

_ROOM = 64
"""Places on the scoreboard beyond four for each worker: some leave while others come."""


def prefork(
    handler: Handler | str,
    listen: str | Sequence[str] = (),
    *,
    workers: int | tuple[int, int] = 5,
    max_requests: int = 0,
    jitter: float = 0.1,
    request_timeout: float = 60.0,
    receive_timeout: float = 30.0,
    max_memory: str | int = 0,
    stop_timeout: float = 30.0,
    idle_grace: float = 10.0,
    spawn_interval: float = 0.0,
    backoff_cap: float = 10.0,
    rolling: bool = False,
    preload: bool = True,
    concurrency: int = 1000,
    event_loop: EventLoop = "auto",
    backlog: int = DEFAULT_BACKLOG,
    reuse_port: bool = False,
    socket_mode: int = 0o600,
    trap_signals: Mapping[str, str | None] | None = None,
    on_start: Hook | None = None,
    before_fork: Hook | None = None,
    after_fork: Hook | None = None,
    on_child_reap: ReapHook | None = None,
    before_exit: Hook | None = None,
    on_reload: Hook | None = None,
    daemon: bool = False,
    pid_file: str | os.PathLike[str] | None = None,
    log_file: str | os.PathLike[str] | None = None,
    user: str = "",
    group: str = "",
    scoreboard: str | os.PathLike[str] = "",
) -> None:
    """Serve until TERM, INT or QUIT; returns when the last worker has finished its request.

    ``handler(connection, peer)`` gets a connected socket, closed for it afterwards, and the peer's address; it may be
    ``async`` (the socket then does not block), or the name of one as ``module:function``. The arguments and signals
    are described in docs/prefork.md. Times are in seconds, 0: no limit.

    Raises:
        UsageError: arguments that make no sense.
        AlreadyRunning: the process that the pid file names lives.
        OSError: the address is taken or not allowed; the error names it.
    """
    settings = Settings(
        bounds=worker_bounds(workers, grace=idle_grace), max_requests=max_requests, jitter=jitter,
        request_timeout=request_timeout, receive_timeout=receive_timeout, max_memory=_size(max_memory),
        stop_timeout=stop_timeout, spawn_interval=spawn_interval, backoff_cap=backoff_cap, rolling=rolling,
        preload=preload, concurrency=concurrency, event_loop=event_loop,
        signals={**DEFAULT_SIGNALS, **(trap_signals or {})}, on_start=on_start, before_fork=before_fork,
        after_fork=after_fork, on_child_reap=on_child_reap, before_exit=before_exit, on_reload=on_reload,
    )  # fmt: skip
    load = partial(_load, handler)
    found = load()  # a handler that can't be loaded is told before anything else happens
    if is_async(found):
        from genii.serve.asynchronous import loop_factory  # before the fork: the workers share what it brings

        loop_factory(event_loop)
    if is_trial():
        raise SystemExit(0)
    directory = os.getcwd()
    handover = Handover.take()
    file = None if pid_file is None else PidFile(pid_file)
    process: Daemon | None = None
    if handover is None:
        _refuse_second(file)
        listeners = open_listeners(listen, backlog=backlog, reuse_port=reuse_port, mode=socket_mode)
        if daemon:
            process = _become_daemon(listeners, pid_file, log_file, user, group)
            file = process.pid_file
        elif file is not None:
            file.acquire()
            file.write()
            file.keep_from_children()
        board = Scoreboard.create(settings.bounds.maximum * 4 + _ROOM, os.fspath(scoreboard))
    else:
        listeners = [socket.socket(fileno=number) for number in handover.listeners]
        board = Scoreboard.attach(handover.board)
        if file is not None and handover.pid_file >= 0:
            file.adopt(handover.pid_file)
            file.keep_from_children()
        if handover.directory != directory:
            os.chdir(handover.directory)
    board.sign(os.getpid(), time.time())
    prepare(listeners, blocking=not is_async(found) and len(listeners) == 1, receive_timeout=receive_timeout)
    del found
    manager = Manager(
        load, listeners, settings, board, pid_file=file, directory=directory, on_ready=partial(_ready, process)
    )
    messages.info("manager %d serves %s", os.getpid(), ", ".join(map(describe, listeners)))
    try:
        manager.run(handover)
    finally:
        _clean_up(listeners, board, file, os.fspath(scoreboard))
    messages.info("manager %d ended", os.getpid())


def stop_server(pid_file: str | os.PathLike[str], timeout: float = 60.0) -> int:
    """End the server that a pid file names, by TERM, wait until it is gone, and return the pid that it had.

    Raises ``NotRunning``, and ``TimedOut`` when it has not ended after ``timeout`` seconds (it goes on ending).
    """
    reading = PidFile(pid_file).read()
    if not reading.pid:
        raise NotRunning(f"nothing runs that pid file {os.fspath(pid_file)} names")
    stop_process(reading.pid, timeout)
    return reading.pid


def stop_process(pid: int, timeout: float) -> None:
    """End the server with this manager as ``stop_server`` does; raises the same."""
    import select

    try:
        descriptor = open_process(pid)
    except ProcessLookupError:
        raise NotRunning(f"process {pid} has just ended") from None
    try:
        send_signal(descriptor, signal.SIGTERM)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(timeout * 1000):
            raise TimedOut(f"process {pid} has not ended within {timeout:g} s")
    finally:
        os.close(descriptor)


def _load(handler: Handler | str) -> Handler:
    if not isinstance(handler, str):
        if not callable(handler):
            raise UsageError(f"handler={handler!r}: neither a function nor 'module:function'")
        return handler
    from importlib import import_module

    module, colon, name = handler.partition(":")
    if not (module and colon and name):
        raise UsageError(f"handler={handler!r}: write 'module:function'")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"handler={handler!r}: {error}") from None
    for part in name.split("."):
        found = getattr(found, part, None)  # type: ignore[assignment]
    if not callable(found):
        raise UsageError(f"handler={handler!r}: module {module!r} has no function {name!r}")
    return found


def _size(max_memory: str | int) -> int:
    try:
        return parse_size(max_memory)
    except ValueError as error:
        raise UsageError(f"max_memory: {error}") from None


def _refuse_second(file: PidFile | None) -> None:
    """Say that it runs already, rather than that the address is taken."""
    if file is not None:
        reading = file.read()
        if reading.pid:
            raise AlreadyRunning(f"already running as process {reading.pid} (pid file {file.path})", reading.pid)


def _become_daemon(
    listeners: Sequence[socket.socket],
    pid_file: str | os.PathLike[str] | None,
    log_file: str | os.PathLike[str] | None,
    user: str,
    group: str,
) -> Daemon:
    from genii.system.daemonize import daemonize

    return daemonize(
        pid_file=pid_file, stdout=log_file, keep_fds=[listener.fileno() for listener in listeners],
        user=user, group=group, wait=True,
    )  # fmt: skip


def _ready(process: Daemon | None) -> None:
    if process is not None:
        process.ready()


def _clean_up(listeners: Sequence[socket.socket], board: Scoreboard, file: PidFile | None, scoreboard: str) -> None:
    for listener in listeners:
        path = listener.getsockname() if listener.family == socket.AF_UNIX else ""
        if path and os.environ.get("LISTEN_PID") != str(os.getpid()):
            _unlink(path)
        listener.close()
    board.close()
    if scoreboard:
        _unlink(scoreboard)
    if file is not None:
        file.remove()
    sys.stdout.flush()


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        messages.debug("can't remove %s: %s", path, error)
