"""TCP ports of this machine for programs that have to be told a number."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

__all__ = ["free_port", "wait_for_port"]


def free_port() -> int:
    """Return a port that nobody listens on now.

    It lies below those that the kernel gives out by itself (ip(7), ip_local_port_range), which other tests get at any
    moment: only another who asks here could take it first.
    """
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(20000, 32768)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], address: str = "127.0.0.1") -> bool:
    """Wait until somebody listens there; say no when the process ends before, or takes too long."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((address, port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False
