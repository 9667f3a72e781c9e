"""What runs in the campaign: programs that count, families, workers with a job server; and what must hold of them."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.faults import command_of
from tests.real.harness import PATIENCE, is_alive, open_files

from genii.errors import GeniiError
from genii.gearman.client import Client

if TYPE_CHECKING:
    from typing import Self

    from tests.real.harness import Site

__all__ = ["Plant"]

COUNTER = """
import itertools, os, time
for number in itertools.count(1):
    os.write(1, b"%d %d\\n" % (os.getpid(), number))
    time.sleep(0.002)
"""
FAMILY = """
import os, signal, time
if not os.fork():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    time.sleep(1000)
"""
WORKERS = """
import genii

class Work(genii.Worker):
    def note(self, data):
        with open({done!r}, "ab", 0) as file:
            file.write(data + b"\\n")
        return data
"""
PROGRAMS = """
[jobs]
listen = "unix:{here}/jobs.sock"
journal = "{here}/journal"
[program.count]
command = "{counter}"
processes = 4
restart = "always"
backoff = {{ initial = "10ms", cap = "100ms" }}
logs = {{ stdout = "{here}/{{process_name}}.log" }}
[program.noise]
command = "{counter}"
processes = 2
backoff = {{ initial = "10ms", cap = "100ms" }}
logs = {{ size = "64KiB", backups = 2 }}
[program.limited]
command = "sleep 1000"
processes = 3
restart = "always"
limits = {{ core = 0 }}
backoff = {{ initial = "10ms", cap = "100ms" }}
[program.family]
command = "{family}"
stop = {{ timeout = "200ms" }}
[program.web]
command = "sleep 1000"
depends_on = ["limited"]
[program.work]
worker = "work:Work"
processes = 2
backoff = {{ initial = "10ms", cap = "100ms" }}
[program.never]
command = "echo this must not run"
schedule = "0 0 29 2 *"
"""
RUNNING = 14
MIB = 1 << 20


class Plant:
    """The programs of one site, under one supervisor."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._done = site.path / "done"
        self._jobs = Client([f"unix:{site.path}/jobs.sock"], timeout=PATIENCE)
        self._submitted = 0
        self._excused: set[str] = set()
        """Pids of counters whose lines nobody vouches for."""

    def __enter__(self) -> Self:
        """Declare and start everything."""
        site = self.site
        site.log_dir = site.path / "logs"
        (site.path / "work.py").write_text(WORKERS.format(done=str(self._done)))
        programs = PROGRAMS.format(
            counter=site.script("count.py", COUNTER), family=site.script("family.py", FAMILY), here=site.path
        )
        site.write(programs, defaults='startsecs = "0s"\nretries = 100000', supervisor=f'log_dir = "{site.log_dir}"')
        site.up()
        self.check()
        return self

    def __exit__(self, *_: object) -> None:
        self._jobs.close()

    def down(self) -> None:
        """End everything: nothing is left."""
        assert self.site.genii("down").status == 0, self.site.own_log()
        assert self.site.remaining() == []

    def submit(self) -> None:
        """Hand in a job that has to be done whatever happens."""
        self._submitted += 1
        self._jobs.submit("Work::note", b"%d" % self._submitted, timeout=PATIENCE)

    def forgive(self) -> None:
        """Take note that lines may be missing, and begin again with counters of which none are."""
        before = {str(status["pid"]) for status in self.site.client.statuses(["count"])}
        self.site.act("restart", "count")
        self._excused |= before | self._writers()

    def check(self) -> None:
        """See that what is declared runs, one copy of each, and nothing else; that no line and no job is lost."""
        site = self.site
        end = time.monotonic() + PATIENCE
        while disorder := self._disorder():
            assert time.monotonic() < end, (disorder, site.own_log())
            time.sleep(0.01)
        supervisor, keeper = site.supervisor_pid(), site.keeper_pid()
        assert not (site.log_dir / "never.log").exists()
        for pid, most in ((supervisor, 40 * MIB), (keeper, 20 * MIB)):
            assert len(open_files(pid)) < 100
            assert resident(pid) < most
        self._check_lines()
        self._check_jobs()

    def _disorder(self) -> list[object]:
        """Return what is not as declared now."""
        statuses = [status for status in self.site.client.statuses() if status["program"] != "never"]
        pids = {status["pid"] for status in statuses}
        missing = [row for row in statuses if row["state"] != "RUNNING" or not is_alive(row["pid"])]
        return [*missing, *self._strangers(pids), *([] if len(pids) == len(statuses) == RUNNING else ["number", pids])]

    def _strangers(self, pids: set[int]) -> list[tuple[int, bytes]]:
        """Return the processes and zombies that should not be there; the families' children should."""
        supervisor = self.site.client.supervisor()
        known = {*pids, supervisor["pid"], supervisor["keeper_pid"]}
        left = {pid for pid in self.site.processes() if b"launcher.py" not in command_of(pid)} - known
        families = {self.site.status("family")["pid"]}
        left = {pid for pid in left if parent_and_state(pid)[0] not in families}
        zombies = {pid for pid in children(supervisor["pid"]) if parent_and_state(pid)[1] == "Z"}
        return [(pid, command_of(pid)) for pid in left | zombies]

    def _check_lines(self) -> None:
        """See that the lines of each process of the counters are all there, whole, once and in order."""
        for number in range(4):
            last: dict[str, int] = {}
            for line in (self.site.path / f"count-{number}.log").read_text().splitlines()[:-1]:
                pid, _, count = line.partition(" ")
                assert pid in self._excused or int(count) == last.get(pid, 0) + 1, (line, self.site.own_log())
                last[pid] = int(count)

    def _writers(self) -> set[str]:
        """Return the pids of all whose lines are in the logs of the counters."""
        logs = [log.read_text().splitlines() for log in self.site.path.glob("count-*.log")]
        return {line.partition(" ")[0] for lines in logs for line in lines}

    def _check_jobs(self) -> None:
        """See that all jobs are done, and that one more is, at once."""
        end = time.monotonic() + PATIENCE
        while missing := set(range(1, self._submitted + 1)) - self._noted():
            assert time.monotonic() < end, (missing, self.site.lines("jobs"), self.site.own_log())
            time.sleep(0.01)
        while True:
            with contextlib.suppress(GeniiError):  # the connection may be that to a server which was killed
                assert self._jobs.call("Work::note", b"0") == b"0"
                return
            assert time.monotonic() < end, (self.site.lines("jobs"), self.site.own_log())

    def _noted(self) -> set[int]:
        return {int(line) for line in self._done.read_text().split()} if self._done.exists() else set()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def parent_and_state(pid: int) -> tuple[int, str]:
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return 0, "X"
    return int(parent), state


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
