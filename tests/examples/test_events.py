from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from genii.testing.clock import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples/events"


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_counter_counts_in_virtual_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = load("counter")
    counter = example.Counter()
    time = VirtualTime(start=1_750_000_000.0)
    app = example.make_app(counter, listen="127.0.0.1:0", files=str(tmp_path))
    time.run_app(app, 120.5)
    assert counter.count == 120
    lines = capsys.readouterr().out.splitlines()
    assert [lines.count(f"every {what}") for what in ("second", "five seconds", "minute")] == [120, 24, 2]
    assert lines[-1] == "Bye."


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import counter
state = counter.Counter()
app = counter.make_app(state, listen="127.0.0.1:0", files=sys.argv[2])
app.on_start(lambda: print(app.addresses[0], flush=True))
sys.exit(app.run())
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(EXAMPLES), str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_the_counter_answers_signals_files_and_http(process: subprocess.Popen[str], tmp_path: Path) -> None:
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    expect(process, "every second")
    with urllib.request.urlopen(f"http://{address}/", timeout=20) as answer:
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert re.fullmatch(rb"Current Count is \d+\.", answer.read())
    os.kill(process.pid, signal.SIGUSR1)
    expect(process, "Hello!")
    (tmp_path / "new").write_text("x")
    expect(process, f"created {tmp_path}/new")
    process.terminate()
    expect(process, "Bye.")
    assert process.wait(20) == 128 + signal.SIGTERM


def expect(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for found in process.stdout:
        if found.rstrip("\n") == line:
            return
    pytest.fail(f"it ended without {line!r}")


def test_the_pattern_examples_do_what_they_say() -> None:
    programs = {
        name: subprocess.Popen([sys.executable, EXAMPLES / f"{name}.py"], stdout=subprocess.PIPE, text=True)
        for name in ("boss_worker", "crew", "pipeline")
    }
    output = {name: program.communicate(timeout=50)[0] for name, program in programs.items()}
    assert programs["boss_worker"].returncode == 1
    assert "5000 of 5000, 5 failed" in output["boss_worker"]
    assert output["crew"].startswith("17984 primes")
    assert re.search(r"[0-9a-f]{16}  base_events.py\n", output["pipeline"])
