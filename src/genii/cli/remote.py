"""``genii status|start|stop|restart|reload|signal|logs|update|check --on HOSTS``: the supervisors of many hosts."""

from __future__ import annotations

import sys
import time
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from genii.cli import action, fleet, status, update
from genii.cli.action import print_json
from genii.cli.connect import read_time
from genii.cli.reader import end_when_unread
from genii.cli.terminal import Paint, format_table, printable
from genii.errors import GeniiError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from genii.control.client import Client
    from genii.fleet.transport import Connection, Host

__all__ = ["run"]

_INTERRUPTED = 130
_STEERING = ("start", "stop", "restart", "reload", "signal")


class _Answer(NamedTuple):
    """What the supervisor of one host said."""

    host: str
    value: Any = None
    error: GeniiError | None = None


def run(options: argparse.Namespace) -> int:
    """Ask the supervisors of the hosts and show one table.

    Raises:
        UsageError: an option has no meaning for many hosts.
    """
    command = options.command
    if options.server:
        raise UsageError("--server and --on both say where the supervisor is: choose one")
    if getattr(options, "watch", False):
        raise UsageError("--watch follows one supervisor; leave it out, or log in there")
    if command == "logs":
        return _logs(options)
    question, show = _questions(options)
    try:
        answers = _ask(options, question)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    if options.json:
        print_json({"hosts": [_row(options, answer) for answer in answers]})
        codes = [show(answer, None) for answer in answers if answer.error is None]
    elif command == "status":
        codes = _status_table(answers, show)
    else:
        codes = [show(answer, Paint(sys.stdout)) for answer in answers if answer.error is None]
    for answer in answers:
        if answer.error is not None and not options.json:
            print(f"{answer.host}: {Paint(sys.stderr)(_reason(answer), 'red')}", file=sys.stderr)
    return _exit_code(codes, answers)


def _questions(
    options: argparse.Namespace,
) -> tuple[Callable[[Client], Any], Callable[[_Answer, Paint | None], int]]:
    """Return what each supervisor is asked, and what shows its answer (on no paint: only rates it)."""
    command, names = options.command, getattr(options, "names", [])
    if command == "status":
        return lambda client: client.statuses(names), partial(_rate_status, bool(names))
    if command in _STEERING:
        query = _query(options)
        return lambda client: client.act(command, names, **query), _show_results
    if command == "check" and options.file:
        raise UsageError("the supervisors check the files that they run: leave out FILE")
    dry_run = command == "check" or options.dry_run
    return lambda client: client.update(dry_run=dry_run), _show_check if command == "check" else _show_update


def _query(options: argparse.Namespace) -> dict[str, Any]:
    from genii.units import parse_signal

    if options.command == "reload" and not options.names:
        raise UsageError("name what to reload: 'genii reload NAME --on HOSTS'")
    if options.command == "signal":
        try:
            return {"signal": int(parse_signal(options.signal))}
        except ValueError as error:
            raise UsageError(str(error)) from None
    query: dict[str, Any] = {}
    if hasattr(options, "no_wait"):
        query["wait"] = not options.no_wait
    if hasattr(options, "timeout"):
        query["timeout"] = read_time(options.timeout)
    return {**query, "rolling": options.rolling} if hasattr(options, "rolling") else query


def _ask(options: argparse.Namespace, question: Callable[[Client], Any]) -> list[_Answer]:
    """Put the question to all, and return the answers in the order of the hosts."""
    from concurrent.futures import ThreadPoolExecutor

    from genii.fleet.engine import Fleet
    from genii.fleet.supervisors import ask
    from genii.fleet.ways import open_transport

    settings, hosts = fleet.load(options)
    paths = {host.name: str(host.variables.get("genii_socket", settings.socket)) for host in hosts}
    found: dict[str, _Answer] = {}

    threads = ThreadPoolExecutor(min(len(hosts), settings.limit))

    async def one(connection: Connection) -> Any:
        return await ask(connection, paths[connection.host.name], question, threads)

    async def work() -> None:
        async with (
            Fleet(open_transport(settings), limit=settings.limit) as many,
            aclosing(many.each(hosts, one)) as outcomes,
        ):
            async for outcome in outcomes:
                error = outcome.error
                if error is not None and not isinstance(error, GeniiError):
                    raise error
                found[outcome.item.name] = _Answer(outcome.item.name, outcome.value, error)

    try:
        fleet.run_until_signal(work())
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    return [found[host.name] for host in hosts]


def _reason(answer: _Answer) -> str:
    return str(answer.error).removeprefix(f"{answer.host}: ")


def _row(options: argparse.Namespace, answer: _Answer) -> dict[str, Any]:
    if answer.error is not None:
        return {"host": answer.host, "error": _reason(answer), "code": answer.error.code}
    key = "processes" if options.command == "status" else "results" if options.command in _STEERING else "difference"
    return {"host": answer.host, key: answer.value}


def _exit_code(codes: Sequence[int], answers: Sequence[_Answer]) -> int:
    """Return the one code that all failures share, else 1."""
    failures = {code for code in codes if code}
    failures |= {answer.error.exit_code for answer in answers if answer.error is not None}
    return 0 if not failures else failures.pop() if len(failures) == 1 else 1


# -- status -----------------------------------------------------------------------------------------------------------


def _status_table(answers: Sequence[_Answer], rate: Callable[[_Answer, Paint | None], int]) -> list[int]:
    paint, now = Paint(sys.stdout), time.time()
    rows = [(answer.host, *status.status_cells(row, now, paint)) for answer in answers for row in (answer.value or ())]
    if rows:
        head = tuple(paint(word, "bold") for word in ("HOST", *status.STATUS_HEAD))
        print("\n".join(format_table([head, *rows])))
    return [rate(answer, None) for answer in answers if answer.error is None]


def _rate_status(named: bool, answer: _Answer, _: Paint | None) -> int:
    return status.exit_code(answer.value, named=named)


# -- steering ---------------------------------------------------------------------------------------------------------


def _show_results(answer: _Answer, paint: Paint | None) -> int:
    for result in answer.value if paint is not None else ():
        stream = sys.stdout if result["ok"] else sys.stderr
        colour = ("dim" if result["code"] == "already" else "green") if result["ok"] else "red"
        text = Paint(stream)(result["message"] or result["code"], colour)
        print(f"{answer.host}: {result['name']}: {text}", file=stream)
        if result["output"]:
            print(result["output"].rstrip("\n"), file=stream)
    return action.exit_code(answer.value)


def _show_update(answer: _Answer, paint: Paint | None) -> int:
    if paint is not None:
        lines = update.describe(answer.value) or [("", "nothing has changed")]
        for sign, text in lines:
            colour = {"+": "green", "-": "red", "~": "yellow"}.get(sign, "")
            print(f"{answer.host}: {paint(f'{sign} {text}'.strip(), colour)}")
    return 0


def _show_check(answer: _Answer, paint: Paint | None) -> int:
    if paint is not None:
        print(f"{answer.host}: {paint('ok', 'green')}")
    return 0


# -- logs -------------------------------------------------------------------------------------------------------------


def _logs(options: argparse.Namespace) -> int:
    """Print the lines of all hosts as they come; each host's are in order."""
    count = -1 if options.lines == "all" else int(options.lines) if options.lines.isdecimal() else None
    if count is None:
        raise UsageError(f"{options.lines!r} is not a number of lines; write for example 100, or all")
    settings, hosts = fleet.load(options)
    if options.follow and len(hosts) > settings.limit:
        raise UsageError(f"{len(hosts)} hosts can't be followed at once with limit = {settings.limit}; raise it")
    if options.follow:
        end_when_unread()
    ago = read_time(options.since, "--since")
    since = time.time() - ago if ago else 0.0
    question = _log_printer(options, hosts, count, since)
    try:
        answers = _ask(options, question)
    except KeyboardInterrupt:
        return _INTERRUPTED
    for answer in answers:
        if answer.error is not None:
            print(f"{answer.host}: {Paint(sys.stderr)(_reason(answer), 'red')}", file=sys.stderr)
    return _exit_code([], answers)


def _log_printer(options: argparse.Namespace, hosts: Sequence[Host], count: int, since: float) -> Callable[[Any], None]:
    import json
    from threading import Lock

    width = max(len(host.name) for host in hosts)
    clean = printable if sys.stdout.isatty() else str
    lock = Lock()  # each host has a thread

    def read(client: Any) -> None:
        name = client.host
        rows = (client.follow_logs if options.follow else client.recent_logs)(
            options.names, count, since, options.stream
        )
        for row in rows:
            if options.json:
                text = json.dumps({"host": name, **row}, ensure_ascii=False) + "\n"
            else:
                text = "".join(f"{name:<{width}} {row['name']} | {clean(line)}\n" for line in row["lines"])
            with lock:
                sys.stdout.write(text)
                sys.stdout.flush()

    return read
