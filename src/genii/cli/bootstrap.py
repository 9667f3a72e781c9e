"""``genii bootstrap``: put Python and genii on hosts that have neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.cli import fleet
from genii.cli.options import complete_with

if TYPE_CHECKING:
    import argparse

    from genii.fleet.verbs import AsyncRemote

__all__ = ["configure", "run"]

_EPILOG = """\
examples:
  genii bootstrap web01.example                  as the user that we are there
  genii bootstrap web --sudo --sudo-password ask for all users of the hosts
  genii bootstrap all --wheels wheels            with wheels that were fetched elsewhere

Wheels of genii and of what it needs are sent along, so that a host needs no network of its own; where it has no
Python, its package manager must find one."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = "Put Python, where there is none, and this version of genii on hosts."
    parser.epilog = _EPILOG
    parser.add_argument("hosts", metavar="HOSTS", nargs="*", help="as --on names them")
    fleet.add_hosts(parser)
    what = parser.add_argument_group("what is done, and what is shown")
    what.add_argument(
        "--to", metavar="DIR", default="", help="a folder for all of it (default: /opt/genii or ~/.local/share/genii)"
    )
    wheels = what.add_argument("--wheels", metavar="DIR", default="", help="take the wheels from this folder")
    complete_with(wheels, "files")
    what.add_argument("--local", action="store_true", help="on this machine itself")
    what.add_argument("--sudo", action="store_true", help="do everything as root")
    what.add_argument(
        "--sudo-password", metavar="HOW", help="where sudo's password is: ask, file:PATH, keyring:SERVICE"
    )
    what.add_argument("-n", "--dry-run", action="store_true", help="ask the hosts, but only show what would be done")
    what.add_argument("-v", "--verbose", action="store_true", help="show every command")
    what.add_argument("--json", action="store_true", help="print a JSON list on standard output")


def run(options: argparse.Namespace) -> int:
    """Bootstrap the hosts; return the exit code."""
    from genii.cli.task import perform
    from genii.fleet.bootstrap import bootstrap
    from genii.fleet.task import Task
    from genii.fleet.wheelhouse import Wheelhouse

    house = Wheelhouse(options.wheels)

    async def work(host: AsyncRemote) -> str:
        return await bootstrap(host, house, options.to)

    options.on = [*options.on, *options.hosts]
    try:
        return perform(Task(work, name="bootstrap"), {}, options)
    finally:
        house.close()
