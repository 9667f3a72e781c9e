"""``genii signal``."""

from __future__ import annotations

from genii.cli.action import add_json, carry_out
from genii.cli.options import add_names
from genii.errors import UsageError
from genii.typed import TYPE_CHECKING
from genii.units import parse_signal

if TYPE_CHECKING:
    import argparse

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("signal", metavar="SIGNAL", help="by name or number: USR1, SIGUSR1, 10")
    add_names(parser, required=True)
    add_json(parser)
    parser.epilog = """Examples:
  genii signal USR1 web
  genii signal HUP all"""


def run(options: argparse.Namespace) -> int:
    """Send a signal.

    Raises:
        UsageError: there is no such signal.
    """
    try:
        number = int(parse_signal(options.signal))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return carry_out(options, "signal", options.names, signal=number)
