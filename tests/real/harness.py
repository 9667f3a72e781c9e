"""A folder with a configuration and the real thing in it: `genii up`, its programs, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.waiting import wait_ended

from genii.control.client import Client
from genii.errors import GeniiError
from genii.system.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.control.rows import ResultRow, StatusRow

__all__ = ["PATIENCE", "Outcome", "Site", "is_alive", "kill", "open_files", "read_until"]

PATIENCE = 30.0
"""Seconds that anything may take on a loaded machine."""
_MARK = "GENII_TEST_SITE"


class Outcome(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str


class Site:
    """A folder in which genii is used as people use it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state_dir = path / ".genii"
        self.log_dir = self.state_dir / "log"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("GENII_", "LISTEN_", "NOTIFY_"))
        }
        self.environment[_MARK] = str(path)
        self._foreground: list[subprocess.Popen[str]] = []

    def write(self, programs: str, *, defaults: str = 'startsecs = "0s"', supervisor: str = "") -> None:
        """Write the configuration; programs count as running at once unless ``defaults`` says otherwise."""
        (self.path / "genii.toml").write_text(f"[supervisor]\n{supervisor}\n[defaults]\n{defaults}\n{programs}")

    def script(self, name: str, text: str) -> str:
        """Write a Python program and return the command that runs it with as little start-up as can be."""
        path = self.path / name
        path.write_text(text)
        return f"{sys.executable} -I -S {path}"

    def command(self, *words: str) -> list[str]:
        """Return the command line of genii."""
        return [sys.executable, "-m", "genii", *words]

    def genii(self, *words: str, timeout: float = 2 * PATIENCE) -> Outcome:
        """Run a command to its end."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def up(self, *words: str) -> Outcome:
        """Start a supervisor as a daemon; it must succeed."""
        outcome = self.genii("up", "-d", *words)
        assert outcome.status == 0, outcome
        return outcome

    def foreground(
        self, *words: str, wrapper: tuple[str, ...] = (), preparation: Callable[[], None] | None = None
    ) -> subprocess.Popen[str]:
        """Start ``genii up`` in the foreground, its output readable from here."""
        process = subprocess.Popen(
            [*wrapper, *self.command("up", *words)],
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=preparation,  # noqa: PLW1509 -- tests have no threads
        )
        self._foreground.append(process)
        return process

    # ------------------------------------------------------------------ questions

    @property
    def client(self) -> Client:
        """The control API."""
        return Client(Address(path=str(self.state_dir / "genii.sock")), timeout=PATIENCE)

    def status(self, name: str) -> StatusRow:
        """Return the state of one process."""
        return self.client.statuses([name])[0]

    def pid(self, name: str) -> int:
        """Return the pid of a process that runs."""
        pid = self.status(name)["pid"]
        assert pid
        return pid

    def supervisor_pid(self) -> int:
        """Return the pid of the supervisor."""
        return self.client.supervisor()["pid"]

    def keeper_pid(self) -> int:
        """Return the pid of the keeper."""
        return self.client.supervisor()["keeper_pid"]

    def act(self, action: str, *names: str, **more: object) -> list[ResultRow]:
        """Ask for an action."""
        return self.client.act(action, names, **more)  # type: ignore[arg-type]

    def when(self, name: str, accepts: Callable[[StatusRow], bool]) -> StatusRow:
        """Wait until the state of a process is as ``accepts`` wants it; woken by the events of the supervisor."""
        end = time.monotonic() + PATIENCE
        status: StatusRow | None = None
        for _ in self.client.events(heartbeat=1.0):
            status = self.status(name)
            if accepts(status):
                return status
            if time.monotonic() > end:
                break
        raise AssertionError(f"{name} did not get there: {status}\n{self.own_log()}")

    def state_of(self, name: str, state: str) -> StatusRow:
        """Wait until a process is in a state."""
        return self.when(name, lambda status: status["state"] == state)

    def line(self, name: str, *texts: str) -> str:
        """Wait until a process wrote lines that contain ``texts``, in this order; return the last of them."""
        end = time.monotonic() + PATIENCE
        left = list(texts)
        seen = []
        for row in self.client.follow_logs([name], 100000, 0.0):
            for line in row["lines"]:
                seen.append(line)
                if left[0] in line:
                    del left[0]
                    if not left:
                        return line
            if time.monotonic() > end:
                break
        raise AssertionError(f"{name} did not write {left}: {seen}")

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.log_dir / f"{name.replace(':', '-')}.log"

    def lines(self, name: str) -> list[str]:
        """Return what is in the log file of a process now."""
        path = self.log(name)
        return path.read_text(errors="replace").splitlines() if path.exists() else []

    def own_log(self) -> str:
        """Return what the supervisor itself logged."""
        path = self.log_dir / "genii.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_own_log(self, text: str) -> str:
        """Wait until the supervisor has logged something; return its whole log."""
        end = time.monotonic() + PATIENCE
        for _ in self.client.events(heartbeat=1.0):
            if text in (log := self.own_log()):
                return log
            if time.monotonic() > end:
                break
        raise AssertionError(f"{text!r} is not in the log: {self.own_log()}")

    # ------------------------------------------------------------------ the end

    def kill_supervisor(self) -> int:
        """Kill the supervisor with KILL and wait until it is gone; return its pid."""
        pid = self.supervisor_pid()
        kill(pid)
        for process in self._foreground:
            if process.pid == pid:
                process.wait(PATIENCE)
        return pid

    def processes(self) -> list[int]:
        """Return the pids of everything that was ever started from this folder and still lives."""
        marks = {f"{_MARK}={self.path}".encode(), f"GENII_STATE_DIR={self.state_dir}".encode()}
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                with contextlib.suppress(OSError):
                    variables = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
                    if marks.intersection(variables):
                        found.append(int(entry))
        return found

    def remaining(self) -> list[int]:
        """Return what is still there after all that is ending has had the time to; empty: nothing."""
        deadline = time.monotonic() + PATIENCE
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def close(self) -> None:
        """Kill whatever is left, the supervisor first."""
        with contextlib.suppress(GeniiError, OSError):
            kill(self.supervisor_pid())
        while left := self.processes():
            for pid in left:
                kill(pid)
        for process in self._foreground:
            process.wait(PATIENCE)
            if process.stdout:
                process.stdout.close()


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal and wait until the process is gone."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, number)
            wait_ended(descriptor)
        finally:
            os.close(descriptor)


def is_alive(pid: int) -> bool:
    """Say whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def open_files(pid: int) -> list[str]:
    """Return what the descriptors of a process lead to."""
    found = []
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{entry}"))
    return found


def read_until(process: subprocess.Popen[str], *texts: str) -> str:
    """Read the output of a foreground supervisor until the patterns ``texts`` have come; return all of it."""
    assert process.stdout
    seen = ""
    while not all(re.search(text, seen) for text in texts):
        line = process.stdout.readline()
        assert line, f"ended before {texts}: {seen}"
        seen += line
    return seen
