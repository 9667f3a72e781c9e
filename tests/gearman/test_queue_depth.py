"""How many jobs wait for certain workers, as job servers tell it."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from genii.errors import PeerError
from genii.gearman.client import Client
from genii.gearman.queue_depth import QueueDepth, functions_of, waiting_in
from genii.gearman.worker import Worker
from genii.testing.job_server import job_servers


def test_reads_what_workers_offer() -> None:
    lines = ["30 127.0.0.1 host:7 : a b::c", "31 127.0.0.1 - : d", "32 ::1 host:8 :", "nonsense", ""]
    assert functions_of(lines, frozenset({"host:7", "host:8"})) == {"a", "b::c"}


def test_counts_what_waits_and_nothing_else() -> None:
    lines = ["a\t10\t3\t3", "b\t5\t0\t1", "c\t2\t2\t2", "a\tx\ty\tz", "broken", ""]
    assert waiting_in(lines, {"a", "c"}) == 7


def test_asks_real_servers() -> None:
    async def ask(depth: QueueDepth, servers: list[str], pids: list[int]) -> int:
        return await depth.waiting(servers, pids)

    async def main(servers: list[str]) -> None:
        depth = QueueDepth()
        assert await depth.waiting(servers, [123]) == 5
        assert await depth.waiting(servers, [123, 124]) == 5
        assert await depth.waiting(servers, [999]) == 0  # nobody knows this one
        depth.close()

    with job_servers() as start:
        servers = [start().address, start().address]
        worker = Worker(servers, client_id=f"{socket.gethostname()}:123")
        worker.register(lambda _: b"", "f")
        worker.pause()  # offers nothing, until it has been told to go on
        thread = threading.Thread(target=worker.run, kwargs={"signals": False}, daemon=True)
        busy, go = threading.Event(), threading.Event()

        def hold(_: bytes) -> bytes:
            busy.set()
            assert go.wait(20)
            return b""

        worker.register(hold, "f")
        for address, count in zip(servers, (2, 4), strict=True):
            with Client(address) as client:
                for _ in range(count):
                    client.submit("f")
        worker.resume()
        thread.start()
        assert busy.wait(20)
        asyncio.run(main(servers))
        go.set()
        worker.stop()
        thread.join(20)


def test_a_server_that_is_gone_counts_as_empty_unless_it_is_the_only_one() -> None:
    async def main() -> None:
        depth = QueueDepth()
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            gone = f"127.0.0.1:{nobody.getsockname()[1]}"
            with pytest.raises((OSError, PeerError)):
                await depth.waiting([gone], [1])
            with job_servers() as start:
                assert await depth.waiting([gone, start().address], [1]) == 0
                depth.close()

    asyncio.run(main())
