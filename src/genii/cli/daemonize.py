"""``genii daemonize``: start any command as a daemon."""

from __future__ import annotations

TYPE_CHECKING = False  # this command is measured in milliseconds: no typing, no dataclasses, no asyncio on its way
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import NoReturn, TypeVar

    from genii.system.surroundings import Stream

    T = TypeVar("T")

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = "Start a command as a daemon, unchanged; stay until it is ready, or report why it is not."
    parser.usage = "%(prog)s [options] -- COMMAND [ARGUMENT...]"
    add = parser.add_argument
    add("command", nargs="+", metavar="COMMAND", help="the command and its arguments")
    add("--name", default="", help="what messages call it (default: the command)")
    add("--pid-file", metavar="FILE", help="write its pid there, lock it, and refuse to start it twice")
    add("--user", default="", help="run as this user, with its groups")
    add("--group", default="", help="run with this group instead of the user's own")
    add("--groups", metavar="A,B", help="these supplementary groups instead of those of the user")
    add("--umask", default="022", metavar="MODE", help="octal (default: %(default)s)")
    add("--chdir", default="/", metavar="FOLDER", help="run there (default: %(default)s)")
    add("--no-chdir", action="store_true", help="stay in this folder")
    add("--stdin", metavar="FILE", help="read from there (default: nothing)")
    add("--stdout", metavar="FILE", help="append output there (default: nowhere; -: leave it as it is)")
    add("--stderr", metavar="FILE", help="append errors there (default: as --stdout)")
    add("--env", action="append", default=[], metavar="NAME=VALUE", help="set a variable (may be repeated)")
    add("--nofile", metavar="N[:N]", help="limit of open files (soft:hard, 'unlimited')")
    add("--limit", action="append", default=[], metavar="NAME=N[:N]", help="any other limit, as core=0 (repeated)")
    add("--keep-fd", action="append", type=int, default=[], metavar="N", help="don't close this descriptor (repeated)")
    add("--no-close", action="store_true", help="close no descriptors")
    add("--ignore", action="append", default=[], metavar="SIGNAL", help="start it with this signal ignored (repeated)")
    add("--ready-line", default="", metavar="REGEX", help="ready when a line of its output matches; print that line")
    add("--fail-line", default="", metavar="REGEX", help="failed when a line of its output matches")
    add("--ready-port", default="", metavar="[HOST:]N", help="ready when this TCP port accepts connections")
    add("--ready-notify", action="store_true", help="ready when it sends READY=1 (sd_notify)")
    add("--timeout", default="60s", help="give up waiting, end it and exit with 124 (default: %(default)s)")
    add("--no-double-fork", action="store_true", help="let it lead its own session")
    add(
        "--respawn",
        action="store_true",
        help="start it again whenever it ends, ever more slowly while it keeps failing",
    )
    add("--no-monitor", action="store_true", help="leave no process of genii behind")


def run(options: argparse.Namespace) -> int:
    """Start the command; return 0, or its own exit code when it failed before it was ready."""
    from genii.daemon.launch import launch_reported
    from genii.system.handover import Expectation
    from genii.system.surroundings import Surroundings

    _check(options)
    surroundings = Surroundings(
        directory=None if options.no_chdir else options.chdir,
        umask=_parse("--umask", options.umask, _mode),
        stdin=_stream(options.stdin, 0),
        stdout=_stream(options.stdout, 1),
        stderr=_stream(options.stderr, 2),
        keep_fds=options.keep_fd,
        close_fds=not options.no_close,
        user=options.user,
        group=options.group,
        groups=None if options.groups is None else [name for name in options.groups.split(",") if name],
        limits=_limits(options),
        environment=_environment(options.env),
        ignore_signals=[_parse("--ignore", name, _signal) for name in options.ignore],
        fresh_signals=True,
    )
    expectation = Expectation(
        line=options.ready_line,
        fail_line=options.fail_line,
        port=options.ready_port,
        notify=options.ready_notify,
        timeout=_parse("--timeout", options.timeout, _duration),
    )
    pid_file = None
    if options.pid_file:
        from genii.system.pidfile import PidFile

        pid_file = PidFile(options.pid_file)
    swallows = expectation.awaited and surroundings.discards_output
    report = launch_reported(
        options.command,
        surroundings,
        expectation,
        pid_file=pid_file,
        double_fork=not options.no_double_fork,
        monitor=not options.no_monitor and (swallows or pid_file is not None),
        respawn=options.respawn,
    )
    if not report.ok and options.name:
        report.reason = f"{options.name}: {report.reason}"
    report.print()
    return report.code


def _check(options: argparse.Namespace) -> None:
    if options.no_monitor and options.respawn:
        _refuse("--respawn needs the monitor that --no-monitor leaves out")
    if options.no_monitor and options.ready_line and not (options.stdout or options.stderr):
        _refuse("--ready-line with --no-monitor needs --stdout FILE: nobody would read the output afterwards")
    if options.fail_line and not (options.ready_line or options.ready_port or options.ready_notify):
        _refuse("--fail-line needs --ready-line, --ready-port or --ready-notify")


def _refuse(message: str) -> NoReturn:
    from genii.errors import UsageError  # late: it brings dataclasses, a third of this command's time

    raise UsageError(message)


def _parse(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        _refuse(f"{option}: {error}")


def _stream(text: str | None, number: int) -> Stream:
    return number if text == "-" else text


def _mode(text: str) -> int:
    from genii.units import parse_mode

    return parse_mode(text)


def _signal(text: str) -> int:
    from genii.units import parse_signal

    return parse_signal(text)


def _duration(text: str) -> float:
    from genii.units import parse_duration

    return parse_duration(text)


def _environment(settings: list[str]) -> dict[str, str]:
    variables = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not name or not equals:
            _refuse(f"--env: {setting!r} is not NAME=VALUE")
        variables[name] = value
    return variables


def _limits(options: argparse.Namespace) -> dict[str, tuple[int, int]]:
    settings = list(options.limit)
    if options.nofile:
        settings.append(f"nofile={options.nofile}")
    limits = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        soft, _, hard = value.partition(":")
        try:
            limits[name] = _limit_value(soft), _limit_value(hard or soft)
        except ValueError:
            _refuse(f"{setting!r} is not a limit; write for example 'core=0' or 'nofile=1024:4096'")
    return limits


def _limit_value(text: str) -> int:
    if text == "unlimited":
        return -1
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value
