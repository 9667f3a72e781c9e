"""What ``genii put`` and ``genii get`` have in common: options, the bar, the table of results."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from genii.cli import fleet
from genii.cli.connect import read_time
from genii.cli.terminal import Paint
from genii.units import format_duration, format_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Sequence

    from genii.config.fleet import FleetSettings
    from genii.fleet.transfer import Access, Moved
    from genii.fleet.transport import Connection, Host
    from genii.patterns import Outcome

__all__ = ["add_options", "carry_out", "read_access"]

_INTERRUPTED = 130


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of both."""
    fleet.add_hosts(parser)
    group = parser.add_argument_group("how")
    group.add_argument("-t", "--timeout", metavar="TIME", help="give up on a file after this time")
    group.add_argument("--sudo", action="store_true", help="read or write as root there")
    group.add_argument("--sudo-user", metavar="USER", default="", help="as this user (implies --sudo)")
    group.add_argument(
        "--sudo-password", metavar="HOW", help="where its password is: ask, file:PATH, keyring:SERVICE (implies --sudo)"
    )
    group.add_argument("-n", "--dry-run", action="store_true", help="only tell what differs")
    group.add_argument("--json", action="store_true", help="print one JSON line for each host")


def read_access(options: argparse.Namespace, settings: FleetSettings) -> Access:
    """Return as whom the files are read or written."""
    from genii.cli.password import read_password
    from genii.fleet.command import Command
    from genii.fleet.transfer import Access

    sudo = options.sudo or bool(options.sudo_user) or options.sudo_password is not None
    timeout = read_time(options.timeout) if options.timeout else settings.timeout
    command = Command("", sudo=sudo, user=options.sudo_user)
    return Access(command, read_password(options.sudo_password), timeout or None)


def carry_out(
    options: argparse.Namespace,
    settings: FleetSettings,
    hosts: Sequence[Host],
    work: Callable[[Connection, Callable[[int], object]], Awaitable[Moved]],
) -> int:
    """Do the work on all hosts and tell what became of it."""
    from genii.cli.progress import Bar
    from genii.fleet.engine import Fleet
    from genii.fleet.ways import open_transport

    bar = Bar(sys.stderr, len(hosts))
    begin, total = time.monotonic(), [0]

    def count(size: int) -> None:
        total[0] += size
        bar.note(f"{format_size(total[0])}  {format_size(int(total[0] / (time.monotonic() - begin + 0.001)))}/s")

    async def one(connection: Connection) -> Moved:
        bar.begin()
        try:
            return await work(connection, count)
        finally:
            bar.pause()

    async def everything() -> int:
        failed = 0
        async with Fleet(open_transport(settings), limit=settings.limit) as many:
            async for outcome in many.each(hosts, one):
                bar.end(ok=outcome.ok, begun=False)
                bar.clear()
                failed += not outcome.ok
                _tell(options, outcome)
        return failed

    try:
        failed = fleet.run_until_signal(everything())
    except KeyboardInterrupt:
        bar.clear()
        print("interrupted; what is whole is in place, and the rest goes on at the next attempt", file=sys.stderr)
        return _INTERRUPTED
    bar.clear()
    if not options.json and len(hosts) > 1:
        took = time.monotonic() - begin
        good = len(hosts) - failed
        print(f"{good} of {len(hosts)} hosts ok in {format_duration(took)}, {format_size(total[0])}", file=sys.stderr)
    return 1 if failed else 0


def _tell(options: argparse.Namespace, outcome: Outcome[Moved]) -> None:
    name = outcome.item.name
    if outcome.error is not None:
        _refuse_ours(outcome.error)
        reason = str(outcome.error).removeprefix(f"{name}: ")
        if options.json:
            print(json.dumps({"host": name, "ok": False, "error": reason}), flush=True)
        else:
            print(f"{name}: {Paint(sys.stderr)(reason, 'red')}", file=sys.stderr)
        return
    moved = outcome.result()
    if options.json:
        row = {"host": name, "ok": True, "files": moved.files, "bytes": moved.bytes, "same": moved.same}
        print(json.dumps({**row, "dry_run": options.dry_run}), flush=True)
        return
    verb = "would move" if options.dry_run else "moved"
    files = f"{moved.files} file{'s' if moved.files != 1 else ''} ({format_size(moved.bytes)})"
    same = f", {moved.same} the same" if moved.same else ""
    text = f"{verb} {files}{same}" if moved.files else f"nothing differs{same}"
    print(f"{name}: {Paint(sys.stdout)(text, 'green' if moved.files else 'dim')}", flush=True)


def _refuse_ours(error: Exception) -> None:
    from genii.errors import GeniiError

    if not isinstance(error, GeniiError):
        raise error
