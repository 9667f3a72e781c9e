"""The examples of docs/daemons.md, run as they stand there; only their folders are others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import genii

PAGE = (Path(__file__).parents[2] / "docs" / "daemons.md").read_text()
SERVER = """#!/bin/sh
if [ "$2" = 80 ]; then echo "bind: Permission denied"; exit 3; fi
echo "addr: 127.0.0.1:$2"
exec sleep 60
"""


def example(language: str, containing: str) -> str:
    found: str
    (found,) = (text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if containing in text)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("run", "log"):
        (tmp_path / name).mkdir()
    (tmp_path / "server").write_text(SERVER)
    (tmp_path / "server").chmod(0o755)
    return tmp_path


def moved(text: str, folder: Path) -> str:
    return text.replace("/run/", f"{folder}/run/").replace("/var/log/", f"{folder}/log/")


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}", "NO_COLOR": "1"}
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, env=environment)


def run_python(text: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(moved(text, folder))
    return run([sys.executable, "program.py", *words], folder)


def console(containing: str, folder: Path) -> None:
    """Type what follows the prompts, and compare what is printed."""
    script, expected = "", ""
    for line in example("console", containing).splitlines():
        if line.startswith("$ "):
            script += line[2:] + "\n"
        elif script.endswith("\\\n"):
            script += line + "\n"
        else:
            expected += line + "\n"
    ended = run(["sh", "-c", f"exec 2>&1\n{moved(script, folder)}"], folder)
    assert ended.stdout == expected


def stop(pid_file: Path) -> None:
    control = genii.Control(name="x", program="x", pid_file=str(pid_file), quiet=True, kill_timeout=20)
    assert control.run_command("stop") == 0


def test_any_command_becomes_a_daemon(folder: Path) -> None:
    try:
        console("web.pid", folder)
    finally:
        stop(folder / "run" / "web.pid")
    assert not (folder / "run" / "web.pid").exists()


def test_a_failed_start_shows_output_and_exit_code(folder: Path) -> None:
    console("--port 80\n", folder)


SERVING = """
import time
class Server:
    address = "127.0.0.1:1"
    def serve(self):
        time.sleep(60)
def open_server():
    return Server()
"""


def test_a_program_makes_itself_a_daemon(folder: Path) -> None:
    try:
        ended = run_python(SERVING + example("python", "open_server"), folder)
        assert (ended.stdout, ended.stderr, ended.returncode) == ("addr: 127.0.0.1:1\n", "", 0)
    finally:
        stop(folder / "run" / "counter.pid")


COUNTING = """
import signal, time
def count(control):
    signal.signal(signal.SIGUSR2, lambda number, frame: print("reset", flush=True))
    while True:
        time.sleep(60)
"""


def test_a_control_program_is_one_short_script(folder: Path) -> None:
    text = COUNTING + example("python", "@control.command")
    typed = example("console", "./counter.py start")
    try:
        for word, answer in re.findall(r"\./counter\.py (\w+)\n(.*)\n", typed):
            ended = run_python(text, folder, word)
            assert (ended.stdout.rstrip("\n"), ended.returncode) == (answer, 0)
    finally:
        assert run_python(text, folder, "stop").returncode == 0


def test_pid_files_from_python(folder: Path) -> None:
    ended = run_python("import genii\n" + example("python", "genii.PidFile"), folder)
    assert (ended.stderr, ended.returncode) == ("", 0)
    assert not (folder / "run" / "x.pid").exists()


SIGNALLED = """
import genii, os, signal
busy = True
ticks = []
def reload():
    print("reloaded", flush=True)
def tick():
    global busy
    ticks.append(1)
    if len(ticks) == 1:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        busy = False
        os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_handler_of_a_signal_may_refuse_to_stop(folder: Path) -> None:
    ended = run_python(SIGNALLED + example("python", "setitimer"), folder)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("reloaded\n", "", -15)


def test_every_example_in_python_is_run_here() -> None:
    tested = ("open_server", "@control.command", "genii.PidFile", "setitimer")
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert [text for text in examples if not any(word in text for word in tested)] == []
