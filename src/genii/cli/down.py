"""``genii down``."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from genii.cli.connect import connect, read_time
from genii.cli.parser import add_timeout
from genii.errors import NotRunning, TimedOut
from genii.units import format_duration

if TYPE_CHECKING:
    import argparse

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
        print(f"genii: already down: {error}", file=sys.stderr)
        return 0
    if not client.address.path:
        client.shutdown(patience)
        return 0
    # The descriptor is that of this very process: its number can't be reused behind our back.
    with suppress(ProcessLookupError):
        process = os.pidfd_open(supervisor["pid"])
        try:
            client.shutdown(patience)
            waiter = select.poll()
            waiter.register(process, select.POLLIN)
            if not waiter.poll(patience * 1000 if patience else None):
                raise TimedOut(
                    f"the supervisor (pid {supervisor['pid']}) still stops after {format_duration(patience)}"
                )
        finally:
            os.close(process)
    return 0
