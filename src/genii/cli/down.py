"""``genii down``."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress

from genii.cli.connect import connect, read_time
from genii.cli.options import add_timeout
from genii.errors import NotRunning, TimedOut
from genii.typed import TYPE_CHECKING
from genii.units import format_count, format_duration

if TYPE_CHECKING:
    import argparse

    from genii.control.client import Client

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_timeout(parser)
    parser.epilog = """Each program gets the time that its 'stop' allows. Nothing to stop is fine, too (exit 0).

Examples:
  genii down"""


def run(options: argparse.Namespace) -> int:
    """Stop everything, and wait until the supervisor is gone.

    Raises:
        TimedOut: it still stops.
    """
    patience = read_time(options.timeout)
    client = connect(options)
    try:
        supervisor = client.supervisor()
    except NotRunning as error:
        if left := _left_behind(client.address.path):
            raise NotRunning(
                f"there is no supervisor, but {format_count(left, 'process')} of one that was killed still there: "
                "'genii up -d' adopts what is left, then 'genii down' stops it"
            ) from None
        print(f"genii: already down: {error}", file=sys.stderr)
        return 0
    done = f"genii: down, {format_count(supervisor['processes'], 'process')}"
    process = _open_supervisor(client)
    try:
        client.shutdown(patience)
        if process >= 0:
            waiter = select.poll()
            waiter.register(process, select.POLLIN)
            if not waiter.poll(patience * 1000 if patience else None):
                raise TimedOut(
                    f"the supervisor (pid {supervisor['pid']}) still stops after {format_duration(patience)}"
                )
    finally:
        if process >= 0:
            os.close(process)
    print(done, file=sys.stderr)
    return 0


def _open_supervisor(client: Client) -> int:
    """Return a descriptor of the supervisor's process; -1: it can't be seen from here (TCP, another pid namespace).

    What it says of its pid counts only where it lives. The descriptor is that of this very process: its number can't
    be reused behind our back.
    """
    pid = client.peer_pid()
    try:
        return os.pidfd_open(pid) if pid else -1
    except ProcessLookupError:
        return -1


def _left_behind(socket_path: str) -> int:
    """Return how many processes of a supervisor that was killed still run, by its record."""
    path = os.path.join(os.path.dirname(socket_path), "record")
    if not socket_path or not os.path.exists(path):
        return 0
    from genii.supervise.record import read
    from genii.system.process import boot_id, open_process

    with open(path, "rb") as file:
        found = read(file.read(), boot_id()).processes.values()
    count = 0
    for process in found:
        with suppress(OSError):
            os.close(open_process(process.pid, process.start_time))
            count += 1
    return count
