"""``genii reload``."""

from __future__ import annotations

from genii.cli.action import add_json, carry_out
from genii.cli.options import add_names
from genii.errors import UsageError
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_names(parser, required=False, what="programs, or processes such as web:0, or 'all'")
    add_json(parser)
    parser.epilog = """A program's own check runs first; when it fails no signal is sent (exit 5).

Examples:
  genii reload web           it gets its reload signal (HUP)
  genii update               reads genii's own configuration again"""


def run(options: argparse.Namespace) -> int:
    """Reload programs.

    Raises:
        UsageError: none was named; supervisord's ``reload`` restarts everything, so that we guess nothing here.
    """
    if not options.names:
        raise UsageError(
            "name what to reload: 'genii reload NAME' has a program read its own configuration again; "
            "'genii update' reads genii's, 'genii restart all' restarts everything"
        )
    return carry_out(options, "reload", options.names)
