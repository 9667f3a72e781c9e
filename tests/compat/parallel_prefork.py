"""The same server as parallel_prefork.pl, on genii."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from genii.serve.prefork import prefork

if TYPE_CHECKING:
    import socket


def handle(connection: socket.socket, _peer: object) -> None:
    text = connection.recv(2000).decode("utf-8", errors="replace")
    connection.sendall(f"{os.getpid()} your text size: {len(text)}\n\n".encode())


prefork(
    handle,
    listen="127.0.0.1:0",
    workers=int(sys.argv[1]),
    max_requests=int(sys.argv[2]),
    jitter=0,
    on_start=lambda manager: print(manager.listeners[0].getsockname()[1], flush=True),
)
