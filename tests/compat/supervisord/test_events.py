"""What event listeners get from the real supervisord and from ours, in the same scenario."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
from tests.supervisord.conftest import Daemon

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.compat, pytest.mark.slow, pytest.mark.timeout(300)]

# One line an event: the fields of its header in their order, then the payload.
LISTENER = """
import sys
log = open(sys.argv[1], "a")
while True:
    sys.stdout.write("READY\\n")
    sys.stdout.flush()
    head = sys.stdin.readline()
    fields = dict(word.split(":") for word in head.split())
    data = sys.stdin.read(int(fields["len"]))
    log.write(head.strip() + " | " + data.replace("\\n", "/") + "\\n")
    log.flush()
    sys.stdout.write("RESULT 2\\nOK")
    sys.stdout.flush()
"""
PROGRAMS = """
[eventlistener:ear]
command = {python} {{here}}/ear.py {{here}}/heard
events = PROCESS_STATE,PROCESS_LOG,PROCESS_COMMUNICATION,REMOTE_COMMUNICATION,PROCESS_GROUP
buffer_size = 100
startsecs = 0
[program:cat]
command = /bin/cat
startsecs = 0
autostart = false
stdout_events_enabled = true
[program:talk]
command = /bin/sh -c "printf '<!--XSUPERVISOR:BEGIN-->grüß dich<!--XSUPERVISOR:END-->'; exit 3"
startsecs = 0
autostart = false
autorestart = false
stdout_capture_maxbytes = 1KB
[program:quick]
command = /bin/false
startsecs = 60
startretries = 1
autostart = false
"""
MORE = "[program:more]\ncommand = /bin/cat\nautostart = false\n"


def heard(daemon: Daemon) -> list[str]:
    """Live through the scenario; return what the listener got, in an order that does not depend on time."""
    (daemon.folder / "ear.py").write_text(LISTENER)
    programs = PROGRAMS.format(python=sys.executable)
    daemon.start(programs)
    record = daemon.folder / "heard"

    def lines() -> list[str]:
        return record.read_text().splitlines() if record.exists() else []

    def got(text: str) -> None:
        daemon.eventually(lambda: any(text in line for line in lines()))

    try:
        daemon.eventually(lambda: daemon.state("ear") == "RUNNING")
        daemon.call("sendRemoteCommEvent", "kind", "first")
        got("first")
        daemon.call("startProcess", "cat")
        daemon.call("sendProcessStdin", "cat", "hällo\n")
        got("hällo")
        daemon.call("stopProcess", "cat")
        got("PROCESS_STATE_STOPPED")
        daemon.call("startProcess", "talk", False)
        got("PROCESS_COMMUNICATION_STDOUT")
        got("PROCESS_STATE_EXITED")
        daemon.call("startProcess", "quick", False)
        got("PROCESS_STATE_FATAL")
        daemon.write(programs, MORE)
        daemon.call("reloadConfig")
        daemon.call("addProcessGroup", "more")
        got("PROCESS_GROUP_ADDED")
        daemon.call("removeProcessGroup", "more")
        got("PROCESS_GROUP_REMOVED")
        return sorted(normal(line) for line in lines() if "processname:ear" not in line and "groupname:ear" not in line)
    finally:
        daemon.stop()


def normal(line: str) -> str:
    # The numbers count what came before it was ready, too, and a pid may have another number of digits.
    line = re.sub(r"(serial|pid):\d+", r"\1:N", line)
    return re.sub(r"len:\d+", "len:N", line) if "pid:" in line else line


def test_the_same_events_with_the_same_words(folder: Path, peer: Path) -> None:
    theirs = heard(Daemon(folder, [str(peer / "supervisord")]))
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    ours = heard(Daemon(folder))
    assert ours == theirs
    assert len(theirs) >= 18
