"""``genii update``."""

from __future__ import annotations

import sys

from genii.cli.action import add_json, print_json
from genii.cli.connect import connect
from genii.cli.terminal import Paint
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from genii.control.rows import DifferenceRow

__all__ = ["configure", "describe", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("-n", "--dry-run", action="store_true", help="only show what would change")
    add_json(parser)
    parser.epilog = """Only programs that changed are restarted. A broken file changes nothing (exit 2).

Examples:
  genii update --dry-run
  genii update"""


def run(options: argparse.Namespace) -> int:
    """Update, and print the difference."""
    difference = connect(options).update(dry_run=options.dry_run)
    if options.json:
        print_json({"difference": difference})
        return 0
    paint = Paint(sys.stdout)
    lines = describe(difference)
    for sign, text in lines:
        print(paint(f"{sign} {text}", {"+": "green", "-": "red", "~": "yellow"}.get(sign, "")))
    if not lines:
        print("nothing has changed", file=sys.stderr)
    elif options.dry_run:
        print("nothing was done; 'genii update' does it", file=sys.stderr)
    return 0


def describe(difference: DifferenceRow) -> list[tuple[str, str]]:
    """Return a sign and a text for each thing that changes."""
    lines = [("+", name) for name in difference["added"]]
    lines += [("-", name) for name in difference["removed"]]
    lines += [("~", f"{name}: {', '.join(keys)} (restarts)") for name, keys in difference["changed"].items()]
    lines += [("~", f"{name}: {', '.join(keys)} (without a restart)") for name, keys in difference["adjusted"].items()]
    if difference["settings"]:
        lines.append(("!", f"{', '.join(difference['settings'])}: at the next start of the supervisor"))
    return lines
