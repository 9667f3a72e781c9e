"""Answer each line of a connection, many connections in each worker, on asyncio's streams.

python streams.py          on port 8103, or on the socket that genii passes on
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import genii

if TYPE_CHECKING:
    import socket


async def handle(connection: socket.socket, _peer: object) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    async for line in reader:
        writer.write(b"%d: %b" % (os.getpid(), line))
        await writer.drain()
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    genii.prefork(handle, listen="127.0.0.1:8103", workers=2, request_timeout=0)
