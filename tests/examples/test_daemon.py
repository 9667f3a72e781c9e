"""The counting daemon of examples/daemon, as its reader would use it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COUNTER = Path(__file__).parents[2] / "examples" / "daemon" / "counter.py"


def control(folder: Path, command: str) -> tuple[str, int]:
    ended = subprocess.run(
        [sys.executable, str(COUNTER), command],
        capture_output=True, text=True, timeout=50, env={**os.environ, "COUNTER_FOLDER": str(folder)},
    )  # fmt: skip
    assert ended.stderr == ""
    return ended.stdout.partition("[")[2].rstrip("]\n"), ended.returncode


def wait_for_line(log: Path, line: str, after: str = "") -> None:
    deadline = time.monotonic() + 30
    while f"{line}\n" not in log.read_text()[log.read_text().find(after) :]:
        assert time.monotonic() < deadline, f"no {line!r} in {log.read_text()!r}"
        time.sleep(0.02)


@pytest.mark.slow
def test_counts_greets_resets_and_ends(tmp_path: Path) -> None:
    log = tmp_path / "counter.log"
    assert control(tmp_path, "reset") == ("Not Running", 7)
    assert control(tmp_path, "start") == ("Started", 0)
    try:
        wait_for_line(log, "WORK 2")
        os.kill(int((tmp_path / "counter.pid").read_text()), signal.SIGUSR1)
        wait_for_line(log, "Hello!")
        assert control(tmp_path, "reset") == ("Reset", 0)
        wait_for_line(log, "WORK 1", after="Reset\n")
        assert control(tmp_path, "reload") == ("Reloaded", 0)
        wait_for_line(log, "Reloaded")
        assert control(tmp_path, "status") == ("Running", 0)
    finally:
        assert control(tmp_path, "stop") == ("Stopped", 0)
    assert log.read_text().endswith("Bye\n")
    assert control(tmp_path, "status") == ("Not Running", 3)
