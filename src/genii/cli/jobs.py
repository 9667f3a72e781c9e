"""``genii jobs``: a Gearman job server, and what one does with one."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from genii.errors import GeniiError, TimedOut, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from genii.gearman.admin import Admin
    from genii.gearman.calls import Report

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options."""
    from genii.cli import jobs_serve

    parser.description = "Run a Gearman job server, or ask one (gearmand, too) and give it jobs."
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    jobs_serve.configure(commands.add_parser("serve", help="run a job server", add_help=True))

    submit = _command(commands, "submit", "give jobs to a server and print their results")
    submit.add_argument("function", help="the name of the job")
    submit.add_argument("payload", nargs="?", help="its payload (default: read from standard input)")
    submit.add_argument("-b", "--background", action="store_true", help="don't wait: print the handle")
    submit.add_argument("-n", "--lines", action="store_true", help="one job for each line of standard input")
    submit.add_argument("-u", "--unique", default="", help="a unique id: equal ones are one job")
    submit.add_argument("--priority", choices=("high", "normal", "low"), default="normal")
    submit.add_argument("--after", metavar="TIME", help="run it in the background not before this time, such as 10m")
    submit.add_argument("--timeout", metavar="TIME", help="give up waiting after this, such as 30s")

    status = _command(commands, "status", "show the functions of a server, or one job")
    status.add_argument("handle", nargs="?", help="the handle of a job; exit code 3 if the server does not know it")
    status.add_argument("--json", action="store_true")
    workers = _command(commands, "workers", "show who does what")
    workers.add_argument("--json", action="store_true")
    queue = _command(commands, "queue", "show jobs without touching them")
    queue.add_argument("function", nargs="?", default="")
    queue.add_argument(
        "-n", "--limit", type=int, default=20, metavar="N", help="at most N; 0: all (default: %(default)s)"
    )
    queue.add_argument("--json", action="store_true")

    drop = _command(commands, "drop", "drop jobs that wait")
    drop.add_argument("handles", nargs="*", metavar="HANDLE", help="handles of jobs")
    drop.add_argument("--function", action="append", default=[], help="forget a function and all its jobs")
    drain = _command(commands, "drain", "wait until all jobs, or those of some functions, are done")
    drain.add_argument("functions", nargs="*", metavar="FUNCTION")
    drain.add_argument("--timeout", metavar="TIME", help="give up after this, such as 5m (exit code 124)")
    drain.add_argument("--stop", action="store_true", help="have the server take no new connections, and end then")
    bench = _command(commands, "bench", "measure a server with jobs that do nothing")
    bench.add_argument("-n", "--jobs", type=int, default=10_000, metavar="N", help="how many (default: %(default)s)")
    bench.add_argument("-c", "--concurrency", type=int, default=100, metavar="N", help="at once (default: %(default)s)")
    bench.add_argument("--size", type=int, default=100, metavar="BYTES", help="of a payload (default: %(default)s)")
    bench.add_argument("--json", action="store_true")


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.add_argument(
        "-s", "--server", action="append", metavar="ADDRESS", help="host:port or unix:/path (default: 127.0.0.1:4730)"
    )
    parser.add_argument("--ssl", action="store_true", help="talk TLS to the server")
    parser.add_argument("--ssl-ca-file", metavar="FILE", help="whom to trust (default: whom the system trusts)")
    parser.add_argument("--ssl-certificate", metavar="FILE", help="the certificate to show")
    parser.add_argument("--ssl-key", metavar="FILE", help="its key")
    return parser


def run(options: argparse.Namespace) -> int:
    """Run a command; return its exit code."""
    from genii.cli import jobs_serve

    commands = {
        "serve": jobs_serve.run,
        "submit": _submit,
        "status": _status,
        "workers": _workers,
        "queue": _queue,
        "drop": _drop,
        "drain": _drain,
        "bench": _bench,
    }
    return commands[options.command](options)


# -- submit -----------------------------------------------------------------------------------------------------------


def _submit(options: argparse.Namespace) -> int:
    from genii.gearman.client import Client

    timeout, after = _seconds(options.timeout), _seconds(options.after)
    if options.lines and options.payload is not None:
        raise UsageError("--lines reads payloads from standard input: leave out PAYLOAD")
    with Client(_servers(options), timeout=timeout, tls=_tls(options)) as client:
        failed = 0
        for payload in _payloads(options):
            try:
                if options.background or after is not None:
                    handle = client.submit(
                        options.function, payload, unique=options.unique, priority=options.priority, after=after
                    )
                    print(handle, flush=True)
                else:
                    result = client.call(
                        options.function, payload, unique=options.unique, priority=options.priority, on_report=_report
                    )
                    _write(result + b"\n" if options.lines else result)
            except GeniiError as error:
                if not options.lines or error.code not in ("job-failed", "timeout"):
                    raise
                failed += 1
                print(f"genii jobs: {error}", file=sys.stderr)
    return 1 if failed else 0


def _payloads(options: argparse.Namespace) -> Iterator[bytes]:
    if options.payload is not None:
        yield options.payload.encode("utf-8", "surrogateescape")
    elif options.lines:
        for line in sys.stdin.buffer:
            yield line.removesuffix(b"\n")
    else:
        yield sys.stdin.buffer.read()


def _report(report: Report) -> None:
    """Show what a running job tells: data on standard output, the rest on standard error."""
    if report.kind == "data":
        _write(report.value)
    elif report.kind == "warning":
        print(f"warning: {report.value.decode('utf-8', 'replace')}", file=sys.stderr)
    elif sys.stderr.isatty():
        print(f"{report.value[0]}/{report.value[1]}", file=sys.stderr)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


# -- questions --------------------------------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> int:
    if options.handle:
        return _job_status(options)
    with _admin(options) as admin:
        rows = admin.status()
    if options.json:
        _print_json([row._asdict() for row in rows])
    else:
        _print_table(("FUNCTION", "TOTAL", "RUNNING", "HIGH", "NORMAL", "LOW", "WORKERS"), [
            (row.name, row.total, row.running, row.high, row.normal, row.low, row.workers) for row in rows
        ])  # fmt: skip
    return 0


def _job_status(options: argparse.Namespace) -> int:
    from genii.gearman.client import Client

    with Client(_servers(options), timeout=10.0, tls=_tls(options)) as client:
        status = client.status(options.handle)
    state = "running" if status.running else "waiting" if status.known else "unknown"
    if options.json:
        row = {"handle": options.handle, "state": state, "done": status.numerator, "of": status.denominator}
        _print_json(row)
    elif status.denominator:
        print(f"{state} {status.numerator}/{status.denominator}")
    else:
        print(state)
    return 0 if status.known else 3


def _workers(options: argparse.Namespace) -> int:
    with _admin(options) as admin:
        rows = admin.workers()
    if options.json:
        _print_json([row._asdict() for row in rows])
    else:
        _print_table(("ADDRESS", "ID", "FUNCTIONS"), [
            (row.address, row.client_id, " ".join(row.functions)) for row in rows
        ])  # fmt: skip
    return 0


def _queue(options: argparse.Namespace) -> int:
    with _admin(options) as admin:
        rows = admin.jobs(options.function, options.limit)
    if options.json:
        _print_json([row._asdict() for row in rows])
    else:
        _print_table(("HANDLE", "STATE", "PRIORITY", "RETRIES", "SIZE", "UNIQUE", "PAYLOAD"), [
            (row.handle, row.state, row.priority, row.retries, row.size, row.unique, row.payload) for row in rows
        ])  # fmt: skip
    return 0


# -- orders -----------------------------------------------------------------------------------------------------------


def _drop(options: argparse.Namespace) -> int:
    if not options.handles and not options.function:
        raise UsageError("name handles to drop, or --function NAME")
    failed = 0
    with _admin(options) as admin:
        for handle in options.handles:
            failed += _tried(handle, admin.cancel)
        for name in options.function:
            failed += _tried(name, admin.drop_function)
    return 1 if failed else 0


def _tried(name: str, action: Any) -> int:
    try:
        action(name)
    except GeniiError as error:
        if error.code != "not-allowed":
            raise
        print(f"genii jobs: {name}: {error}", file=sys.stderr)
        return 1
    return 0


def _drain(options: argparse.Namespace) -> int:
    timeout = _seconds(options.timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    with _admin(options) as admin:
        if options.stop:
            admin.shut_down(graceful=True)
        while left := _left(admin, options.functions):
            if deadline is not None and time.monotonic() > deadline:
                raise TimedOut(f"{left} jobs are left at {admin.server}")
            time.sleep(0.2)
    return 0


def _left(admin: Admin, functions: Sequence[str]) -> int:
    try:
        rows = admin.status()
    except GeniiError as error:
        if error.code == "connection-lost":  # the server that was to stop did
            return 0
        raise
    return sum(row.total for row in rows if not functions or row.name in functions)


def _bench(options: argparse.Namespace) -> int:
    import asyncio

    from genii.gearman.measure import measure

    if options.jobs < 1 or options.concurrency < 1 or options.size < 0:
        raise UsageError("--jobs and --concurrency are at least 1, --size is not negative")
    found = asyncio.run(measure(_servers(options), options.jobs, options.concurrency, options.size, _tls(options)))
    if options.json:
        _print_json(found._asdict())
    else:
        p50, p99 = found.p50 * 1000, found.p99 * 1000
        print(f"foreground  {found.foreground:10,.0f} jobs/s   p50 {p50:.2f} ms   p99 {p99:.2f} ms")
        print(f"background  {found.background:10,.0f} jobs/s accepted, {found.drained:,.0f} jobs/s done")
    return 0


# -- shared -----------------------------------------------------------------------------------------------------------


def _servers(options: argparse.Namespace) -> list[str]:
    return options.server or ["127.0.0.1:4730"]


def _admin(options: argparse.Namespace) -> Admin:
    from genii.gearman.admin import Admin
    from genii.gearman.pool import read_servers

    servers = read_servers(_servers(options))
    if len(servers) != 1:
        raise UsageError("this command asks one server: give --server once")
    return Admin(servers[0], tls=_tls(options))


def _tls(options: argparse.Namespace) -> Any:
    if not (options.ssl or options.ssl_ca_file or options.ssl_certificate):
        return None
    from genii.gearman.tls import client_context

    try:
        return client_context(options.ssl_ca_file, options.ssl_certificate, options.ssl_key)
    except OSError as error:
        raise UsageError(f"the TLS files can't be used: {error}") from error


def _seconds(text: str | None) -> float | None:
    from genii.units import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _print_json(value: object) -> None:
    indent = 2 if sys.stdout.isatty() else None
    print(json.dumps(value, indent=indent))


def _print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
