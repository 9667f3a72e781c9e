"""``genii logs``."""

from __future__ import annotations

import json
import sys
import time

from genii.cli.action import add_json
from genii.cli.connect import connect, explain_unknown, read_time
from genii.cli.options import add_names
from genii.cli.reader import end_when_unread
from genii.cli.terminal import Paint, printable
from genii.errors import UsageError
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from genii.control.rows import LogRow

__all__ = ["configure", "run"]

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_names(parser, required=False)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is printed from now on")
    parser.add_argument("-n", "--lines", metavar="N", default="100", help="how many lines of each log, or 'all'")
    parser.add_argument("--since", metavar="TIME", default="0", help="nothing older than this, e.g. 10m (see below)")
    parser.add_argument("--stream", choices=("stdout", "stderr", "both"), default="both", help="which output")
    add_json(parser)
    parser.epilog = """--since reads the time at the beginning of lines (2026-11-21 08:00:00).
Where a program writes none, only whole files that were last written before then are left out.

Examples:
  genii logs web
  genii logs -f                  of all programs, as it comes
  genii logs -n all --since 10m web jobs"""


def run(options: argparse.Namespace) -> int:
    """Print logs.

    Raises:
        UsageError: the number is none.
    """
    count = -1 if options.lines == "all" else _count(options.lines)
    ago = read_time(options.since, "--since")
    since = time.time() - ago if ago else 0.0
    client = connect(options)
    if options.follow:
        end_when_unread()
    with explain_unknown(client, options.names):
        rows = client.statuses(options.names)
        read = client.follow_logs if options.follow else client.recent_logs
        _print_lines(
            read(options.names, count, since, options.stream), [row["name"] for row in rows], as_json=options.json
        )
    if options.follow:
        print("the supervisor has ended", file=sys.stderr)
    return 0


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{text!r} is not a number of lines; write for example 100, or all")
    return int(text)


def _print_lines(batches: Iterable[LogRow], names: list[str], *, as_json: bool) -> None:
    paint = Paint(sys.stdout)
    widest = max((len(name) for name in names), default=0)
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}
    clean = printable if sys.stdout.isatty() else str
    for batch in batches:
        if as_json:
            print(json.dumps(batch, ensure_ascii=False), flush=True)
            continue
        prefix = ""
        if len(names) > 1:
            prefix = paint(f"{batch['name']:<{widest}} |", colours.get(batch["name"], "")) + " "
        sys.stdout.write("".join(f"{prefix}{clean(line)}\n" for line in batch["lines"]))
        sys.stdout.flush()
