"""The text-size example: server and client as a user runs them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from .conftest import alive, children

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "textsize"
POEM = "月濡雨霽逆三餘\n夜半昏昏對故書\n窻視暈洸膚皓透\n須臾轉翳四圍虛\n"


def run(name: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / f"{name}.py"), *arguments]
    return subprocess.run(command, input=text, text=True, encoding="utf-8", capture_output=True, timeout=50)


class Example:
    """The running daemon in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        started = self.run("-p", "0")
        assert started.returncode == 0, started.stderr
        self.pid = int((folder / "textsize.pid").read_text())
        found = re.search(r"Listening at 127\.0\.0\.1:(\d+)", self.log)
        assert found is not None
        self.port = found[1]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run("server", "-d", str(self.folder), *arguments)

    def ask(self, text: str = POEM) -> str:
        answer = run("client", "-p", self.port, text=text)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    @property
    def log(self) -> str:
        return (self.folder / "textsize.log").read_text()


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    running = Example(tmp_path)
    yield running
    if alive(running.pid):
        os.kill(running.pid, signal.SIGKILL)


def test_answers_the_poem_with_33(example: Example) -> None:
    answer = re.fullmatch(r"(\d+) your text size: 33\n\n", example.ask())
    assert answer is not None
    assert int(answer[1]) in children(example.pid)
    wait_until(lambda: f"- {answer[1]} Client Query Processing Ended." in example.log, "the end of the query")
    assert POEM in example.log


def test_a_second_start_says_that_it_is_already_running(example: Example) -> None:
    second = example.run("-p", "0")
    assert second.returncode == 1
    assert f"already running as process {example.pid}" in second.stderr


def test_hup_reads_the_configuration_again(example: Example) -> None:
    wait_until(lambda: len(children(example.pid)) == 5, "five workers")
    (example.folder / "textsize.toml").write_text("workers = 2\nmax_requests = 1\n")
    os.kill(example.pid, signal.SIGHUP)
    wait_until(lambda: len(children(example.pid)) == 2, "two workers")
    assert len({example.ask() for _ in range(4)}) == 4  # each from a worker of its own
    (example.folder / "textsize.toml").write_text("workers = many\n")
    os.kill(example.pid, signal.SIGHUP)
    wait_until(lambda: "the reload failed, the workers go on as they are" in example.log, "a refusal")
    assert "Traceback" not in example.log
    assert "33" in example.ask()


def test_t_ends_it_and_says_when_there_is_nothing_to_end(example: Example) -> None:
    workers = children(example.pid)
    ended = example.run("-t")
    assert (ended.returncode, f"{example.pid} Server terminated." in ended.stdout) == (0, True)
    assert "* Server Terminated." in example.log
    assert example.log.count("Child Process Ended") == len(workers)
    assert not (example.folder / "textsize.pid").exists()
    assert example.run("-t").returncode == 3
