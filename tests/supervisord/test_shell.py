"""The shell of ``genii supervisorctl`` at a terminal, as somebody types in it."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.supervisord.conftest import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisord.conftest import Daemon

pytestmark = pytest.mark.slow

PROGRAMS = """
[program:cat]
command = /bin/cat
startsecs = 0
stdout_logfile = {here}/cat.log
[program:web]
command = /bin/cat
process_name = %(program_name)s_%(process_num)02d
numprocs = 2
startsecs = 0
autostart = false
"""
CTRL_C, CTRL_D, TAB, UP = "\x03", "\x04", "\t", "\x1b[A"
PROMPT = "supervisor> "


class Terminal:
    """A command at a terminal of its own; what it shows is read until something is there."""

    def __init__(self, command: list[str]) -> None:
        self._ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "dumb", "INPUTRC": "/dev/null", "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(command, env=environment, preexec_fn=lambda: os.login_tty(theirs))  # noqa: PLW1509
        os.close(theirs)
        self._shown = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, pattern: str) -> str:
        """Return all that was shown since the last call, up to what is waited for."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self._shown)) is None:
            assert time.monotonic() < deadline, self._shown
            if select.select([self._ours], [], [], 0.1)[0]:
                try:
                    data = os.read(self._ours, 65536)
                except OSError:
                    raise AssertionError(f"it has ended: {self._shown}") from None
                self._shown += data.decode().replace("\r", "")
        before, self._shown = self._shown[: found.end()], self._shown[found.end() :]
        return before

    def end(self) -> int:
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.close()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1


@pytest.fixture
def shell(daemon: Daemon) -> Iterator[Terminal]:
    daemon.start(PROGRAMS.replace("[program:cat]", "[supervisorctl]\nhistory_file = {here}/history\n[program:cat]"))
    terminal = Terminal([sys.executable, "-m", "genii", "supervisorctl", "-c", str(daemon.config)])
    terminal.until(PROMPT)
    yield terminal
    terminal.close()


def test_begins_with_the_status_and_ends_with_the_input(daemon: Daemon) -> None:
    daemon.start(PROGRAMS)
    terminal = Terminal([sys.executable, "-m", "genii", "supervisorctl", "-c", str(daemon.config)])
    shown = terminal.until(PROMPT)
    assert re.search(r"cat +RUNNING +pid \d+, uptime 0:00:\d\d\n", shown)
    assert re.search(r"web:web_00 +STOPPED +Not started\n", shown)
    terminal.type("nonsense\n")
    assert "*** Unknown syntax: nonsense\n" in terminal.until(PROMPT)
    terminal.type(CTRL_D)
    assert terminal.end() == 0


def test_completes_commands_groups_and_processes(shell: Terminal) -> None:
    shell.type(f"stat{TAB}c{TAB}\n")
    assert "status cat" in shell.until(r"cat +RUNNING")
    shell.until(PROMPT)
    shell.type(f"star{TAB}web:web_00{TAB}\n")
    shell.until("web:web_00: started\n")
    shell.until(PROMPT)
    shell.type(f"upd{TAB}w{TAB}")
    shell.until("update web ")
    shell.type(f"{CTRL_C}")


def test_follows_a_log_until_it_is_interrupted(shell: Terminal, daemon: Daemon) -> None:
    shell.type("tail -f cat\n")
    shell.until("==> Press Ctrl-C to exit <==\n")
    daemon.call("sendProcessStdin", "cat", "one\n")
    shell.until("(?m)^one\n")
    shell.type(CTRL_C)
    shell.until(PROMPT)
    shell.type("version\n")
    shell.until(r"(?m)^\d+\.\d+\.\d+\n")


def test_talks_to_a_process_in_the_foreground(shell: Terminal) -> None:
    shell.type("fg cat\n")
    shell.until("==> Press Ctrl-C to exit <==\n")
    shell.type("hello\n")
    shell.until("hello\n")  # as it was typed
    shell.until("(?m)^hello\n")  # as cat has it
    shell.type(CTRL_C)
    shell.until(PROMPT)
    shell.type("fg web:web_00\n")
    shell.until("ERROR: process not running\n")


def test_tells_about_commands(shell: Terminal) -> None:
    shell.type("help\n")
    assert "restart" in shell.until(PROMPT)
    shell.type("help tail\n")
    assert "tail [-f|-BYTES] NAME" in shell.until(PROMPT)
    shell.type("help nonsense\n")
    assert "*** No help on nonsense\n" in shell.until(PROMPT)


def test_asks_before_it_ends_everything(shell: Terminal, daemon: Daemon) -> None:
    for command in ("shutdown", "reload"):
        shell.type(f"{command}\n")
        shell.until("y/N\\? ")
        shell.type("n\n")
        shell.until(PROMPT)
    assert daemon.state("cat") == "RUNNING"
    shell.type("shutdown\n")
    shell.until("y/N\\? ")
    shell.type("y\n")
    shell.until("Shut down\n")
    assert daemon.wait() == 0
    shell.until(PROMPT)
    shell.type("status\n")
    shell.until("no such file\n")
    shell.type("quit\n")
    assert shell.end() == 0


def test_keeps_what_was_typed_for_the_next_time(shell: Terminal, daemon: Daemon) -> None:
    shell.type("pid cat\n")
    shell.until(r"(?m)^\d+\n")
    shell.until(PROMPT)
    shell.type("exit\n")
    assert shell.end() == 0
    assert (daemon.folder / "history").read_text().splitlines()[-2:] == ["pid cat", "exit"]
    again = Terminal([sys.executable, "-m", "genii", "supervisorctl", "-c", str(daemon.config)])
    again.until(PROMPT)
    again.type(f"{UP}{UP}\n")
    assert "pid cat" in again.until(r"(?m)^\d+\n")
    again.close()
