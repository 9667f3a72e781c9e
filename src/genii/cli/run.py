"""``genii run``: one command on many hosts."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from genii.cli import fleet
from genii.cli.connect import read_time
from genii.cli.options import complete_with
from genii.errors import UsageError
from genii.system.plain_asyncio import import_asyncio
from genii.units import format_count

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from genii.cli.input_lines import InputLines
    from genii.cli.show import Show
    from genii.config.fleet import FleetSettings
    from genii.fleet.command import Command
    from genii.fleet.engine import Fleet
    from genii.fleet.report import Report
    from genii.fleet.result import Result
    from genii.fleet.run import Plan
    from genii.fleet.transport import Host

__all__ = ["configure", "run"]

_INTERRUPTED = 130
_KEPT = 1 << 18
_KEPT_IN_PASSING = 1 << 12


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    words = parser.add_argument("words", metavar="CMD", nargs="*")
    words.help = "the command, after --; none: read commands from standard input, line by line"
    fleet.add_hosts(parser)
    what = parser.add_argument_group("what runs")
    what.add_argument("-t", "--timeout", metavar="TIME", help="kill the command after this time, e.g. 30s")
    what.add_argument("--env", metavar="NAME=VALUE", action="append", default=[], help="set a variable")
    what.add_argument("--cd", metavar="DIR", default="", help="run it in this directory of the host")
    complete_with(
        what.add_argument("--script", metavar="FILE", help="send a script along and run it; CMD are its arguments"),
        "files",
    )
    what.add_argument("--stdin", action="store_true", help="give what comes on standard input to each command")
    what.add_argument("--sudo", action="store_true", help="run it as root")
    what.add_argument("--sudo-user", metavar="USER", default="", help="run it as this user (implies --sudo)")
    what.add_argument(
        "--sudo-password",
        metavar="HOW",
        help="where sudo's password is: ask, file:PATH, keyring:SERVICE (implies --sudo)",
    )
    order = parser.add_argument_group("in which order, and when to stop")
    order.add_argument("--serial", action="store_true", help="one host after the other")
    order.add_argument(
        "--batch", metavar="N", default="", help="so many hosts (or 10%%) must end before the next begin"
    )
    order.add_argument("--fail-fast", action="store_true", help="begin no further host after the first failure")
    order.add_argument("--max-fail", metavar="N", default="", help="the same after more than N (or 5%%) failures")
    shown = parser.add_argument_group("what is shown and kept")
    shown.add_argument("-g", "--group", action="store_true", help="print identical output once, in the end")
    shown.add_argument("-q", "--quiet", action="store_true", help="print no output, only the summary")
    shown.add_argument("--results", metavar="DIR", help="write HOST.out, HOST.err and results.jsonl there")
    shown.add_argument("--retry-failed", metavar="DIR", help="run on the hosts that failed there")
    shown.add_argument("-n", "--dry-run", action="store_true", help="only tell what would run where")
    shown.add_argument("--json", action="store_true", help="print one JSON line for each host")
    parser.epilog = """One word after -- is shell text, several are kept apart: 'uptime | cut -c1-9', or ls "my file".

Exit code: that of the command on one host; on several 0 if all went well, else 1; 124 where the one timed out.

Examples:
  genii run --on web -- uptime
  genii run --on 'web,!web007' --limit 20 --timeout 30s --results out -- apt-get -q update
  genii run --retry-failed out -- apt-get -q update
  genii run --on all --sudo --sudo-password ask --batch 10% --max-fail 5% -- systemctl restart shop
  genii run --on web                     commands from standard input, over the same connections"""


def run(options: argparse.Namespace) -> int:
    """Run it; return the exit code.

    Raises:
        UsageError: the options make no sense.
    """
    import_asyncio()
    named = None
    if options.retry_failed:
        from genii.fleet.report import failed_hosts

        if options.on:
            raise UsageError("--retry-failed names the hosts itself: leave out --on")
        named = failed_hosts(options.retry_failed)
        if not named:
            print(f"nothing failed in {options.retry_failed}", file=sys.stderr)
            return 0
        options.results = options.results or options.retry_failed
    settings, hosts = fleet.load(options, named)
    plan = _plan(options, settings, hosts)
    if options.dry_run:
        return _tell(options, plan, hosts)
    from genii.fleet.report import Report

    report = Report(options.results) if options.results else None
    try:
        if not options.words and not options.script:
            return _session(options, settings, hosts, plan, report)
        return _once(options, settings, hosts, plan, report)
    finally:
        if report:
            report.close()


def _plan(options: argparse.Namespace, settings: FleetSettings, hosts: Sequence[Host]) -> Plan:
    from genii.cli.password import read_password
    from genii.fleet.result import too_many_failed
    from genii.fleet.run import Plan, batches

    timeout = read_time(options.timeout) if options.timeout else settings.timeout
    max_fail = "0" if options.fail_fast else options.max_fail
    try:
        batches(hosts, options.batch)
    except ValueError as error:
        raise UsageError(f"--batch: {error}") from None
    try:
        if max_fail:
            too_many_failed(0, 1, max_fail)
    except ValueError as error:
        raise UsageError(f"--max-fail: {error}") from None
    return Plan(
        command=_command(options, options.words),
        timeout=timeout or None,
        password=read_password(options.sudo_password) if not options.dry_run else None,
        batch=options.batch,
        max_fail=max_fail,
        keep=_KEPT if options.json or options.group else _KEPT_IN_PASSING,
        forget=options.json,
        limit=1 if options.serial else settings.limit,
    )


def _command(options: argparse.Namespace, words: Sequence[str]) -> Command:
    from genii.fleet.command import Command, command_text

    environment = {}
    for pair in options.env:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--env {pair}: write NAME=VALUE")
        environment[name] = value
    script = None
    if options.script:
        import shlex

        try:
            with open(options.script, "rb") as file:
                script = file.read()
        except OSError as error:
            raise UsageError(f"--script {options.script}: {error.strerror}") from error
        if options.stdin:
            raise UsageError("--script and --stdin both use the command's input: choose one")
    return Command(
        text=shlex.join(words) if options.script else command_text(words) if words else "",
        script=script,
        environment=environment,
        directory=options.cd,
        sudo=options.sudo or bool(options.sudo_user) or options.sudo_password is not None,
        user=options.sudo_user,
        input=sys.stdin.buffer.read() if options.stdin else b"",
    )


def _tell(options: argparse.Namespace, plan: Plan, hosts: Sequence[Host]) -> int:
    line = plan.command.line("PROMPT", "PASSED")
    if options.json:
        for host in hosts:
            print(json.dumps({"host": host.name, "address": host.address or host.name, "command": line}))
        return 0
    for host in hosts:
        print(host.name)
    print(f"would run on {format_count(len(hosts), 'host')}, {plan.limit} at once: {line}", file=sys.stderr)
    return 0


def _once(
    options: argparse.Namespace, settings: FleetSettings, hosts: Sequence[Host], plan: Plan, report: Report | None
) -> int:
    from genii.cli.show import Show
    from genii.fleet.engine import Fleet
    from genii.fleet.result import exit_code
    from genii.fleet.run import run_command
    from genii.fleet.ways import open_transport

    show = Show(hosts, mode=_mode(options))

    async def work() -> list[Result]:
        async with Fleet(open_transport(settings), limit=plan.limit) as many:
            return await run_command(many, hosts, plan, show, report)

    try:
        results = fleet.run_until_signal(work())
    except KeyboardInterrupt:
        show.finish(interrupted=True)
        return _INTERRUPTED
    show.finish()
    return exit_code(results)


def _mode(options: argparse.Namespace) -> str:
    return "json" if options.json else "group" if options.group else "quiet" if options.quiet else "stream"


def _session(
    options: argparse.Namespace, settings: FleetSettings, hosts: Sequence[Host], plan: Plan, report: Report | None
) -> int:
    """Read commands from standard input and run each on all hosts, over connections that stay open."""
    from genii.cli.input_lines import InputLines
    from genii.fleet.engine import Fleet
    from genii.fleet.ways import open_transport

    if options.stdin:
        raise UsageError("--stdin needs a command: without one, standard input is where commands come from")

    async def work() -> int:
        worst, lines = 0, InputLines(sys.stdin.fileno())
        async with Fleet(open_transport(settings, reuse_from=1), limit=plan.limit, keep=True) as many:
            while (line := await _next_line(lines, len(hosts))) is not None:
                if line.strip():
                    worst = max(worst, await _step(options, many, hosts, plan, report, line))
        return worst

    try:
        return fleet.run_until_signal(work())
    except KeyboardInterrupt:
        return _INTERRUPTED


async def _next_line(lines: InputLines, count: int) -> str | None:
    if sys.stdin.isatty():
        sys.stderr.write(f"{format_count(count, 'host')}> ")
        sys.stderr.flush()
    return await lines.next()


async def _step(
    options: argparse.Namespace,
    many: Fleet,
    hosts: Sequence[Host],
    plan: Plan,
    report: Report | None,
    line: str,
) -> int:
    import asyncio
    from dataclasses import replace

    from genii.cli.show import Show
    from genii.fleet.result import exit_code
    from genii.fleet.run import run_command

    show: Show = Show(hosts, mode=_mode(options))
    begin = time.monotonic()
    try:
        results = await run_command(many, hosts, replace(plan, command=_command(options, [line])), show, report)
    except asyncio.CancelledError:
        show.finish(interrupted=True)
        raise
    show.finish(seconds=time.monotonic() - begin)
    return exit_code(results)
