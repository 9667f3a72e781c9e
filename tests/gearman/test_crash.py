"""The job server is killed at random moments; every background job that it acknowledged runs all the same."""

from __future__ import annotations

import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.ports import free_port

from genii.errors import GeniiError
from genii.gearman.client import Client
from genii.gearman.protocol import Kind, PacketReader, request
from genii.gearman.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

SERVE = (
    "import argparse, sys; from genii.cli import jobs_serve; parser = argparse.ArgumentParser();"
    "jobs_serve.configure(parser); sys.exit(jobs_serve.run(parser.parse_args()))"
)


class Killable:
    """A job server in a process of its own, on a port that stays the same over its lives."""

    def __init__(self, journal: Path, *options: str) -> None:
        self.port = free_port()
        self.words = [sys.executable, "-c", SERVE, "-p", str(self.port), "--journal", str(journal), *options]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        deadline = time.monotonic() + 30
        self.process = subprocess.Popen(self.words)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self.process.poll() is None, "the server ended by itself"
                assert time.monotonic() < deadline
                time.sleep(0.01)
            else:
                return

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)


class Submitter(threading.Thread):
    """Submit numbered jobs, 50 unanswered at once, and note which were acknowledged; reconnect when cut off."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.acknowledged: set[bytes] = set()
        self.stopping = threading.Event()
        self._number = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
                    self._submit(connection)
            except OSError:
                self.stopping.wait(0.01)

    def _submit(self, connection: socket.socket) -> None:
        reader = PacketReader()
        waiting: list[bytes] = []
        while not self.stopping.is_set() or waiting:
            while len(waiting) < 50 and not self.stopping.is_set():
                self._number += 1
                waiting.append(b"%d" % self._number)
                connection.sendall(request(Kind.SUBMIT_JOB_BG, b"note", b"", waiting[-1]))
            if not select.select([connection], [], [], 20)[0]:
                raise TimeoutError
            data = connection.recv(65536)
            if not data:
                raise ConnectionResetError
            for kind, _ in reader.feed(data):
                assert kind == Kind.JOB_CREATED
                self.acknowledged.add(waiting.pop(0))


def crash(journal: Path, rounds: int) -> None:
    server = Killable(journal)
    submitter = Submitter(server.port)
    done: dict[bytes, int] = {}

    def note(payload: bytes) -> bytes:
        done[payload] = done.get(payload, 0) + 1
        return b""

    worker = Worker(f"127.0.0.1:{server.port}")
    worker.register(note)
    working = threading.Thread(target=worker.run, kwargs={"signals": False}, daemon=True)
    submitter.start()
    working.start()
    try:
        chance = random.Random(7)  # the processor's time is chance enough
        for _ in range(rounds):
            time.sleep(chance.uniform(0.0, 0.3))
            server.kill()
            server.start()
        submitter.stopping.set()
        submitter.join(30)
        deadline = time.monotonic() + 60
        while not submitter.acknowledged <= done.keys():
            assert time.monotonic() < deadline, f"lost: {submitter.acknowledged - done.keys()}"
            time.sleep(0.02)
        assert len(submitter.acknowledged) > rounds
    finally:
        worker.stop()
        working.join(30)
        server.kill()


def test_acknowledged_jobs_survive_a_few_kills(tmp_path: Path) -> None:
    crash(tmp_path / "journal", 3)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_acknowledged_jobs_survive_a_hundred_kills(tmp_path: Path) -> None:
    crash(tmp_path / "journal", 100)


def test_a_client_gets_an_error_not_silence_when_the_server_is_killed(tmp_path: Path) -> None:
    server = Killable(tmp_path / "journal")
    client = Client(f"127.0.0.1:{server.port}", timeout=30)
    client.echo()
    killer = threading.Timer(0.2, server.kill)
    killer.start()
    with pytest.raises(GeniiError):
        client.call("nobody")
    killer.join()
