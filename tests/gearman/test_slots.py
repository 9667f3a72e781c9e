"""A slot manager on a loop of one's own, with real workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from genii.errors import NotRunning, UsageError
from genii.gearman.async_client import AsyncClient
from genii.gearman.slots import SlotManager
from genii.testing.job_server import job_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from genii.testing.job_server import ServerThread

PATIENCE = 30.0
WORKER = """
import os, pathlib, genii

class TestWorker(genii.Worker):
    def reverse(self, data):
        return data[::-1]

    def hold(self, name):
        return pathlib.Path(name.decode()).read_bytes()

    def pid(self, data):
        return str(os.getpid()).encode()
"""


@pytest.fixture
def server() -> Iterator[ServerThread]:
    with job_servers() as start:
        yield start()


@pytest.fixture
def options(server: ServerThread, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "TestWorker.py").write_text(WORKER)
    return {"job_servers": [server.address], "libs": [str(tmp_path)], "grace": 0.1, "cooldown": 0.05}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 -- it happens in other processes
            await asyncio.sleep(0.02)


async def get(port: int, path: str, host: str = "localhost") -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_does_jobs_follows_the_load_and_shows_it(options: dict[str, Any], server: ServerThread, tmp_path: Path) -> None:
    async def main() -> None:
        slots: Any = {"global": options, "TestWorker": {"min": 1, "max": 3, "workleft": 10}}
        async with SlotManager(slots, port=0) as manager, AsyncClient(server.address, timeout=PATIENCE) as client:
            assert await client.call("TestWorker::reverse", b"abc") == b"cba"
            fifo = tmp_path / "fifo"
            os.mkfifo(fifo)
            held = asyncio.create_task(client.call("TestWorker::hold", str(fifo).encode()))
            await until(lambda: (manager.pools()[0].slots, manager.pools()[0].busy) == (2, 1))
            status, body = await get(manager.port, "/status")
            found = json.loads(body)
            assert status == 200
            assert found["pools"][0] | {"program": "TestWorker", "minimum": 1, "maximum": 3} == found["pools"][0]
            busy = next(row for row in found["processes"] if row["busy"])
            assert (busy["job"], busy["jobs_left"]) == ("TestWorker::hold", 8)
            assert b"TestWorker::hold" in (await get(manager.port, "/"))[1]
            assert b'genii_pool_busy{program="TestWorker"} 1' in (await get(manager.port, "/metrics"))[1]
            assert (await get(manager.port, "/status", "evil.example:80"))[0] == 421
            await asyncio.to_thread(fifo.write_bytes, b"done")
            assert await held == b"done"
            await until(lambda: manager.pools()[0].slots == 1)
            pids = {row.pid for row in manager.processes()}
            await manager.scale("TestWorker", 2, 4)
            assert manager.pools()[0].slots == 2
            await manager.restart("TestWorker")
            assert not pids & {row.pid for row in manager.processes()}
        with pytest.raises(NotRunning):
            manager.pools()

    asyncio.run(main())


def test_can_be_stopped_and_started_again(options: dict[str, Any], server: ServerThread) -> None:
    async def main() -> None:
        manager = SlotManager({"TestWorker": {**options, "min": 1, "max": 1}})  # type: ignore[typeddict-item]
        for _ in range(2):
            await manager.start()
            await manager.start()  # it is already
            async with AsyncClient(server.address, timeout=PATIENCE) as client:
                pid = int(await client.call("TestWorker::pid"))
            await manager.stop()
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    asyncio.run(main())


def test_is_for_this_machine_only() -> None:
    with pytest.raises(UsageError, match="no password"):
        SlotManager({"T": {}}, port=0, host="0.0.0.0")


def test_workers_die_with_a_manager_that_is_killed(options: dict[str, Any], server: ServerThread) -> None:
    words = ["work", "TestWorker:TestWorker", "-s", server.address, "--min", "2", "--max", "4", "--jobs", "100"]
    command = [sys.executable, "-m", "genii", *words, "-I", options["libs"][0]]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as manager:

        async def ask() -> int:
            async with AsyncClient(server.address, timeout=PATIENCE) as client:
                return int(await client.call("TestWorker::pid"))

        worker = os.pidfd_open(asyncio.run(ask()))
        manager.send_signal(signal.SIGKILL)
        manager.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                signal.pidfd_send_signal(worker, 0)
            except ProcessLookupError:
                break
            time.sleep(0.01)
        else:
            pytest.fail("the worker lives on")
        os.close(worker)


def test_from_the_command_line_it_ends_gracefully(options: dict[str, Any], server: ServerThread) -> None:
    words = ["work", "TestWorker:TestWorker", "-s", server.address, "--max", "2", "--warm", "--http", "127.0.0.1:0"]
    command = [sys.executable, "-m", "genii", *words, "-I", options["libs"][0]]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as manager:

        async def ask() -> bytes:
            async with AsyncClient(server.address, timeout=PATIENCE) as client:
                return bytes(await client.call("TestWorker::reverse", b"abc"))

        assert asyncio.run(ask()) == b"cba"
        manager.send_signal(signal.SIGTERM)
        _, log = manager.communicate(timeout=PATIENCE)
        assert manager.returncode == 0
        assert "TestWorker:0: STOPPING -> STOPPED" in log


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--min", "3", "--max", "2"], "maximum number of workers is 2"),
        (["--max", "0"], "maximum number of workers is 0"),
        (["--min", "-1"], "minimum number of workers is -1"),
        (["--jobs", "-1"], "--jobs is 0 or more"),
        (["--max", "2", "--http", "0.0.0.0:0"], "no password"),
        (["--max", "2", "--list"], "for one worker"),
    ],
)
def test_the_command_says_what_is_wrong(options: dict[str, Any], words: list[str], says: str) -> None:
    command = [sys.executable, "-m", "genii", "work", "TestWorker:TestWorker", "-I", options["libs"][0], *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
