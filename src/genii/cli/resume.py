"""``genii resume``."""

from __future__ import annotations

from genii.cli.action import add_json, carry_out
from genii.cli.options import add_names
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_names(parser, required=True)
    add_json(parser)
    parser.epilog = """Examples:
  genii resume thumbs"""


def run(options: argparse.Namespace) -> int:
    """Have workers take jobs again."""
    return carry_out(options, "resume", options.names)
