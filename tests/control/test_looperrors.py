from __future__ import annotations

import asyncio
import logging
import resource
import socket
from typing import TYPE_CHECKING

from genii.control.looperrors import LoopErrors

if TYPE_CHECKING:
    from typing import Any

    import pytest


def test_a_connection_that_can_not_be_accepted_is_told_in_one_line_and_accepted_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        errors, told, accepted = LoopErrors(), asyncio.Event(), asyncio.Event()

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            errors.handle(loop, context)
            told.set()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            await writer.wait_closed()
            accepted.set()

        loop.set_exception_handler(handle)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=50)
        client = socket.socket()
        client.setblocking(False)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
        try:
            await loop.sock_connect(client, server.sockets[0].getsockname())
            await asyncio.wait_for(told.wait(), 60)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await asyncio.wait_for(accepted.wait(), 60)
        client.close()
        server.close()
        await server.wait_closed()

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "can't accept a connection: Too many open files; it is tried again each second"
    ]


def test_all_else_is_logged_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    LoopErrors().handle(loop, {"message": "a task was lost", "exception": ValueError("why")})
    loop.close()
    assert "a task was lost" in caplog.text
