"""``genii upgrade``."""

from __future__ import annotations

import sys
import time

from genii.cli.action import add_json, print_json
from genii.cli.connect import connect
from genii.cli.launch import origin
from genii.errors import GeniiError, NotAllowed, NotRunning, PeerError, TimedOut
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from genii.control.client import Client
    from genii.control.rows import SupervisorRow

__all__ = ["configure", "run"]

_PATIENCE = 90.0
"""Seconds that requests under way may hold the upgrade up, and some more."""
_LOOK = 0.02


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_json(parser)
    parser.epilog = """The version of the command that you call takes the place of the running one, in the same process.
Programs are not touched: no restart, no signal, no lost output. It is tried out first; if it can't take over,
the running version goes on and says why (exit 1).

Examples:
  pip install --upgrade genii && genii upgrade
  /opt/genii-2/bin/genii upgrade -c /etc/genii/genii.toml"""


def run(options: argparse.Namespace) -> int:
    """Have the supervisor replaced, and wait until the other version answers.

    Raises:
        NotAllowed: it can't be; the version before goes on.
    """
    client = connect(options)
    answer = client.upgrade(origin() if client.address.path else None)
    supervisor = _await(client, answer["upgrades"])
    if supervisor["upgrades"] == answer["upgrades"]:
        raise NotAllowed(f"not upgraded, genii {supervisor['version']} goes on: {supervisor['upgrade_failure']}")
    if options.json:
        print_json({"before": answer["before"], "version": supervisor["version"], "pid": supervisor["pid"]})
        return 0
    print(
        f"genii: upgraded from {answer['before']} to {supervisor['version']} "
        f"(pid {supervisor['pid']}, {supervisor['processes']} processes untouched)",
        file=sys.stderr,
    )
    return 0


def _await(client: Client, before: int) -> SupervisorRow:
    """Return what the supervisor says when it has been upgraded or that has failed."""
    end = time.monotonic() + _PATIENCE
    problem: GeniiError = TimedOut(f"the upgrade has not happened within {_PATIENCE:g} s; see the supervisor's log")
    while time.monotonic() < end:
        try:
            supervisor = client.supervisor()
        except (NotRunning, PeerError) as error:
            problem = error
        else:
            if supervisor["upgrades"] != before or supervisor["upgrade_failure"]:
                return supervisor
        time.sleep(_LOOK)
    raise problem
