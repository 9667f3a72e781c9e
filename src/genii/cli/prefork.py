"""``genii prefork``: serve connections with forked workers, and look at or steer a server that does."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from genii.errors import NotRunning, UsageError
from genii.units import format_duration, parse_duration

if TYPE_CHECKING:
    import argparse

    from genii.serve.manager import Manager
    from genii.serve.scoreboard import Scoreboard

__all__ = ["configure", "run"]

_SIGNALS = {"reload": "HUP", "upgrade": "USR2"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options."""
    parser.description = "Serve connections with workers that are forked ahead of demand; see docs/prefork.md."
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _configure_serve(commands)
    status = commands.add_parser("status", help="show what each worker does", description="Show what each worker does.")
    _add_server(status)
    status.add_argument("--json", action="store_true")
    stop = commands.add_parser("stop", help="let the workers finish their requests, and end the server")
    _add_server(stop)
    stop.add_argument("--timeout", default="60s", metavar="TIME", help="how long to wait (default: %(default)s)")
    _add_server(commands.add_parser("reload", help="replace the workers, without losing a connection (HUP)"))
    _add_server(commands.add_parser("upgrade", help="go on with the program as it is on disk now (USR2)"))


def _configure_serve(commands: Any) -> None:
    parser = commands.add_parser("serve", help="run a server", description="Run a server until TERM, INT or QUIT.")
    add = parser.add_argument
    add("handler", metavar="MODULE:FUNCTION", help="what gets each connected socket and the peer's address")
    add("-l", "--listen", action="append", default=[], metavar="ADDRESS", help="host:port or unix:/path (repeated)")
    add(
        "-n",
        "--workers",
        default="5",
        metavar="N|MIN-MAX",
        help="how many, or by load (default: %(default)s)",
    )
    add("-I", "--lib", action="append", default=[], metavar="FOLDER", help="look for modules here first (repeated)")
    add("--max-requests", type=int, default=0, metavar="N", help="replace a worker after so many; 0: never")
    add("--max-memory", default="0", metavar="SIZE", help="replace a worker that has grown beyond this, such as 200MB")
    add("--request-timeout", default="60s", metavar="TIME", help="kill a worker whose request takes longer; 0: never")
    add("--rolling", action="store_true", help="at a reload, replace the workers one after the other")
    add("--no-preload", action="store_true", help="load the handler in each worker, so that a reload reads it again")
    add("-d", "--daemon", action="store_true", help="become a daemon; stays until the first worker serves")
    add("--pid-file", metavar="FILE", help="write the manager's pid here")
    add("--log-file", metavar="FILE", help="where a daemon's output goes")
    add("--user", default="", help="the user that a daemon becomes")
    add("--group", default="", help="the group that a daemon becomes")
    add("--scoreboard", default="", metavar="FILE", help="keep the scoreboard in this file, for other programs")


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("server", metavar="PID|FILE", help="the manager's pid, its pid file, or its scoreboard")


def run(options: argparse.Namespace) -> int:
    """Run a command; return its exit code."""
    match options.command:
        case "serve":
            return _serve(options)
        case "status":
            return _status(options)
        case "stop":
            return _stop(options)
    return _signal(options)


def _serve(options: argparse.Namespace) -> int:
    from genii.serve.prefork import prefork

    sys.path[:0] = [*options.lib, os.getcwd()]
    prefork(
        options.handler, options.listen, workers=_workers(options.workers), max_requests=options.max_requests,
        max_memory=options.max_memory, request_timeout=_duration(options.request_timeout, "--request-timeout"),
        rolling=options.rolling, preload=not options.no_preload, daemon=options.daemon, pid_file=options.pid_file,
        log_file=options.log_file, user=options.user, group=options.group, scoreboard=options.scoreboard,
        on_start=_announce,
    )  # fmt: skip
    return 0


def _workers(text: str) -> int | tuple[int, int]:
    numbers = text.split("-")
    if len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
        raise UsageError(f"--workers {text}: write a number such as 5, or two such as 2-10")
    first, last = int(numbers[0]), int(numbers[-1])
    return first if len(numbers) == 1 else (first, last)


def _duration(text: str, option: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _announce(manager: Manager) -> None:
    from genii.serve.listeners import describe

    print("serving at", ", ".join(map(describe, manager.listeners)), flush=True)


# -- a server that runs -----------------------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> int:
    board = _scoreboard(options.server)
    manager, began = board.manager
    rows = board.rows(time.monotonic_ns())
    board.close()
    if options.json:
        value = {"pid": manager, "since": began, "workers": [row._asdict() for row in rows]}
        print(json.dumps(value, indent=2 if sys.stdout.isatty() else None))
        return 0
    from genii.cli.terminal import format_table

    print(f"manager {manager}, up {format_duration(max(0, int(time.time() - began)))}")
    table: list[tuple[str, ...]] = [("PID", "STATE", "SERVED", "AGE", "REQUEST", "IDLE")]
    table += [
        (str(row.pid), row.state, str(row.served), *map(_seconds, (row.age, row.request_age, row.idle))) for row in rows
    ]
    print("\n".join(format_table(table)))
    return 0


def _seconds(value: float) -> str:
    return "-" if not value else format_duration(int(value)) if value >= 10 else f"{value:.1f}s"


def _scoreboard(server: str) -> Scoreboard:
    from genii.serve.scoreboard import Scoreboard

    if server.isdecimal():
        return Scoreboard.of_process(int(server))
    try:
        return Scoreboard.open(server)
    except NotRunning:
        return Scoreboard.of_process(_pid(server))


def _pid(server: str) -> int:
    """Return the manager's pid; raises ``NotRunning`` when there is none."""
    if server.isdecimal():
        return _scoreboard(server).manager[0]
    from genii.system.pidfile import PidFile

    pid = PidFile(server).read().pid
    if not pid:
        raise NotRunning(f"nothing runs that {server} names")
    return pid


def _stop(options: argparse.Namespace) -> int:
    from genii.serve.prefork import stop_process

    pid = _pid(options.server)
    stop_process(pid, _duration(options.timeout, "--timeout"))
    print(f"stopped {pid}")
    return 0


def _signal(options: argparse.Namespace) -> int:
    import signal

    from genii.system.process import open_process, send_signal

    name = _SIGNALS[options.command]
    pid = _pid(options.server)
    try:
        process = open_process(pid)
    except ProcessLookupError:
        raise NotRunning(f"process {pid} has just ended") from None
    try:
        send_signal(process, getattr(signal, f"SIG{name}"))
    finally:
        os.close(process)
    print(f"sent {name} to {pid}")
    return 0
