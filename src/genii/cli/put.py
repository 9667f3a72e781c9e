"""``genii put``: files and trees to many hosts."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from genii.cli import fleet
from genii.cli.options import complete_with
from genii.cli.transfer import add_options, carry_out, read_access

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from genii.fleet.transfer import Moved
    from genii.fleet.transport import Connection

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    complete_with(parser.add_argument("source", metavar="SOURCE", help="a file or a directory here"), "files")
    parser.add_argument("destination", metavar="DESTINATION", help="where it goes; {host} stands for the host's name")
    add_options(parser)
    parser.epilog = """A file goes into DESTINATION if that is a directory; a directory becomes DESTINATION.
Only what differs is sent; what was cut off goes on where it was; a file is in place when it is whole.

Examples:
  genii put --on web shop.conf /etc/shop/shop.conf --sudo
  genii put --on web dist /srv/shop/static"""


def run(options: argparse.Namespace) -> int:
    """Send; return the exit code."""
    from genii.fleet.transfer import Put, put
    from genii.fleet.tree import scan

    source = os.path.normpath(options.source)
    entries = scan(source)
    settings, hosts = fleet.load(options)
    order = Put(
        source, entries, options.destination, os.path.isdir(source), read_access(options, settings), options.dry_run
    )

    async def work(connection: Connection, count: Callable[[int], object]) -> Moved:
        mine = replace(order, destination=options.destination.replace("{host}", connection.host.name))
        return await put(connection, mine, count)

    return carry_out(options, settings, hosts, work)
