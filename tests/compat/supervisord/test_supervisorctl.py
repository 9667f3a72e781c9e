"""The same scenario with the real supervisorctl and ours, against the real supervisord and ours: what is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.supervisord.conftest import Daemon

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.compat, pytest.mark.slow, pytest.mark.timeout(1200)]

PROGRAMS = """
[program:cat]
command = /bin/cat
startsecs = 0
stdout_logfile = {here}/cat.log
[program:web]
command = /bin/cat
process_name = %(program_name)s_%(process_num)02d
numprocs = 2
startsecs = 0
[program:bad]
command = /nonexistent/program
autostart = false
[program:text]
command = {here}/text
autostart = false
[program:quick]
command = /bin/false
startretries = 0
startsecs = 60
autostart = false
[group:both]
programs = one, two
priority = 5
[program:one]
command = /bin/cat
startsecs = 0
priority = 3
[program:two]
command = /bin/cat
startsecs = 0
autostart = false
"""
CHANGED = PROGRAMS.replace("[program:cat]\ncommand = /bin/cat", "[program:cat]\ncommand = /bin/cat -u").replace(
    "[program:bad]", "[program:fresh]"
)

STEPS = (
    """
status|status cat|status web:*|status both:one both:two|status dog|status dog:*|avail|version
start cat|start dog|start dogs:*|start bad|start text|start quick|start two|start both:*|start web:web_00
stop cat|stop cat|stop dog|stop dogs:*|start cat|restart cat|restart dog|stop web:web_01|pid web:web_01|pid dog
signal HUP dog|signal NOPE cat|signal HUP bad|signal CONT cat|signal CONT web:*
tail cat|tail dog|tail bad|tail cat stderr|tail -10 cat|tail cat neither|tail|maintail -x
clear cat|clear dog|clear|add cat|add dog|remove cat|remove dog|reread x|reread|update|update dog
stop|start|restart|signal HUP|pid|nonsense|status x:y|stop both:*|start all|stop all
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


def run(command: list[str], daemon: Daemon, words: str) -> str:
    done = subprocess.run(
        [*command, "-c", str(daemon.config), *words.split()],
        capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL, cwd=daemon.folder,
    )  # fmt: skip
    return f"$ {words}\n{normal(done.stdout, daemon.folder)}-> {done.returncode}\n"


def normal(text: str, folder: Path) -> str:
    """Leave out what differs from run to run; what happens to many at once has no order."""
    text = text.replace(str(folder), "HERE")
    text = re.sub(r"pid \d+, uptime \S+", "pid N, uptime T", text)
    text = re.sub(r"[A-Z][a-z]{2} \d\d \d\d:\d\d [AP]M", "DATE", text)
    text = re.sub(r"(?m)^\d{2,}$", "PID", text)
    # Ours has its own words for help.
    text = re.sub(r"(?s)^(Error: [^\n]*\n).*", r"\1", text)
    return "".join(sorted(text.splitlines(keepends=True)))


def running(daemon: Daemon, *names: str) -> bool:
    """Say whether what starts by itself runs: the real one answers before it has begun with that."""
    return all(daemon.state(name) == "RUNNING" for name in names)


def transcript(daemon: Daemon, ctl: list[str]) -> str:
    (daemon.folder / "text").write_text("no program\n")
    daemon.start(PROGRAMS)
    try:
        daemon.eventually(lambda: running(daemon, "cat", "web:web_00", "web:web_01", "both:one"))
        lines = [run(ctl, daemon, words) for words in STEPS]
        daemon.write(CHANGED)
        lines += [run(ctl, daemon, words) for words in ("reread", "update cat", "update", "update")]
        daemon.eventually(lambda: running(daemon, "cat"))
        lines += [run(ctl, daemon, words) for words in ("status", "avail")]
        daemon.write("[program:x]\n")
        lines += [run(ctl, daemon, "reread").partition(":")[0]]
        lines += [run(ctl, daemon, words) for words in ("shutdown",)]
        assert daemon.wait() == 0
        lines += [run(ctl, daemon, words) for words in ("status", "pid", "start cat", "shutdown")]
    finally:
        daemon.stop()
    return "".join(lines)


OURS = [sys.executable, "-m", "genii", "supervisorctl"]


def test_both_clients_print_the_same_with_both_daemons(folder: Path, peer: Path) -> None:
    real = [str(peer / "supervisorctl")]
    expected = transcript(Daemon(folder, [str(peer / "supervisord")]), real)
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    assert transcript(Daemon(folder), real) == expected
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    assert transcript(Daemon(folder), OURS) == expected


def test_the_real_client_follows_a_log(daemon: Daemon, peer: Path) -> None:
    daemon.start(PROGRAMS)
    words = [str(peer / "supervisorctl"), "-c", str(daemon.config), "tail", "-f", "cat"]
    unbuffered = {**os.environ, "PYTHONUNBUFFERED": "1"}  # else it keeps what it says to itself
    with subprocess.Popen(words, env=unbuffered, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        assert tail.stdout.readline() == "==> Press Ctrl-C to exit <==\n"
        daemon.call("sendProcessStdin", "cat", "grüß dich\n")
        assert tail.stdout.readline() == "grüß dich\n"
        tail.terminate()
