"""Kill, stop and starve everything at random; after each round what is declared runs, once, and no line is lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import await_end, is_alive, kill, open_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.real.harness import Site

ROUNDS = int(os.environ.get("GENII_CHAOS") or 10)

COUNTER = """
import itertools, os, time
for number in itertools.count(1):
    os.write(1, b"%d %d\\n" % (os.getpid(), number))
    time.sleep(0.001)
"""

PROGRAMS = """
[program.count]
command = "{counter}"
processes = 5
restart = "always"
backoff = {{ initial = "10ms", cap = "100ms" }}
[program.limited]
command = "sleep 1000"
processes = 5
restart = "always"
limits = {{ core = 0 }}
[program.web]
command = "sleep 1000"
depends_on = ["limited"]
"""


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Chaos:
    """The faults; each leaves a supervisor running."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self.site = site
        self.chance = chance
        self.faults: tuple[Callable[[], None], ...] = (
            self.kill_supervisor, self.kill_keeper, self.kill_both, self.kill_launcher, self.kill_programs,
            self.pause_keeper, self.pause_supervisor, self.kill_while_restarting, self.kill_programs_of_nobody,
        )  # fmt: skip

    def pids(self) -> list[int]:
        return [status["pid"] for status in self.site.client.statuses() if status["pid"]]

    def some(self) -> list[int]:
        pids = self.pids()
        return self.chance.sample(pids, self.chance.randint(1, len(pids)))

    def kill_supervisor(self) -> None:
        self.site.kill_supervisor()
        self.site.up()

    def kill_keeper(self) -> None:
        keeper = self.site.keeper_pid()
        kill(keeper)

    def kill_both(self) -> None:
        keeper = self.site.keeper_pid()
        self.site.kill_supervisor()
        kill(keeper)
        self.site.up()

    def kill_launcher(self) -> None:
        supervisor = self.site.supervisor_pid()
        with open(f"/proc/{supervisor}/task/{supervisor}/children") as file:
            children = {int(pid) for pid in file.read().split()}
        for pid in children - {self.site.keeper_pid(), *self.pids()}:
            if b"launcher.py" in open_command(pid):
                kill(pid)

    def kill_programs(self) -> None:
        for pid in self.some():
            send(pid, signal.SIGKILL)

    def kill_programs_of_nobody(self) -> None:
        pids = self.some()
        self.site.kill_supervisor()
        for pid in pids:
            kill(pid)
        self.site.up()

    def pause_keeper(self) -> None:
        keeper = self.site.keeper_pid()
        send(keeper, signal.SIGSTOP)
        for pid in self.some():
            send(pid, signal.SIGKILL)
            await_end(pid)
        send(keeper, signal.SIGCONT)

    def pause_supervisor(self) -> None:
        supervisor, pids = self.site.supervisor_pid(), self.some()
        send(supervisor, signal.SIGSTOP)
        for pid in pids:
            send(pid, signal.SIGKILL)
            await_end(pid)
        send(supervisor, signal.SIGCONT)

    def kill_while_restarting(self) -> None:
        self.site.act("restart", "all", wait=False)
        self.site.kill_supervisor()
        self.site.up()


def open_command(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def check_invariants(site: Site) -> None:
    """See that what is declared runs, one copy of each, and that nothing else is there."""
    for status in site.client.statuses():
        site.when(status["name"], lambda status: status["state"] == "RUNNING" and is_alive(status["pid"]))
    pids = [status["pid"] for status in site.client.statuses()]
    assert len(set(pids)) == 11
    supervisor = site.supervisor_pid()
    helpers = {pid for pid in site.processes() if b"launcher.py" in open_command(pid)}
    assert set(site.processes()) - helpers == {*pids, supervisor, site.keeper_pid()}
    assert len(open_files(supervisor)) < 100
    assert len(open_files(site.keeper_pid())) < 100


def check_lines(site: Site) -> None:
    """See that the lines of each process of the counters are all there, whole, once and in order."""
    for number in range(5):
        last: dict[str, int] = {}
        for line in site.lines(f"count:{number}")[:-1]:
            pid, _, count = line.partition(" ")
            assert int(count) == last.get(pid, 0) + 1, line
            last[pid] = int(count)


@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_survives_whatever_happens(site: Site) -> None:
    seed = int(os.environ.get("GENII_CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"GENII_CHAOS_SEED={seed}")
    chance = random.Random(seed)
    site.write(PROGRAMS.format(counter=site.script("count.py", COUNTER)), defaults='startsecs = "0s"\nretries = 1000')
    site.up()
    chaos = Chaos(site, chance)
    clean = True
    for number in range(ROUNDS):
        fault = chance.choice(chaos.faults)
        print(number, fault.__name__)
        fault()
        # What a keeper had read and not yet written dies with it; everything else is kept.
        clean = clean and fault.__name__ not in ("kill_keeper", "kill_both")
        check_invariants(site)
    if clean:
        check_lines(site)
    assert site.genii("down").status == 0
    assert site.processes() == []
