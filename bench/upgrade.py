"""Measure what an upgrade and an adoption cost with many programs.

``python bench/upgrade.py [PROGRAMS] [ROUNDS]`` (default 1,000 and 5): each program is declared by itself and has a
stream; one of them writes a line with the time each millisecond. Printed are, a line for each round:

- upgrade: the silence by the supervisor's own log, the longest that a client waited for an answer meanwhile, the
  longest that a line took until it was in the log, and the processor time of the supervisor;
- adoption: from the start of the supervisor (its process) and of the command until the first answer that says that all
  run, and the supervisor's processor time until then.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from genii.control.client import Client
from genii.errors import GeniiError
from genii.system.address import Address

TICK = 1.0 / os.sysconf("SC_CLK_TCK")
CLOCK = """
import os, time
while True:
    os.write(1, b"%.6f\\n" % time.monotonic())
    time.sleep(0.001)
"""


class Site:
    """A folder with a supervisor of many programs."""

    def __init__(self, folder: Path, programs: int) -> None:
        self.folder = folder
        self.programs = programs
        self.client = Client(Address(path=str(folder / ".genii" / "genii.sock")), timeout=60)
        (folder / "clock.py").write_text(CLOCK)
        sections = [f'[program.p{number}]\ncommand = "sleep 100000"\n' for number in range(programs - 1)]
        (folder / "genii.toml").write_text(
            '[defaults]\nstartsecs = "0s"\n'
            + "".join(sections)
            + f'[program.clock]\ncommand = "{sys.executable} -I -S {folder}/clock.py"\n'
        )
        # Compiled modules are kept, as they are wherever genii is installed.
        self.environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def genii(self, *words: str, check: bool = True) -> None:
        """Run a command."""
        subprocess.run(
            [sys.executable, "-m", "genii", *words],
            cwd=self.folder, env=self.environment, check=check, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def log(self) -> str:
        """Return what the supervisor logged."""
        return (self.folder / ".genii" / "log" / "genii.log").read_text()

    def await_all(self) -> None:
        """Wait until all run."""
        while True:
            with suppress(GeniiError):
                rows = self.client.statuses()
                if len(rows) == self.programs and all(row["state"] == "RUNNING" for row in rows):
                    return


def processor_time(pid: int) -> float:
    """Return the seconds of processor time that a process has taken."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) * TICK


def age(pid: int) -> float:
    """Return the seconds since a process was started."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(words[19]) * TICK


class Watch:
    """Ask, and read the log of the clock, all the time; remember the longest that either took."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ended = threading.Event()
        self.wait = self.delay = 0.0
        self._threads = [threading.Thread(target=self._ask), threading.Thread(target=self._read)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(0.005):
            begun = time.monotonic()
            self._site.client.supervisor()
            self.wait = max(self.wait, time.monotonic() - begun)

    def _read(self) -> None:
        with (self._site.folder / ".genii" / "log" / "clock.log").open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.readline()
            rest = b""
            while not self._ended.wait(0.002):
                *lines, rest = (rest + file.read()).split(b"\n")  # the last may be half of one
                if lines:
                    self.delay = max(self.delay, time.monotonic() - float(lines[0]))


def upgrade(site: Site) -> tuple[float, float, float, float]:
    """Upgrade once; return silence, longest wait, longest delay of a line, processor time."""
    supervisor = site.client.supervisor()
    before = processor_time(supervisor["pid"])
    with Watch(site) as watch:
        site.genii("upgrade")
        while site.client.supervisor()["upgrades"] == supervisor["upgrades"]:
            time.sleep(0.01)
        time.sleep(0.3)
    silent = float(re.findall(r"silent for (\d+) ms", site.log())[-1]) / 1000
    return silent, watch.wait, watch.delay, processor_time(supervisor["pid"]) - before


def adopt(site: Site) -> tuple[float, float, float]:
    """Kill the supervisor and start another; return the time since its start and that of the command, and its cost."""
    pid = site.client.supervisor()["pid"]
    os.kill(pid, 9)
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.001)
    begun = time.monotonic()
    site.genii("up", "-d", "--no-wait")
    site.await_all()
    pid = site.client.supervisor()["pid"]
    return age(pid), time.monotonic() - begun, processor_time(pid)


def milliseconds(*values: float) -> str:
    """Return values in milliseconds."""
    return "  ".join(f"{1000 * value:6.0f}" for value in values)


def main() -> None:
    """Run as the command line says."""
    programs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    folder = Path(tempfile.mkdtemp(prefix="genii-bench-"))
    site = Site(folder, programs)
    try:
        site.genii("up", "-d", "--no-wait")
        site.await_all()
        site.genii("upgrade")  # once, so that everything is compiled
        print(f"{programs} programs, load {os.getloadavg()[0]:.1f}, times in ms")
        print("upgrade    silent    wait   delay     cpu")
        found = [upgrade(site) for _ in range(rounds)]
        for row in found:
            print("         ", milliseconds(*row))
        print("  median ", milliseconds(*map(statistics.median, zip(*found, strict=True))))
        print("adoption    start command     cpu")
        taken = [adopt(site) for _ in range(rounds)]
        for last in taken:
            print("         ", milliseconds(*last))
        print("  median ", milliseconds(*map(statistics.median, zip(*taken, strict=True))))
    finally:
        site.genii("down", check=False)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
