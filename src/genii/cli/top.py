"""``genii top``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from genii.cli.connect import connect
from genii.cli.terminal import Paint
from genii.errors import NotAllowed

if TYPE_CHECKING:
    import argparse

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = """Keys: ? shows them all. Leaving it stops nothing.

Examples:
  genii top
  GENII_PASSWORD=… genii -s me@host:9001 top"""


def run(options: argparse.Namespace) -> int:
    """Show the full-screen view.

    Raises:
        NotAllowed: this is no terminal.
        NotRunning: there is no supervisor.
    """
    if (
        not (sys.stdin and sys.stdout and sys.stdin.isatty() and sys.stdout.isatty())
        or os.environ.get("TERM") == "dumb"
    ):
        raise NotAllowed("genii top needs a terminal; 'genii status --watch' can do without")
    client = connect(options)
    client.supervisor()  # says what is wrong before the screen is taken
    from genii.top.run import run as show

    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    show(client, sys.stdin.fileno(), sys.stdout.fileno(), colour=Paint(sys.stdout).on, unicode=unicode)
    return 0
