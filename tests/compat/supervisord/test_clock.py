"""The clock is set back and forth while programs run: nothing crashes, waits too long or is restarted."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.supervisord.conftest import Daemon

pytestmark = [pytest.mark.compat, pytest.mark.slow, pytest.mark.timeout(300)]

LISTENER = """
import sys
from genii.listener import events
for event in events():
    print(event.data["when"], file=sys.stderr, flush=True)
"""
PROGRAMS = """
[program:calm]
command = /bin/sleep 1000
startsecs = 1
[program:late]
command = /bin/sleep 1000
startsecs = 1
autostart = false
[program:quick]
command = /bin/false
startsecs = 60
startretries = 2
autostart = false
[program:stubborn]
command = /bin/sh -c "trap '' TERM; while :; do sleep 0.1; done"
startsecs = 0
stopwaitsecs = 1
"""


def test_steps_of_the_clock_change_nothing(daemon: Daemon, debian: Callable[[str, str], str]) -> None:
    """Supervisor issues 281, 552, 802, 895 and 1043: it crashed, or programs stayed STARTING for ever."""
    faketime = debian("faketime", "faketime")
    done = subprocess.run([faketime, "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, text=True, timeout=60)
    step = daemon.folder / "step"
    step.write_text("+0\n")
    (daemon.folder / "ear.py").write_text(LISTENER)
    daemon.start(
        PROGRAMS,
        f"[eventlistener:ear]\ncommand = {sys.executable} {{here}}/ear.py\nevents = TICK_5\nstartsecs = 0\n"
        f'environment = PYTHONPATH="{":".join(path for path in sys.path if path)}"\n'
        "stderr_logfile = {here}/ear.log\n",
        LD_PRELOAD=done.stdout.strip(),
        FAKETIME_TIMESTAMP_FILE=str(step),
        FAKETIME_CACHE_DURATION="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )

    def shifted_by(seconds: float) -> bool:
        now: int = daemon.call("getProcessInfo", "calm")["now"]
        return abs(now - time.time() - seconds) < 3600

    daemon.eventually(lambda: daemon.state("calm") == "RUNNING")
    pid = daemon.call("getProcessInfo", "calm")["pid"]
    for text, wanted in (("-1d", -86400), ("+2d", 2 * 86400), ("-30d", -30 * 86400)):
        for name in ("late", "quick"):
            daemon.call("startProcess", name, False)
        # In one go: what libfaketime reads from a file that is empty for a moment, it keeps.
        (daemon.folder / "next").write_text(f"{text}\n")
        (daemon.folder / "next").replace(step)
        daemon.eventually(partial(shifted_by, wanted))
        daemon.eventually(lambda: daemon.state("late") == "RUNNING")
        daemon.eventually(lambda: daemon.state("quick") == "FATAL")
        assert daemon.call("stopProcess", "stubborn") is True
        assert daemon.call("stopProcess", "late") is True
        assert daemon.call("startProcess", "stubborn") is True
        info = daemon.call("getProcessInfo", "calm")
        assert (info["statename"], info["pid"]) == ("RUNNING", pid)
        assert 0 <= info["now"] - info["start"] < 3600
    ticks = daemon.folder / "ear.log"
    count = len(ticks.read_text().splitlines())
    daemon.eventually(lambda: len(ticks.read_text().splitlines()) >= count + 2)
    assert abs(int(ticks.read_text().splitlines()[-1]) - time.time() + 30 * 86400) < 3600
