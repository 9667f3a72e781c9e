"""Many clients, rude clients: the supervisor goes on."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.real.harness import Site


def connect(site: Site) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(str(site.state_dir / "genii.sock"))
    return client


def test_a_thousand_clients_with_half_a_request_keep_nobody_out(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    with ExitStack() as clients:
        for number in range(1000):
            client = clients.enter_context(connect(site))
            try:
                client.sendall(
                    b"GET /api/v1/processes HTTP/1.1\r\nHost: x\r\nHalf" if number % 2 else b"\x00\xffgarbage"
                )
            except (BrokenPipeError, ConnectionResetError):
                continue  # refused, as one too many
        assert site.genii("restart", "job").status == 0
    assert site.status("job")["state"] == "RUNNING"
