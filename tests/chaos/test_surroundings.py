"""What the world may do to a supervisor besides killing it: reuse pids, set the clock."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import PATIENCE
from tests.real.test_up import UNSHARE, needs_namespace
from tests.real.test_upgrade import other_version

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.harness import Site

FALSE_TIME = """
import time as _time

def _false_time(true_time=_time.time):
    with open({path!r}) as file:
        return true_time() + float(file.read())

_time.time = _false_time
"""


class Clock:
    """A clock that can be set, in a file; only the supervisor goes by it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set(0)

    def set(self, seconds: int) -> None:
        """Have it go wrong by so much."""
        new = self.path.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self.path)


REUSE = """
import json, os, signal, subprocess, sys, time

def genii(*words):
    return subprocess.run([sys.executable, "-m", "genii", *words], check=True, capture_output=True, text=True).stdout

def rows():
    return {row["name"]: row["pid"] for row in json.loads(genii("status", "--json"))["processes"]}

def reap(pid):
    while os.path.exists(f"/proc/{pid}"):
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            pass
        time.sleep(0.01)

genii("up", "-d")
before = rows()
supervisor = int(open(".genii/genii.pid").read())
os.kill(supervisor, signal.SIGKILL)
reap(supervisor)
os.kill(before["job:0"], signal.SIGKILL)
reap(before["job:0"])
while True:  # until a stranger has the pid; something else may be faster
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(before["job:0"] - 1))
    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    if stranger.pid == before["job:0"]:
        break
    stranger.kill()
    stranger.wait()
genii("up", "-d")
after = rows()
genii("down")
print(json.dumps({"before": before, "after": after, "stranger": stranger.pid, "ended": stranger.poll()}))
"""


@pytest.mark.slow
@needs_namespace
def test_a_stranger_with_the_pid_of_a_program_is_left_alone(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nprocesses = 3\n')
    (site.path / "reuse.py").write_text(REUSE)
    done = subprocess.run(
        [*UNSHARE, sys.executable, "reuse.py"],
        cwd=site.path, env=site.environment, capture_output=True, text=True, timeout=3 * PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["stranger"] == found["before"]["job:0"]
    assert found["after"]["job:0"] not in (0, found["stranger"])
    assert [found["after"][name] for name in ("job:1", "job:2")] == [found["before"]["job:1"], found["before"]["job:2"]]
    assert found["ended"] is None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_clock_jumps_by_hours(site: Site) -> None:
    clock = Clock(site.path / "clock")
    other_version(
        site, ("control/bootstrap.py", "import os\n", f"{FALSE_TIME.format(path=str(clock.path))}\nimport os\n")
    )
    site.write(
        '[program.job]\ncommand = "sleep 1000"\nprocesses = 3\nhealth = { command = "true", interval = "100ms" }\n'
        '[program.failing]\ncommand = "false"\nbackoff = { initial = "50ms", cap = "50ms" }\nretries = 100000\n'
        'startsecs = "1s"\n'
        '[program.tick]\ncommand = "echo tick"\nschedule = "* * * * * *"\n'
    )
    site.up("--no-wait")
    for name in ("job:0", "job:1", "job:2"):
        site.state_of(name, "RUNNING")
    pids = [status["pid"] for status in site.client.statuses(["job"])]
    for hours in (5, -3, 40 * 24, 0):
        clock.set(3600 * hours)
        restarts, ticks = site.status("failing")["restarts"], len(site.lines("tick"))
        site.when("failing", lambda status, restarts=restarts: status["restarts"] > restarts)  # type: ignore[misc]
        assert abs(site.client.recent_events()[-1]["time"] - time.time() - 3600 * hours) < 1800
        if hours > 0:  # back by hours: see genii.events.schedule
            end = time.monotonic() + PATIENCE
            while len(site.lines("tick")) == ticks:
                assert time.monotonic() < end, site.own_log()
        assert site.genii("upgrade").status == 0
        site.kill_supervisor()
        site.up("--no-wait")
        statuses = site.client.statuses(["job"])
        assert [status["pid"] for status in statuses] == pids
        assert {status["state"] for status in statuses} == {"RUNNING"}
