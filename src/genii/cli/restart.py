"""``genii restart``."""

from __future__ import annotations

from genii.cli.action import add_json, carry_out
from genii.cli.connect import read_time
from genii.cli.options import add_names, add_timeout
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_names(parser, required=True)
    parser.add_argument("--rolling", action="store_true", help="one process after the other, each when the last runs")
    parser.add_argument("--no-wait", action="store_true", help="don't wait until they run again")
    add_timeout(parser)
    add_json(parser)
    parser.epilog = """A program's own check runs first; when it fails the program is left as it is (exit 5).

Examples:
  genii restart web
  genii restart --rolling web"""


def run(options: argparse.Namespace) -> int:
    """Restart processes."""
    timeout = read_time(options.timeout)
    return carry_out(
        options, "restart", options.names, wait=not options.no_wait, rolling=options.rolling, timeout=timeout
    )
