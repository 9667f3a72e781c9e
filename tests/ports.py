"""TCP ports of this machine for programs that have to be told a number."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

__all__ = ["free_port", "wait_for_port"]


def free_port() -> int:
    """Return a port that nobody listens on now; somebody else may take it first, so be ready to try another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
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
