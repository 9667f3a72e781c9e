"""WSGI, ASGI and asyncio's streams on sockets that genii keeps: the example as a user runs it, restarts under load."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.ports import free_port

pytestmark = [pytest.mark.compat, pytest.mark.slow]

EXAMPLE = Path(__file__).parents[2] / "examples" / "web"
PATIENCE = 60


@pytest.fixture
def site(tmp_path: Path) -> tuple[Path, dict[str, str], dict[str, int]]:
    """A copy of the example with ports of its own, the servers it needs installed beside it."""
    words = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target"]
    done = subprocess.run(
        [*words, str(tmp_path / "lib"), "gunicorn", "uvicorn"], capture_output=True, timeout=300, check=False
    )
    if done.returncode:
        pytest.skip("gunicorn and uvicorn can't be installed from PyPI here")
    folder = tmp_path / "web"
    shutil.copytree(EXAMPLE, folder)
    ports = {"8101": free_port(), "8102": free_port(), "8103": free_port()}
    text = (folder / "genii.toml").read_text()
    for port, other in ports.items():
        text = text.replace(port, str(other))
    (folder / "genii.toml").write_text(text)
    path = f"{tmp_path}/lib/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return folder, {**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path / "lib")}, ports


def request(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(4096), b""))


def line(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(b"hello\n")
        return connection.recv(100)


def test_web_applications_are_served_and_their_restarts_refuse_nobody(
    site: tuple[Path, dict[str, str], dict[str, int]],
) -> None:
    folder, environment, ports = site

    def genii(*words: str) -> None:
        command = [sys.executable, "-m", "genii", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, (words, done.stdout, done.stderr)

    genii("up", "-d")
    try:
        deadline = time.monotonic() + PATIENCE
        for port, told in ((ports["8101"], b"WSGI"), (ports["8102"], b"ASGI")):
            answer = request(port)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert told in answer
        assert line(ports["8103"]).endswith(b": hello\n")
        refused: list[str] = []
        done = threading.Event()

        def ask_on() -> None:
            while not done.is_set() and time.monotonic() < deadline:
                try:
                    assert line(ports["8103"]).endswith(b": hello\n")
                except (OSError, AssertionError) as error:
                    refused.append(repr(error))

        asking = threading.Thread(target=ask_on)
        asking.start()
        genii("restart", "streams")
        genii("reload", "streams")
        done.set()
        asking.join()
        assert not refused
    finally:
        genii("down")
