# ruff: noqa: INP001 -- a script
"""A day in an hour: many programs, crashes, updates, log rotation, upgrades and kills of the supervisor.

``python tools/soak.py MINUTES [PROGRAMS]`` reports memory and descriptors of supervisor and keeper each minute, and
ends with an error if a program does not run, runs twice, or lost a line.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from genii.control.client import Client
from genii.system.address import Address

TALKERS = 20
TALK = """
import itertools, os, time
for number in itertools.count(1):
    os.write(1, b"%d %d some words that make the line as long as lines are\\n" % (os.getpid(), number))
    time.sleep(0.02)
"""
CONFIG = """
[defaults]
startsecs = "0s"
backoff = {{ initial = "50ms" }}
retries = 1000
[program.quiet]
command = "sleep 100000"
processes = {quiet}
restart = "always"
[program.talk]
command = "{python} -I -S {folder}/talk.py"
processes = {talkers}
restart = "always"
logs = {{ size = "64KiB", backups = 500 }}
[program.changing]
command = "sleep {number}"
processes = 10
"""


class Soak:
    """One run in a folder of its own."""

    def __init__(self, folder: Path, programs: int) -> None:
        self.folder = folder
        self.programs = programs
        self.client = Client(Address(path=str(folder / ".genii" / "genii.sock")), timeout=60)
        self.done = dict.fromkeys(("crashes", "updates", "upgrades", "kills"), 0)
        (folder / "talk.py").write_text(TALK)
        self.configure(100000)

    def configure(self, number: int) -> None:
        """Write the configuration; ``number`` is what an update changes."""
        quiet = self.programs - TALKERS - 10
        text = CONFIG.format(quiet=quiet, talkers=TALKERS, python=sys.executable, folder=self.folder, number=number)
        (self.folder / "genii.toml").write_text(text)

    def genii(self, *words: str) -> None:
        """Run a command; it must succeed."""
        subprocess.run([sys.executable, "-m", "genii", *words], cwd=self.folder, check=True, stderr=subprocess.DEVNULL)

    def crash(self) -> None:
        """Kill some programs."""
        pids = [status["pid"] for status in self.client.statuses() if status["pid"]]
        for pid in random.sample(pids, min(len(pids), 10)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.done["crashes"] += 10

    def update(self) -> None:
        """Change a program in the file and have it applied."""
        self.done["updates"] += 1
        self.configure(100000 + self.done["updates"])
        self.client.update()

    def upgrade(self) -> None:
        """Replace the supervisor by itself."""
        self.genii("upgrade")
        self.done["upgrades"] += 1

    def kill(self) -> None:
        """Kill the supervisor and start another."""
        pid = self.client.supervisor()["pid"]
        descriptor = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        with suppress(InterruptedError):
            import select

            select.select([descriptor], [], [])
        os.close(descriptor)
        self.genii("up", "-d")
        self.done["kills"] += 1

    def report(self, begun: float) -> tuple[float, ...]:
        """Print and return memory in MiB and descriptors of supervisor and keeper."""
        supervisor = self.client.supervisor()
        found: list[float] = []
        for pid in (supervisor["pid"], supervisor["keeper_pid"]):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            found += [pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(os.listdir(f"/proc/{pid}/fd"))]
        print(
            f"{time.monotonic() - begun:6.0f} s  supervisor {found[0]:5.1f} MiB {found[1]:5.0f} descriptors"
            f"  keeper {found[2]:5.1f} MiB {found[3]:5.0f} descriptors  {self.done}",
            flush=True,
        )
        return tuple(found)

    def run(self, minutes: float) -> None:
        """Let it all happen."""
        self.genii("up", "-d")
        begun = time.monotonic()
        due = {self.crash: 1.0, self.update: 10.0, self.upgrade: 25.0, self.kill: 40.0, self._look: 60.0}
        every = {self.crash: 1.0, self.update: 20.0, self.upgrade: 50.0, self.kill: 70.0, self._look: 60.0}
        self._begun = begun
        first = self.report(begun)
        while time.monotonic() - begun < 60 * minutes:
            act = min(due, key=lambda each: due[each])
            time.sleep(max(0.0, begun + due[act] - time.monotonic()))
            act()
            due[act] = max(due[act] + every[act], time.monotonic() - begun)
        self.check()
        last = self.report(begun)
        print("growth:", ", ".join(f"{after - before:+.1f}" for before, after in zip(first, last, strict=True)))
        self.genii("down")

    def _look(self) -> None:
        self.report(self._begun)

    def check(self) -> None:
        """See that everything runs once, and that the logs are whole."""
        end = time.monotonic() + 60
        while any(status["state"] != "RUNNING" for status in self.client.statuses()):
            assert time.monotonic() < end, [row for row in self.client.statuses() if row["state"] != "RUNNING"][:3]
            time.sleep(0.1)
        pids = [status["pid"] for status in self.client.statuses()]
        assert len(set(pids)) == self.programs
        mark = f"GENII_STATE_DIR={self.folder}/.genii".encode()
        marked = 0
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                marked += mark in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
        assert marked == self.programs, (marked, self.programs)
        for number in range(TALKERS):
            self._check_lines(f"talk-{number}.log")

    def _check_lines(self, name: str) -> None:
        logs = sorted((self.folder / ".genii" / "log").glob(f"{name}*"), key=_age, reverse=True)
        last: dict[str, int] = {}
        lines = b"".join(log.read_bytes() for log in logs).decode().splitlines()
        for line in lines[:-1]:
            pid, count, *_ = line.split(" ", 2)
            assert int(count) == last.get(pid, 0) + 1, (name, line)
            last[pid] = int(count)


def _age(log: Path) -> int:
    number = log.suffix.removeprefix(".")
    return int(number) if number.isdigit() else 0


def main() -> None:
    """Run as the command line says."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    programs = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    folder = Path(tempfile.mkdtemp(prefix="genii-soak-"))
    soak = Soak(folder, programs)
    try:
        soak.run(minutes)
    finally:
        subprocess.run([sys.executable, "-m", "genii", "down"], cwd=folder, check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
