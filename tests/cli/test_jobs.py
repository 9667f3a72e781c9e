from __future__ import annotations

import argparse
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from genii.cli import jobs, work
from genii.errors import NotRunning, TimedOut, UsageError
from genii.gearman.worker import Worker
from genii.testing.job_server import job_servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Text(Worker):
    def upper(self, data: bytes) -> bytes:
        return data.upper()

    def fail(self, data: bytes) -> bytes:
        raise ValueError("no")


@pytest.fixture
def address() -> Iterator[str]:
    with job_servers() as start:
        yield start().address


@pytest.fixture
def working(address: str) -> Iterator[str]:
    worker = Text(address)
    thread = threading.Thread(target=worker.run, kwargs={"signals": False}, daemon=True)
    thread.start()
    yield address
    worker.stop()
    thread.join(20)


def run(module: Any, *words: str) -> int:
    parser = argparse.ArgumentParser()
    module.configure(parser)
    code: int = module.run(parser.parse_args(words))
    return code


def test_submit_prints_the_result(working: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(jobs, "submit", "-s", working, "Text::upper", "hello") == 0
    assert capfdbinary.readouterr().out == b"HELLO"


def test_submit_runs_a_job_for_each_line_and_tells_which_failed(
    working: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert run(jobs, "submit", "-s", working, "-n", "Text::upper") == 0
    assert capfd.readouterr().out == "ONE\nTWO\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert run(jobs, "submit", "-s", working, "-n", "Text::fail") == 1
    assert capfd.readouterr().err.count("ValueError: no") >= 2


def test_background_jobs_are_listed_asked_for_and_dropped(address: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(jobs, "submit", "-s", address, "-b", "--priority", "low", "f", "text") == 0
    handle = capfd.readouterr().out.strip()
    assert run(jobs, "queue", "-s", address, "f", "--json") == 0
    assert json.loads(capfd.readouterr().out)[0] == {
        "handle": handle, "state": "queued", "priority": "low", "retries": 0, "background": True, "when": 0,
        "unique": "", "size": 4, "payload": "text",
    }  # fmt: skip
    assert run(jobs, "status", "-s", address, handle) == 0
    assert run(jobs, "status", "-s", address) == 0
    assert capfd.readouterr().out.splitlines()[-1].split() == ["f", "1", "0", "0", "0", "1", "0"]
    assert run(jobs, "drop", "-s", address, handle, "H:other:1") == 1
    assert "H:other:1: " + address + ": UNKNOWN_JOB (it has no such job" in capfd.readouterr().err
    assert run(jobs, "status", "-s", address, handle) == 3


def test_drain_waits_and_gives_up_when_told_to(address: str) -> None:
    assert run(jobs, "drain", "-s", address) == 0
    run(jobs, "submit", "-s", address, "-b", "f", "x")
    with pytest.raises(TimedOut, match="1 jobs are left"):
        run(jobs, "drain", "-s", address, "--timeout", "10ms")
    assert run(jobs, "drain", "-s", address, "other") == 0
    run(jobs, "drop", "-s", address, "--function", "f")
    assert run(jobs, "drain", "-s", address, "--stop") == 0


def test_bench_measures(address: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(jobs, "bench", "-s", address, "-n", "50", "-c", "5", "--json") == 0
    assert json.loads(capfd.readouterr().out)["foreground"] > 0


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(NotRunning, match=r"no job server answers at 127\.0\.0\.1:1: Connection refused"):
        run(jobs, "status", "-s", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-q", "redis"], "its own journal"),
        (["-q", "nonsense"], "'journal' or 'builtin'"),
        (["--verbose", "LOUD"], "FATAL"),
        (["-p", "70000"], "between 0 and 65535"),
        (["--ssl"], "--ssl-certificate"),
        (["--max-packet", "much"], "not a size"),
        (["--job-handle-prefix", "with blank"], "without blanks"),
    ],
)
def test_wrong_options_of_the_server_are_told(words: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        run(jobs, "serve", "--check-args", *words)


def test_the_options_of_gearmand_are_taken() -> None:
    words = "-p 9955 -L 127.0.0.1 -t 4 -b 100 -f 1000 -j 3 -R -w 0 --exceptions --keepalive --verbose INFO -l stderr"
    assert run(jobs, "serve", "--check-args", "-q", "builtin", *words.split()) == 0


def answers(path: Path) -> bool:
    """Say whether a socket takes connections: its file is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@contextmanager
def serving(socket_path: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``jobs serve`` on a unix socket, in a process of its own."""
    script = "import argparse, sys; from genii.cli import jobs_serve; p = argparse.ArgumentParser();"
    script += "jobs_serve.configure(p); sys.exit(jobs_serve.run(p.parse_args()))"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "-L", f"unix:{socket_path}", *words], stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 30
        while not answers(socket_path):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_server_runs_tells_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sock"
    with serving(path, "--journal", str(tmp_path / "journal"), "--http", "127.0.0.1:0") as process:
        assert os.stat(path).st_mode & 0o777 == 0o600
        assert run(jobs, "submit", "-s", f"unix:{path}", "-b", "f", "x") == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert not path.exists()


def fetch(socket_path: Path, target: str) -> tuple[str, str]:
    """Return head and body of a page."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(socket_path))
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: jobs\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            head, _, body = answer.read().decode().partition("\r\n\r\n")
    return head, body


def test_status_and_metrics_are_served_over_http(tmp_path: Path) -> None:
    path, page = tmp_path / "jobs.sock", tmp_path / "page.sock"
    with serving(path, "--journal", str(tmp_path / "journal"), "--http", f"unix:{page}"):
        assert run(jobs, "submit", "-s", f"unix:{path}", "-b", 'odd"name', "x") == 0
        head, body = fetch(page, "/")
        assert head.startswith("HTTP/1.1 200 ")
        assert 'odd"name' in body
        status = json.loads(fetch(page, "/status")[1])
        assert (status["durable"], status["submitted"], status["queued"]) == (True, 1, 1)
        assert status["by_function"] == [{"name": 'odd"name', "queued": 1, "waiting": 0, "running": 0, "workers": 0}]
        head, body = fetch(page, "/metrics")
        assert "text/plain; version=0.0.4" in head
        assert "# TYPE genii_jobs_submitted_total counter\ngenii_jobs_submitted_total 1\n" in body
        assert 'genii_jobs_function_queued{function="odd\\"name"} 1\n' in body
        assert "genii_jobs_journal_failing 0\n" in body
        assert fetch(page, "/other")[0].startswith("HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "module:Class"),
        ("no_such_module:X", "no module 'no_such_module'"),
        ("genii.errors:GeniiError", "not a class that inherits from genii.Worker"),
    ],
)
def test_a_worker_that_is_none_is_told(name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        run(work, name)


def test_work_lists_and_does_jobs(
    address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_of_the_test.py").write_text(
        "import genii\nclass Thumbs(genii.Worker):\n    def resize(self, data): return data[:2]\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    lib = ["-I", str(tmp_path)]
    assert run(work, "shop_of_the_test:Thumbs", *lib, "--list", "--prefix", "p", "--separator", ".") == 0
    assert capfd.readouterr().out == "p.resize\n"
    run(jobs, "submit", "-s", address, "-b", "Thumbs::resize", "hello")
    assert run(work, "shop_of_the_test:Thumbs", *lib, "-s", address, "--max-jobs", "1") == 0
    assert run(jobs, "drain", "-s", address) == 0
