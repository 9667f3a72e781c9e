"""``genii stop``."""

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
    parser.add_argument("--no-wait", action="store_true", help="don't wait until they have ended")
    add_timeout(parser)
    add_json(parser)
    parser.epilog = """Examples:
  genii stop web             those that depend on it are stopped first
  genii stop web:1           one of its processes
  genii stop all             everything but the supervisor (that is 'genii down')"""


def run(options: argparse.Namespace) -> int:
    """Stop processes."""
    return carry_out(options, "stop", options.names, wait=not options.no_wait, timeout=read_time(options.timeout))
