"""What users of supervisord complained of for years does not happen here."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from genii.supervisord.client import RemoteFault
from genii.supervisord.logreading import read_log

if TYPE_CHECKING:
    from tests.supervisord.conftest import Daemon

pytestmark = pytest.mark.slow

CAT = "[program:cat]\ncommand = /bin/cat\nstartsecs = 0\nstdout_logfile = {here}/cat.log\n"


def family(daemon: Daemon) -> list[int]:
    """The supervisor and its keeper."""
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    return [daemon.pid, *(int(pid) for pid in children if "python" in os.readlink(f"/proc/{pid}/exe"))]


def processor_time(pids: list[int]) -> float:
    """Seconds that processes have computed for."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def peak_memory(pid: int) -> float:
    """MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def test_a_program_that_closed_its_output_costs_nothing(daemon: Daemon) -> None:
    """Supervisor issue 807: the event loop turned without an end."""
    daemon.start("[program:mute]\ncommand = /bin/sh -c 'exec sleep 1000 >&- 2>&-'\nstartsecs = 0\n")
    pids = family(daemon)
    before = processor_time(pids)
    time.sleep(1.5)
    assert processor_time(pids) - before < 0.3


def test_a_busy_log_costs_the_supervisor_nothing(daemon: Daemon) -> None:
    """The output never passes the process that answers clients."""
    size = 60_000_000
    script = f"yes 'a line such as a program might write' | head -c {size}; exec sleep 1000"
    daemon.start(
        f'[program:busy]\ncommand = /bin/sh -c "{script}"\nstartsecs = 0\nautostart = false\n'
        "stdout_logfile = {here}/busy.log\nstdout_logfile_maxbytes = 0\n" + CAT
    )
    before = processor_time([daemon.pid])
    daemon.call("startProcess", "busy")
    log = daemon.folder / "busy.log"
    daemon.eventually(lambda: log.exists() and log.stat().st_size == size)
    assert daemon.state("cat") == "RUNNING"
    assert processor_time([daemon.pid]) - before < 1.0


def test_a_program_that_does_not_stop_holds_nobody_up(daemon: Daemon) -> None:
    """There, a restart or stop that waits was polled, and with it all else."""
    daemon.start(
        "[program:stubborn]\ncommand = /bin/sh -c \"trap '' TERM; echo up; while :; do sleep 0.1; done\"\n"
        "startsecs = 0\nstopwaitsecs = 2\nstdout_logfile = {here}/stubborn.log\n" + CAT
    )
    daemon.eventually(lambda: daemon.call("readProcessStdoutLog", "stubborn", 0, 0) == "up\n")
    stopped: list[object] = []
    stopping = threading.Thread(target=lambda: stopped.append(daemon.call("stopProcess", "stubborn")))
    stopping.start()
    daemon.eventually(lambda: daemon.state("stubborn") == "STOPPING")
    for _ in range(5):
        assert daemon.call("stopProcess", "cat") is True
        assert daemon.call("startProcess", "cat") is True
    assert daemon.state("stubborn") == "STOPPING"
    stopping.join()
    assert stopped == [True]
    assert "killing 'stubborn'" in daemon.log()


def test_clear_removes_no_device_and_works_with_syslog(daemon: Daemon) -> None:
    """There, the file /dev/stdout was removed, and a program with syslog was an error 500."""
    device = daemon.folder / "device"
    os.mkfifo(device)
    keep = os.open(device, os.O_RDWR)
    daemon.start(
        "[program:out]\ncommand = /bin/cat\nstartsecs = 0\nstdout_logfile = {here}/device\n"
        "stdout_logfile_maxbytes = 0\n"
        "[program:sys]\ncommand = /bin/cat\nstartsecs = 0\nstdout_syslog = true\nstdout_logfile = {here}/sys.log\n"
    )
    assert daemon.call("clearProcessLogs", "out") is True
    assert daemon.call("clearProcessLogs", "sys") is True
    assert [result["status"] for result in daemon.call("clearAllProcessLogs")] == [80, 80]
    assert device.is_fifo()
    os.close(keep)


def test_a_log_that_is_no_text_can_be_read(daemon: Daemon) -> None:
    """Supervisor issue 1485: an error 500."""
    daemon.start(CAT)
    (daemon.folder / "cat.log").write_bytes(b"caf\xe9 \x00\x1b \xf0\x9f\x98\x80 end")
    assert daemon.call("readProcessStdoutLog", "cat", 0, 5) == "caf\ufffd "
    assert daemon.call("tailProcessStdoutLog", "cat", 0, 6)[0] == "\ufffd\ufffd end"
    assert read_log(str(daemon.folder / "cat.log"), -3, 0) == "end"


def test_zero_is_no_signal(daemon: Daemon) -> None:
    daemon.start(CAT)
    for name in ("0", "SIG_DFL", "BLOCK"):
        with pytest.raises(RemoteFault, match="BAD_SIGNAL"):
            daemon.call("signalProcess", "cat", name)
    assert daemon.state("cat") == "RUNNING"


LISTENER = """
import sys
from pathlib import Path
log = open(sys.argv[1], "a")
while True:
    print("READY", flush=True)
    head = dict(word.split(":") for word in sys.stdin.readline().split())
    sys.stdin.read(int(head["len"]))
    print(sys.argv[2], head["serial"], file=log, flush=True)
    once = Path(sys.argv[1] + ".once")
    if sys.argv[2] == "dies" and not once.exists():
        once.touch()
        raise SystemExit(1)
    if sys.argv[2] == "rejects" and not once.exists():
        once.touch()
        print("RESULT 4\\nFAIL", end="", flush=True)
    else:
        print("RESULT 2\\nOK", end="", flush=True)
"""


@pytest.mark.parametrize("way", ["dies", "rejects"])
def test_an_event_comes_again_to_the_same_pool_only(way: str, daemon: Daemon) -> None:
    """There, an event that one pool rejected was sent to all pools of the same priority."""
    script = daemon.folder / "listener.py"
    script.write_text(LISTENER)
    daemon.start(
        *(
            f"[eventlistener:{name}]\ncommand = {sys.executable} {script} {{here}}/{name} {kind}\n"
            "events = REMOTE_COMMUNICATION\nstartsecs = 0\nautorestart = true\n"
            for name, kind in (("one", way), ("two", "calm"))
        )
    )
    for word in ("a", "b"):
        daemon.call("sendRemoteCommEvent", "x", word)
    heard = [daemon.folder / name for name in ("one", "two")]
    daemon.eventually(lambda: all(path.exists() for path in heard) and heard[0].read_text().count("\n") == 3)
    daemon.eventually(lambda: heard[1].read_text().count("\n") == 2)
    serials = [[line.split()[1] for line in path.read_text().splitlines()] for path in heard]
    first, second = serials[1]
    assert serials[0] == [first, first, second]


@pytest.mark.parametrize("output", ["yes | head -c 40000000", "printf 'READY\\n'; cat /dev/zero | head -c 40000000"])
def test_a_listener_that_writes_without_end_fills_no_memory(output: str, daemon: Daemon) -> None:
    daemon.start(
        f'[eventlistener:loud]\ncommand = /bin/sh -c "{output}; exec cat"\nevents = EVENT\nstartsecs = 0\n'
        "autostart = false\nstdout_logfile = {here}/loud.log\nstdout_logfile_maxbytes = 0\n" + CAT
    )
    before = peak_memory(daemon.pid)
    daemon.call("startProcess", "loud")
    daemon.eventually(lambda: "loud: has entered the UNKNOWN state" in daemon.log())
    daemon.eventually(lambda: daemon.state("cat") == "RUNNING")
    daemon.eventually(lambda: (daemon.folder / "loud.log").stat().st_size >= 40_000_000)
    assert peak_memory(daemon.pid) - before < 15


def test_a_message_that_never_ends_is_kept_at_its_limit(daemon: Daemon) -> None:
    output = "printf '<!--XSUPERVISOR:BEGIN-->'; yes | head -c 30000000; printf '<!--XSUPERVISOR:END-->done'"
    daemon.start(
        f'[program:loud]\ncommand = /bin/sh -c "{output}; exec sleep 1000"\nstartsecs = 0\nautostart = false\n'
        "stdout_capture_maxbytes = 1KB\nstdout_logfile = {here}/loud.log\n"
    )
    before = peak_memory(daemon.pid)
    daemon.call("startProcess", "loud")
    daemon.eventually(lambda: daemon.call("readProcessStdoutLog", "loud", 0, 0) == "done")
    assert peak_memory(daemon.pid) - before < 15
