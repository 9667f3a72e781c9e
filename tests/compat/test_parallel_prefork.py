"""What a client and an operator see of a server on the real Parallel::Prefork, they see of one on genii."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
POEM = "月濡雨霽逆三餘\n夜半昏昏對故書\n窻視暈洸膚皓透\n須臾轉翳四圍虛\n\n"
PATIENCE = 30.0


def _has_parallel_prefork() -> bool:
    perl = shutil.which("perl")
    return (
        perl is not None and subprocess.run([perl, "-MParallel::Prefork", "-e1"], capture_output=True).returncode == 0
    )


pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(not _has_parallel_prefork(), reason="needs perl with Parallel::Prefork"),
]


class Server:
    """A running server of either kind."""

    def __init__(self, kind: str, workers: int, requests: int) -> None:
        command = ["perl"] if kind == "perl" else [sys.executable]
        script = HERE / f"parallel_prefork.{'pl' if kind == 'perl' else 'py'}"
        self.process = subprocess.Popen([*command, str(script), str(workers), str(requests)], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def ask(self, text: str = "hi\n") -> tuple[int, str]:
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall(text.encode())
            answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
        pid, _, rest = answer.partition(" ")
        return int(pid), rest

    @property
    def workers(self) -> set[int]:
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return {int(number) for number in file.read().split()}

    def wait_for_workers(self, condition: Callable[[set[int]], bool]) -> set[int]:
        deadline = time.monotonic() + PATIENCE
        while not condition(workers := self.workers):
            assert time.monotonic() < deadline, workers
            time.sleep(0.01)
        return workers

    def signal_until(self, number: signal.Signals, condition: Callable[[], bool]) -> None:
        """Send a signal until it shows: Parallel::Prefork loses one that comes at the wrong moment."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.workers
            if self.process.poll() is None:
                self.process.send_signal(number)
            again = time.monotonic() + 1
            while not condition() and time.monotonic() < again:
                time.sleep(0.01)

    def close(self) -> None:
        for pid in (*self.workers, self.process.pid) if self.process.poll() is None else ():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(params=["perl", "genii"])
def start(request: pytest.FixtureRequest) -> Iterator[Callable[[int, int], Server]]:
    servers: list[Server] = []

    def start_one(workers: int, requests: int) -> Server:
        server = Server(request.param, workers, requests)
        servers.append(server)
        server.wait_for_workers(lambda pids: len(pids) == workers)
        return server

    yield start_one
    for server in servers:
        server.close()


def test_answers_with_the_size_in_characters(start: Callable[[int, int], Server]) -> None:
    server = start(2, 100)
    pid, answer = server.ask(POEM)
    assert answer == "your text size: 33\n\n"
    assert pid in server.workers


def test_each_worker_serves_its_share_and_is_replaced(start: Callable[[int, int], Server]) -> None:
    server = start(1, 3)
    pids = [server.ask()[0] for _ in range(9)]
    assert pids[0] == pids[1] == pids[2] != pids[3] == pids[4] == pids[5] != pids[6]
    assert len(set(pids)) == 3


def test_a_killed_worker_is_replaced(start: Callable[[int, int], Server]) -> None:
    server = start(2, 100)
    victim = min(server.workers)
    os.kill(victim, signal.SIGKILL)
    server.wait_for_workers(lambda pids: len(pids) == 2 and victim not in pids)
    assert server.ask()[1] == "your text size: 3\n\n"


def test_hup_replaces_all_workers_and_the_manager_stays(start: Callable[[int, int], Server]) -> None:
    server = start(3, 100)
    before = server.workers
    server.signal_until(signal.SIGHUP, lambda: len(server.workers) == 3 and not server.workers & before)
    assert server.ask()[1] == "your text size: 3\n\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_ends_with_all_its_workers(start: Callable[[int, int], Server], number: signal.Signals) -> None:
    server = start(3, 100)
    server.ask()
    workers = server.workers
    server.signal_until(number, lambda: server.process.poll() is not None)
    assert server.process.wait() == 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)


def test_pipe_and_alarm_are_ignored(start: Callable[[int, int], Server]) -> None:
    server = start(2, 100)
    server.process.send_signal(signal.SIGPIPE)
    server.process.send_signal(signal.SIGALRM)
    assert server.ask()[1] == "your text size: 3\n\n"
    assert server.process.poll() is None
