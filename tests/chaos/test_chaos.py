"""Kill, stop and starve everything at random; after each round what is declared runs, once, and no line is lost."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.chaos.faults import Chaos, SmallDisk, command_of
from tests.real.harness import PATIENCE, is_alive, open_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real.harness import Site

ROUNDS = int(os.environ.get("GENII_CHAOS") or 10)

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
PROGRAMS = """
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
[program.never]
command = "echo this must not run"
schedule = "0 0 29 2 *"
"""
RUNNING = 11
LOSES_LINES = frozenset({"kill_keeper", "kill_both", "read_only_logs"})
"""What a keeper had read and not yet written dies with it; everything else is kept."""
MIB = 1 << 20


@pytest.fixture
def disks(site: Site) -> Iterator[tuple[SmallDisk, SmallDisk] | tuple[None, None]]:
    """Small file systems for state and logs, where we may make some."""
    if os.geteuid() != 0:
        yield None, None
        return
    state, logs = SmallDisk(site.path / ".genii"), SmallDisk(site.path / "logs")
    try:
        yield state, logs
    finally:
        site.close()
        state.close()
        logs.close()


def check_invariants(site: Site) -> None:
    """See that what is declared runs, one copy of each, and that nothing else is there."""
    names = [status["name"] for status in site.client.statuses() if status["program"] != "never"]
    for name in names:
        site.when(name, lambda status: status["state"] == "RUNNING" and is_alive(status["pid"]))
    pids = [site.pid(name) for name in names]
    assert len(set(pids)) == len(pids) == RUNNING
    supervisor, keeper = site.supervisor_pid(), site.keeper_pid()
    end = time.monotonic() + PATIENCE
    while extra := strangers(site, {*pids, supervisor, keeper}):
        assert time.monotonic() < end, [(pid, command_of(pid)) for pid in extra]
    assert not (site.path / "logs" / "never.log").exists()
    assert len(open_files(supervisor)) < 100
    assert len(open_files(keeper)) < 100


def strangers(site: Site, known: set[int]) -> set[int]:
    """Return the processes and zombies that should not be there; the families' children should."""
    left = {pid for pid in site.processes() if b"launcher.py" not in command_of(pid)} - known
    families = {site.status("family")["pid"]}
    left = {pid for pid in left if parent_and_state(pid)[0] not in families}
    zombies = {pid for pid in children(site.supervisor_pid()) if parent_and_state(pid)[1] == "Z"}
    return left | zombies


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def parent_and_state(pid: int) -> tuple[int, str]:
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return 0, "X"
    return int(parent), state


def check_lines(site: Site, excused: set[str]) -> None:
    """See that the lines of each process of the counters are all there, whole, once and in order."""
    for number in range(4):
        last: dict[str, int] = {}
        for line in (site.path / f"count-{number}.log").read_text().splitlines()[:-1]:
            pid, _, count = line.partition(" ")
            assert pid in excused or int(count) == last.get(pid, 0) + 1, line
            last[pid] = int(count)


def writers(site: Site) -> set[str]:
    """Return the pids of all whose lines are in the logs of the counters."""
    logs = [log.read_text().splitlines() for log in site.path.glob("count-*.log")]
    return {line.partition(" ")[0] for lines in logs for line in lines}


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_survives_whatever_happens(
    site: Site, disks: tuple[SmallDisk, SmallDisk] | tuple[None, None], capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("GENII_CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"GENII_CHAOS_SEED={seed}")
    chance = random.Random(seed)
    programs = PROGRAMS.format(
        counter=site.script("count.py", COUNTER), family=site.script("family.py", FAMILY), here=site.path
    )
    site.write(programs, defaults='startsecs = "0s"\nretries = 1000', supervisor=f'log_dir = "{site.path}/logs"')
    site.up()
    chaos = Chaos(site, chance, *disks)
    excused: set[str] = set()
    begun, done = time.monotonic(), dict.fromkeys((fault.__name__ for fault in chaos.faults), 0)
    for number in range(ROUNDS):
        fault = chance.choice(chaos.faults)
        print(number, fault.__name__, flush=True)
        fault()
        done[fault.__name__] += 1
        check_invariants(site)
        if fault.__name__ in LOSES_LINES:
            excused |= {str(status["pid"]) for status in site.client.statuses(["count"])} | writers(site)
            site.act("restart", "count")
        check_lines(site, excused)
        assert resident(site.supervisor_pid()) < 40 * MIB
        assert resident(site.keeper_pid()) < 20 * MIB
    with capsys.disabled():
        print(f"\n{ROUNDS} rounds in {time.monotonic() - begun:.0f} s: {done}")
    assert site.genii("down").status == 0
    assert site.processes() == []
