"""``genii prefork`` as people type it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 60
APP = """
import os
def handle(connection, peer):
    connection.sendall(b"%d %s" % (os.getpid(), connection.recv(100)))
"""


def genii(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "genii", "prefork", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)


def ask(folder: Path, text: bytes) -> tuple[int, bytes]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(folder / "s.sock"))
        connection.sendall(text)
        pid, _, rest = b"".join(iter(lambda: connection.recv(100), b"")).partition(b" ")
    return int(pid), rest


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    """A daemon with the pid file ``pid``; ended with the test."""
    (tmp_path / "app.py").write_text(APP)
    started = genii(
        tmp_path, "serve", "app:handle", "-l", f"unix:{tmp_path}/s.sock", "-n", "2", "-d",
        "--pid-file", f"{tmp_path}/pid", "--log-file", f"{tmp_path}/log",
    )  # fmt: skip
    assert started.returncode == 0, started.stderr
    yield tmp_path
    if (tmp_path / "pid").exists():
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_serves_tells_what_the_workers_do_and_stops(server: Path) -> None:
    pid = int((server / "pid").read_text())
    worker, answer = ask(server, b"hello")
    assert answer == b"hello"
    shown = genii(server, "status", "pid").stdout
    assert f"manager {pid}" in shown
    assert str(worker) in shown
    told = json.loads(genii(server, "status", str(pid), "--json").stdout)
    assert told["pid"] == pid
    assert sum(row["served"] for row in told["workers"]) == 1
    stopped = genii(server, "stop", "pid")
    assert (stopped.returncode, stopped.stdout) == (0, f"stopped {pid}\n")
    assert genii(server, "status", "pid").returncode == 3
    assert genii(server, "stop", "pid").returncode == 3


def test_reload_replaces_the_workers(server: Path) -> None:
    before, _ = ask(server, b"x")
    assert genii(server, "reload", "pid").returncode == 0
    deadline = time.monotonic() + PATIENCE
    while (pid := ask(server, b"x")[0]) == before:
        assert time.monotonic() < deadline
    assert pid


def test_a_second_start_says_that_it_is_running(server: Path) -> None:
    again = genii(server, "serve", "app:handle", "-l", f"unix:{server}/s.sock", "--pid-file", f"{server}/pid")
    assert again.returncode != 0
    assert "already running" in again.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serve", "no_such_module:f", "-l", "127.0.0.1:0"], "no_such_module"),
        (["serve", "os:nothing", "-l", "127.0.0.1:0"], "nothing"),
        (["serve", "os:getpid"], "nowhere to listen"),
        (["serve", "os:getpid", "-l", "127.0.0.1:0", "-n", "many"], "--workers many"),
        (["serve", "os:getpid", "-l", "127.0.0.1:0", "-n", "0"], "at least one"),
        (["serve", "os:getpid", "-l", "127.0.0.1:0", "--max-memory", "much"], "max_memory"),
        (["serve", "os:getpid", "-l", "127.0.0.1:0", "--request-timeout", "long"], "--request-timeout"),
        (["status", "no-such-file"], "nothing runs"),
        (["status", "4194303"], "no process 4194303"),
        (["stop", "no-such-file"], "nothing runs"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path: Path, words: list[str], told: str) -> None:
    ended = genii(tmp_path, *words)
    assert ended.returncode
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
