"""``genii get``: files and trees from many hosts."""

from __future__ import annotations

import os
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
    parser.add_argument("source", metavar="SOURCE", help="a file or a directory there; {host} is the name of the host")
    folder = parser.add_argument(
        "destination",
        metavar="FOLDER",
        help="the folder here; {host} as well (default: FOLDER/HOST)",
    )
    complete_with(folder, "files")
    add_options(parser)
    parser.epilog = """Files keep their modes; symbolic links are left out. Only what differs is fetched.

Examples:
  genii get --on web /var/log/shop.log logs        logs/web1/shop.log, logs/web2/shop.log, …
  genii get --on web /etc/shop 'etc-{host}'"""


def run(options: argparse.Namespace) -> int:
    """Fetch; return the exit code."""
    from genii.fleet.transfer import Get, get

    settings, hosts = fleet.load(options)
    access = read_access(options, settings)
    pattern = options.destination if "{host}" in options.destination else os.path.join(options.destination, "{host}")

    async def work(connection: Connection, count: Callable[[int], object]) -> Moved:
        name = connection.host.name
        source, folder = (text.replace("{host}", name) for text in (options.source, pattern))
        return await get(connection, Get(source, folder, access, options.dry_run), count)

    return carry_out(options, settings, hosts, work)
