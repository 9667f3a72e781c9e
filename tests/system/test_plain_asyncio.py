from __future__ import annotations

import subprocess
import sys
import tempfile


def test_asyncio_does_without_ssl_and_others_get_it() -> None:
    code = """\
import sys
from genii.system.plain_asyncio import import_asyncio
import_asyncio()
import asyncio
assert "ssl" not in sys.modules
async def talk():
    server = await asyncio.start_unix_server(lambda reader, writer: writer.close(), sys.argv[1])
    reader, writer = await asyncio.open_unix_connection(sys.argv[1])
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    server.close()
asyncio.run(talk())
import ssl
import_asyncio()
print(ssl.create_default_context().check_hostname)
"""
    with tempfile.TemporaryDirectory() as folder:  # a short path, as that of a socket has to be
        command = [sys.executable, "-c", code, f"{folder}/s"]
        assert subprocess.run(command, stdout=subprocess.PIPE, timeout=50, check=True).stdout == b"True\n"
