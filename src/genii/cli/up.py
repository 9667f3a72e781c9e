"""``genii up``: run what is declared, in the foreground or as a daemon."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from genii.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from typing import NoReturn

__all__ = ["become", "configure", "detach", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="start only these programs and what they depend on")
    parser.add_argument("-d", "--detach", action="store_true", help="run as a daemon; return when the programs run")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no lines of programs; their logs have them")
    parser.add_argument(
        "--no-wait", action="store_true", help="with -d: return when the supervisor runs, not its programs"
    )
    parser.add_argument(
        "--exit-on-fatal",
        metavar="NAME",
        action="append",
        default=[],
        help="end everything, with its exit code, when this program has ended for good (for containers)",
    )


def run(options: argparse.Namespace) -> int:
    """Become the supervisor, or start one and wait for it; return the exit code."""
    from genii.config.find import find
    from genii.config.ini.place import is_ini

    config = getattr(options, "config", None) or find(os.getcwd(), os.environ)
    if options.detach and options.exit_on_fatal:
        raise UsageError("--exit-on-fatal is for the foreground; it makes no sense with -d")
    shown = sys.stdout is not None  # it is when we were started without a standard output
    path = os.path.abspath(config)
    words = {
        "config": path,
        "names": options.names,
        "foreground": not options.detach,
        "show": not options.quiet,
        "color": shown and sys.stdout.isatty() and "NO_COLOR" not in os.environ,
        "exit_on_fatal": options.exit_on_fatal,
        "wait": not options.no_wait,
    }
    if is_ini(path):
        _take_on(path)
    if options.detach:
        return detach(words)
    if shown:
        sys.stdout.flush()
    return become(words)


def _take_on(path: str) -> None:
    """Take on what a file in supervisord's language says of limits and user; what is wrong with it is told later."""
    from genii.cli.supervisord import take_on
    from genii.config.ini.declaration import decode
    from genii.config.load import examine

    settings = examine(path).settings
    if settings is not None:
        take_on(decode(settings.supervisord).daemon)


def become(words: dict[str, object]) -> NoReturn:
    """Become a supervisor with these options (see ``genii.control.options``)."""
    os.execve(sys.executable, _argv(words), _environment())  # noqa: S606 -- the same process, no shell


def _argv(words: dict[str, object]) -> list[str]:
    """Return the command line of a supervisor: a bare interpreter, see ``genii.control.bootstrap``."""
    import json

    script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "control", "bootstrap.py")
    return [sys.executable, "-I", "-S", "-X", "no_debug_ranges", script, json.dumps(words)]


def _environment() -> dict[str, str]:
    path = [entry for entry in sys.path if entry and not entry.endswith(".zip")]
    return {**os.environ, "GENII_SYS_PATH": os.pathsep.join(path)}


def detach(words: dict[str, object], *, quiet: bool = False) -> int:
    """Start a supervisor in a session of its own and wait for its answer, which is printed unless all is well."""
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue  # started without stdin, stdout or stderr: the pipe must not take their numbers
    reading, writing = os.pipe()
    words["report"] = 3
    os.posix_spawn(
        sys.executable,
        _argv(words),
        _environment(),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, null, 0),
            (os.POSIX_SPAWN_DUP2, null, 1),
            (os.POSIX_SPAWN_DUP2, null, 2),
            (os.POSIX_SPAWN_DUP2, writing, 3),  # last: 3 may be null
        ],
        setsid=True,
    )
    os.close(writing)
    answer = b""
    while block := os.read(reading, 65536):
        answer += block
    status, _, message = answer.decode(errors="replace").partition(" ")
    if not status.isdigit():
        print("genii: the supervisor ended before it was up; see its log", file=sys.stderr)
        return 1
    if status != "0" or not quiet:
        print(message, file=sys.stderr)
    return int(status)
