"""The examples of docs/events.md, run as they stand there; only where they listen is another place."""

from __future__ import annotations

import ast
import asyncio
import re
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genii.events.snapshot import Batch

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text()


def example(containing: str) -> str:
    found: str
    (found,) = (text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if containing in text)
    return found


def run_async(text: str, **names: object) -> dict[str, Any]:
    """Run what stands within an async function in the reader's program; return its variables."""
    within = f"async def main():\n{textwrap.indent(text, '    ')}\n    return locals()\n"
    exec(within, names)
    found: dict[str, Any] = asyncio.run(asyncio.wait_for(names["main"](), 50))  # type: ignore[operator]
    return found


def get(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        with connection.makefile() as answer:
            return answer.read().rpartition("\n")[2]


def test_the_program_in_ten_lines_does_what_the_session_shows(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    listen = tmp_path / "socket"
    text = example("Current Count").replace("127.0.0.1:9090", f"unix:{listen}")
    text = text.replace("sys.exit", "app.on_start(lambda: print('started', flush=True))\nsys.exit")
    (tmp_path / "counter.py").write_text(text)
    words = [sys.executable, "-u", "counter.py"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            assert re.fullmatch(r"Current Count is \d+\.", get(listen))
            (tmp_path / "files" / "x").touch()
            assert process.stdout.readline() == f"created {tmp_path}/files/x\n"
            process.terminate()
            assert process.wait(30) == 143
        finally:
            process.kill()


def test_schedules_can_be_used_alone() -> None:
    names: dict[str, Any] = {"time": time}
    exec(example("expression.upcoming"), names)
    assert names["expression"].next_after(0.0) == 7.5 * 3600
    said = re.search(r"expression\.explain\(\)  # '(.*)'", PAGE)
    assert said is not None
    assert names["expression"].explain() == said[1]


def test_files_are_watched_without_an_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path)
    text = example("from genii.events.watch import Watcher")
    before, _, rest = text.partition("async for")
    (tmp_path / "src" / "old.py").touch()
    writes = "asyncio.get_running_loop().call_later(0.5, write)\n"
    found = run_async(
        f"{before}{writes}async for{rest}    break\n",
        asyncio=asyncio,
        write=lambda: [(tmp_path / "src" / name).write_text("x") for name in ("new.py", "new.txt")],
    )
    assert isinstance(found["batch"], Batch)
    assert capsys.readouterr().out == f"created {tmp_path}/src/new.py \n"


def test_signals_come_without_a_loop() -> None:
    before = """
import os, signal
greet = lambda: print("Hello!")
worked = []
def work():
    worked.append(1)
    os.kill(os.getpid(), signal.SIGTERM)
os.kill
"""
    text = example("while signals.wait(timeout=1.0)")
    text = text.replace("    while", "    os.kill(os.getpid(), signal.SIGUSR1)\n    while")
    ended = subprocess.run([sys.executable, "-c", before + text], capture_output=True, text=True, timeout=50)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("Hello!\n", "", -15)


PATTERNS = """
import asyncio
from pathlib import Path
hosts = ["a", "b"]
numbers = list(range(100))
stored = []
async def visit(host):
    return host * 2
def check(host):
    return host
def read(path):
    return path
async def digest(text):
    return len(text)
def store(number):
    stored.append(number)
    return number
paths = ["x", "yy", "zzz"]
"""


def test_the_patterns_are_used_like_that(tmp_path: Path) -> None:
    text = example("from genii.patterns import")
    imported, _, rest = text.partition("\n")
    within, _, last = rest.partition("outcomes = run(")
    within = within.replace("    ...", "    assert outcome.ok")
    program = (
        f"{PATTERNS}{imported}\nasync def main():\n{textwrap.indent(within, '    ')}\n    print(sums, stored)\n"
        f"if __name__ == '__main__':\n    asyncio.run(main())\n    outcomes = run({last}"
        "    print([outcome.value for outcome in outcomes])\n"
    )
    (tmp_path / "program.py").write_text(program)
    ended = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert ended.stderr == ""
    lines = ended.stdout.splitlines()
    assert sorted(lines[:2]) == ["a aa", "b bb"]
    assert lines[2].endswith("[1, 2, 3]")
    assert sorted(ast.literal_eval(lines[3])) == ["a", "b"]


def test_virtual_time_tests_an_app() -> None:
    before = """
import genii
class State:
    count = 0
def make_app(state):
    app = genii.App()
    @app.every(1)
    def count():
        state.count += 1
    return app
"""
    names: dict[str, Any] = {}
    exec(before + example("VirtualTime(start="), names)
    names["test_counts_for_an_hour"]()


def test_every_example_is_run_here() -> None:
    tested = ("Current Count", "expression.upcoming", "events.watch import Watcher", "while signals.wait",
              "from genii.patterns", "VirtualTime(start=")  # fmt: skip
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert [text for text in examples if not any(word in text for word in tested)] == []
