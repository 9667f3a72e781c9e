"""Real prefork servers: each test writes a small program, starts it and talks to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.waiting import wait_until

from genii.serve.scoreboard import Scoreboard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 30.0
"""Seconds: far more than anything here takes, for machines that are busy."""

HANDLER = """
import os, sys, time, genii
def handle(connection, peer):
    text = connection.recv(2000)
    connection.sendall(b"%d %s" % (os.getpid(), text))
"""


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(number) for number in file.read().split()]
    except OSError:
        return []


class Server:
    """One running server; ``process`` is its manager."""

    def __init__(self, folder: Path, code: str, arguments: str, **options: Any) -> None:
        self.folder = folder
        self.path = str(folder / "s.sock")
        self.log_path = folder / "log"
        self.program = folder / "server.py"
        self.write(code, arguments)
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(self.program)], stdout=log, stderr=log, cwd=folder, **options
            )
        self.pid = self.process.pid

    def write(self, code: str, arguments: str) -> None:
        address = f"listen='unix:{self.path}'" if "listen=" not in arguments else ""
        call = f"genii.prefork(handle, {', '.join(filter(None, [address, arguments, 'scoreboard=BOARD']))})"
        prologue = f"""
import logging; logging.basicConfig(level=logging.INFO, format='%(message)s')
BOARD = {str(self.folder / "board")!r}
"""
        self.program.write_text(prologue + HANDLER + textwrap.dedent(code) + f"\n{call}\n")

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def workers(self) -> list[int]:
        return [pid for pid in children(self.pid) if alive(pid)]

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        try:
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection

    def states(self) -> list[str]:
        """Return what the workers do, from the scoreboard."""
        board = Scoreboard.open(str(self.folder / "board"))
        try:
            return [row.state for row in board.rows(time.monotonic_ns())]
        finally:
            board.close()

    def wait_until_busy(self, count: int = 1) -> None:
        wait_until(lambda: self.states().count("busy") == count, f"{count} busy workers")

    def ask(self, text: bytes = b"hello") -> tuple[int, bytes]:
        """Return the pid of the worker and what it answered."""
        with self.connect() as connection:
            connection.sendall(text)
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        pid, _, rest = answer.partition(b" ")
        return int(pid or 0), rest

    def serves(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log}")
        try:
            return self.ask()[1] == b"hello"
        except OSError:
            return False

    def signal(self, name: str) -> None:
        os.kill(self.pid, getattr(signal, "SIG" + name))

    def wait_for(self, text: str, count: int = 1) -> None:
        wait_until(lambda: self.log.count(text) >= count, f"{text!r} in the log:\n{self.log}\n")

    def wait_until_replaced(self, before: set[int], count: int = 0) -> None:
        """Wait until none of these workers is left, and ``count`` (0: any number) run."""
        wait_until(
            lambda: not before & set(self.workers) and len(self.workers) == (count or len(self.workers)),
            f"{count or 'other'} workers in place of {before}",
        )

    def end(self) -> int:
        self.signal("TERM")
        return self.process.wait(PATIENCE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers; whatever they leave behind is ended with the test."""
    servers: list[Server] = []

    def start_one(code: str = "", arguments: str = "", *, wait: bool = True, **options: Any) -> Server:
        folder = tmp_path / str(len(servers))
        folder.mkdir()
        server = Server(folder, code, arguments, **options)
        servers.append(server)
        if wait:
            wait_until(server.serves, "a first answer")
            server.wait_until_busy(0)  # the answer comes before the worker is done
        return server

    yield start_one
    for server in servers:
        for pid in [*server.workers, server.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        server.process.wait()
