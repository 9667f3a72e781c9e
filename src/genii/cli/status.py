"""``genii status``."""

from __future__ import annotations

import sys
import time

from genii.cli.action import add_json, print_json
from genii.cli.connect import connect, explain_unknown
from genii.cli.options import add_names
from genii.cli.remark import remark
from genii.cli.terminal import STATE_COLOURS, Paint, format_table, table_width
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Sequence

    from genii.control.client import Client
    from genii.control.rows import Overview, PoolRow, StatusRow

__all__ = ["STATUS_HEAD", "configure", "exit_code", "pool_lines", "run", "status_cells", "status_lines"]

STATUS_HEAD = ("NAME", "STATE", "PID", "UPTIME", "RESTARTS", "")
_NOT_RUNNING = 3
_CLEAR = "\x1b[H\x1b[J"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_names(parser, required=False)
    parser.add_argument("-w", "--watch", action="store_true", help="show it again whenever something changes")
    parser.add_argument("-t", "--table", action="store_true", help="the table, also where names are given")
    add_json(parser)
    parser.epilog = """Exit code: 0 if all that is named runs (nothing named: all that should), 3 if something does not,
4 if a name is unknown. 3 also if there is no supervisor.

Examples:
  genii status
  genii status web           all about it: limits, environment, memory, logs
  genii status --json | jq '.processes[] | select(.state != "RUNNING")'
  genii status --watch"""


def run(options: argparse.Namespace) -> int:
    """Print the state of processes."""
    client = connect(options)
    with explain_unknown(client, options.names):
        if options.watch:
            return _watch(client, options.names)
        if options.names and not options.table:
            return _show_details(client, options)
        overview = client.overview(options.names)
    statuses = overview["processes"]
    if options.json:
        print_json(overview)
    else:
        print("\n".join(_overview_lines(overview, time.time(), Paint(sys.stdout))))
    return exit_code(statuses, named=bool(options.names))


def _show_details(client: Client, options: argparse.Namespace) -> int:
    from genii.cli.details import detail_lines

    found = [details for name in options.names for details in client.details(name)]
    if options.json:
        # The same keys as without names, and more.
        print_json({"processes": [{**details["status"], **details} for details in found]})
    else:
        paint, now = Paint(sys.stdout), time.time()
        print("\n\n".join("\n".join(detail_lines(details, now, paint)) for details in found))
    return exit_code([details["status"] for details in found], named=True)


def _watch(client: Client, names: Sequence[str]) -> int:
    """Draw the table again at each event, and each second for the times."""
    from genii.cli.reader import end_when_unread

    end_when_unread()
    paint = Paint(sys.stdout)
    clear = _CLEAR if sys.stdout.isatty() else ""
    for _ in client.events(heartbeat=1.0):
        overview = client.overview(names)
        lines = _overview_lines(overview, time.time(), paint)
        print(clear + "\n".join(lines), end="\n" if clear else "\n\n", flush=True)
    print("the supervisor has ended", file=sys.stderr)
    return _NOT_RUNNING


def exit_code(statuses: Sequence[StatusRow], *, named: bool) -> int:
    """Return 0 when all runs that was named (or, with nothing named, that should run), else 3."""
    well = all(status["state"] == "RUNNING" or not (named or status["wanted"]) for status in statuses)
    return 0 if well and not any(status["state"] == "FATAL" for status in statuses) else _NOT_RUNNING


def status_lines(statuses: Sequence[StatusRow], now: float, paint: Paint, width: int = 0) -> list[str]:
    """Return the table, cut at a width (0: as wide as it is)."""
    if not statuses:
        return ["no programs are declared"]
    head = tuple(paint(word, "bold") for word in STATUS_HEAD)
    return format_table([head, *(status_cells(status, now, paint) for status in statuses)], width)


def _overview_lines(overview: Overview, now: float, paint: Paint) -> list[str]:
    statuses, width = overview["processes"], table_width(sys.stdout)
    programs = {row["program"] for row in statuses}
    return [*status_lines(statuses, now, paint, width), *pool_lines(overview["pools"], programs, paint, width)]


def pool_lines(pools: Sequence[PoolRow], programs: Collection[str], paint: Paint, width: int = 0) -> list[str]:
    """Return the table of the programs whose number of processes follows their load; empty: there are none."""
    shown = [pool for pool in pools if pool["program"] in programs and pool["maximum"] > pool["minimum"]]
    if not shown:
        return []
    head = tuple(paint(word, "bold") for word in ("POOL", "BOUNDS", "SLOTS", "BUSY", "WAITING", ""))
    rows = [
        (
            pool["program"],
            f"{pool['minimum']}..{pool['maximum']}",
            str(pool["slots"]),
            str(pool["busy"]),
            str(pool["waiting"] or "-"),
            "paused" if pool["paused"] else "",
        )
        for pool in shown
    ]
    return ["", *format_table([head, *rows], width)]


def status_cells(status: StatusRow, now: float, paint: Paint) -> tuple[str, ...]:
    """Return the cells of the table for one process."""
    from genii.units import format_duration

    running = status["state"] in ("RUNNING", "STARTING", "STOPPING") and status["started"]
    return (
        status["name"],
        paint(status["state"].lower(), STATE_COLOURS.get(status["state"], "")),
        str(status["pid"] or "-"),
        format_duration(float(int(max(0.0, now - status["started"])))) if running else "-",
        str(status["restarts"] or "-"),
        remark(status, now, paint),
    )
