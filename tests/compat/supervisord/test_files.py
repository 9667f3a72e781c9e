"""The same files for the real supervisord and ours: what is refused, and what is understood."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.supervisord.conftest import HEAD, Daemon

from genii.config.load import examine
from genii.supervisord.client import Client

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.compat, pytest.mark.slow, pytest.mark.timeout(600)]

BASE = "[supervisord]\nlogfile = {here}/main.log\npidfile = {here}/s.pid\nchildlogdir = {here}\n"
PROGRAM = "[program:a]\ncommand = /bin/cat\n"
CASES = {
    "plain": BASE + PROGRAM,
    "no supervisord section": PROGRAM,
    "empty": "",
    "program without a command": BASE + "[program:a]\n",
    "comment that cuts": BASE + "[program:a]\ncommand = /bin/cat ; not run\n",
    "comment without a blank": BASE + PROGRAM + "startsecs = 1;2\n",
    "size with a comment stuck to it": BASE + PROGRAM + "stdout_logfile_maxbytes = 50MB;\n",
    "size with a blank": BASE + PROGRAM + "stdout_logfile_maxbytes = 50 mb\n",
    "unknown option": BASE + PROGRAM + "autostrat = true\n",
    "unknown section": BASE + PROGRAM + "[whatever]\nx = 1\n",
    "number that is none": BASE + PROGRAM + "startsecs = soon\n",
    "truth that is none": BASE + PROGRAM + "autostart = maybe\n",
    "truth as a number": BASE + PROGRAM + "autostart = 1\n",
    "restart that is none": BASE + PROGRAM + "autorestart = sometimes\n",
    "restart when unexpected": BASE + PROGRAM + "autorestart = unexpected\n",
    "signal by name": BASE + PROGRAM + "stopsignal = SIGUSR1\n",
    "signal by number": BASE + PROGRAM + "stopsignal = 15\n",
    "signal that is none": BASE + PROGRAM + "stopsignal = NOPE\n",
    "exit codes": BASE + PROGRAM + "exitcodes = 0,2\n",
    "no exit codes": BASE + PROGRAM + "exitcodes =\n",
    "exit code too large": BASE + PROGRAM + "exitcodes = 256\n",
    "octal": BASE + PROGRAM + "umask = 022\n",
    "no octal": BASE + PROGRAM + "umask = 099\n",
    "octal as Python has it": BASE + PROGRAM + "umask = 0o22\n",
    "unknown user": BASE + PROGRAM + "user = nobody-of-that-name\n",
    "numprocs without numbers": BASE + PROGRAM + "numprocs = 2\n",
    "numprocs": BASE + PROGRAM + "numprocs = 2\nprocess_name = %(program_name)s_%(process_num)02d\n",
    "unknown expansion": BASE + "[program:a]\ncommand = /bin/cat %(nothing)s\n",
    "lone percent": BASE + "[program:a]\ncommand = /bin/cat 100%\n",
    "two percents": BASE + "[program:a]\ncommand = /bin/date +%%s\n",
    "variable of the environment": BASE + "[program:a]\ncommand = /bin/cat %(ENV_PATH)s\n",
    "environment": BASE + PROGRAM + "environment = A=1,B=\"two, three\",C='x'\n",
    "environment with a comma at its end": BASE + PROGRAM + "environment = A=1,\n",
    "environment without a value": BASE + PROGRAM + "environment = A\n",
    "environment without a comma": BASE + PROGRAM + "environment = A=1 B=2\n",
    "environment with an open quote": BASE + PROGRAM + 'environment = A="1\n',
    "name with a colon": BASE + "[program:a:b]\ncommand = /bin/cat\n",
    "name with a blank": BASE + "[program:a b]\ncommand = /bin/cat\n",
    "group": BASE + PROGRAM + "[group:g]\nprograms = a\n",
    "group of nobody": BASE + PROGRAM + "[group:g]\nprograms = nobody\n",
    "group without programs": BASE + PROGRAM + "[group:g]\n",
    "listener": BASE + "[eventlistener:l]\ncommand = /bin/cat\nevents = EVENT\n",
    "listener without events": BASE + "[eventlistener:l]\ncommand = /bin/cat\n",
    "listener of an unknown event": BASE + "[eventlistener:l]\ncommand = /bin/cat\nevents = NOPE\n",
    "listener that merges": BASE + "[eventlistener:l]\ncommand = /bin/cat\nevents = EVENT\nredirect_stderr = true\n",
    "listener without a buffer": BASE + "[eventlistener:l]\ncommand = /bin/cat\nevents = EVENT\nbuffer_size = 0\n",
    "fcgi": BASE + "[fcgi-program:f]\ncommand = /bin/cat\nsocket = unix://{here}/f.sock\nsocket_mode = 0770\n",
    "fcgi without a socket": BASE + "[fcgi-program:f]\ncommand = /bin/cat\n",
    "fcgi with an odd socket": BASE + "[fcgi-program:f]\ncommand = /bin/cat\nsocket = udp://x:1\n",
    "fcgi over tcp with a mode": BASE
    + "[fcgi-program:f]\ncommand = /bin/cat\nsocket = tcp://localhost:9999\nsocket_mode = 0770\n",
    "stop as group but not kill": BASE + PROGRAM + "stopasgroup = true\nkillasgroup = false\n",
    "log in a folder that is not there": BASE + PROGRAM + "stdout_logfile = {here}/nothing/x.log\n",
    "log nowhere": BASE + PROGRAM + "stdout_logfile = NONE\nstderr_logfile = off\n",
    "level": BASE + "loglevel = debug\n",
    "level that is none": BASE + "loglevel = loud\n",
    "port": BASE + "[inet_http_server]\nport = 127.0.0.1:9001\n",
    "port alone": BASE + "[inet_http_server]\nport = 9001\n",
    "port everywhere": BASE + "[inet_http_server]\nport = *:9001\n",
    "port too large": BASE + "[inet_http_server]\nport = 127.0.0.1:70000\n",
    "no port": BASE + "[inet_http_server]\nusername = x\npassword = y\n",
    "user without a password": BASE + "[unix_http_server]\nfile = {here}/s.sock\nusername = x\n",
    "interface that is no name": BASE + "[rpcinterface:x]\nsupervisor.rpcinterface_factory = nonsense\n",
    "interface without a factory": BASE + "[rpcinterface:x]\nfoo = bar\n",
    "include of nothing": BASE + "[include]\nfiles = {here}/none/*.conf\n",
    "include without files": BASE + "[include]\n",
    "option before a section": "x = 1\n" + BASE,
    "line that is nothing": BASE + PROGRAM + "nonsense\n",
    "sections twice": BASE + PROGRAM + BASE + "[program:a]\nstartsecs = 7\n",
    "continued line": BASE + "[program:a]\ncommand = /bin/cat\n    -u\n",
    "minfds that can't be": BASE + "minfds = many\n",
}
ASK = """
import io, json, sys, warnings
from contextlib import redirect_stderr, redirect_stdout
from supervisor.options import ServerOptions
warnings.simplefilter("ignore")
found = {}
for name, path in json.load(sys.stdin).items():
    err = io.StringIO()
    try:
        with redirect_stderr(err), redirect_stdout(err):
            ServerOptions().realize(["-n", "-c", path])
        found[name] = ""
    except SystemExit:
        found[name] = "refused"
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
json.dump(found, sys.stdout)
"""


def test_what_is_refused_there_is_refused_here(folder: Path, peer: Path) -> None:
    paths = {}
    for number, (name, text) in enumerate(CASES.items()):
        path = folder / f"{number}.conf"
        path.write_text(text.format(here=folder))
        paths[name] = str(path)
    done = subprocess.run(
        [peer / "python", "-c", ASK], input=json.dumps(paths), capture_output=True, text=True, timeout=120
    )
    theirs = {name: bool(text) for name, text in json.loads(done.stdout).items()}
    ours = {name: [str(problem) for problem in examine(path, os.environ).problems] for name, path in paths.items()}
    assert {name: bool(problems) for name, problems in ours.items()} == theirs
    for name, problems in ours.items():
        for problem in problems:
            assert problem.startswith(str(folder)), name  # it names the file, and (where there is one) the line
    assert sum(theirs.values()) > 30


RICH = """
[supervisord]
environment = SHARED="all"
identifier = test
[program:one]
command = /bin/sh -c 'exec cat' %(program_name)s %(group_name)s %(here)s
process_name = %(program_name)s_%(process_num)02d
numprocs = 3
numprocs_start = 5
priority = 7
autostart = false
startsecs = 4
startretries = 9
autorestart = true
exitcodes = 0,2,77
stopsignal = USR2
stopwaitsecs = 11
stopasgroup = true
redirect_stderr = true
stdout_logfile = {here}/%(program_name)s_%(process_num)d.log
stdout_logfile_maxbytes = 3MB
stdout_logfile_backups = 4
stdout_capture_maxbytes = 2KB
stdout_events_enabled = true
environment = X="%(ENV_SHARED)s",Y="%(process_num)d"
directory = /tmp
umask = 027
serverurl = http://localhost:1
[program:two]
command = /bin/cat
autostart = false
stdout_logfile = NONE
stderr_logfile = AUTO
stderr_logfile_backups = 1
stdout_syslog = true
[program:three]
command = /bin/cat
autostart = false
killasgroup = true
[group:both]
programs = two,three
priority = 20
[eventlistener:ear]
command = /bin/cat
autostart = false
events = TICK_60,PROCESS_STATE
buffer_size = 33
[fcgi-program:fast]
command = /bin/cat
autostart = false
socket = unix://{here}/f.sock
socket_backlog = 5
"""


def configured(daemon: Daemon) -> list[dict[str, Any]]:
    """What a daemon says of its configuration, without what differs from run to run."""
    # A section may stand twice; the tests' own [supervisord] comes first.
    daemon.start(RICH)
    try:
        infos: list[dict[str, Any]] = daemon.call("getAllConfigInfo")
    finally:
        daemon.stop()
    for info in infos:
        for key, value in info.items():
            if isinstance(value, str):
                info[key] = re.sub(r"---test-\S+\.log", "---test-X.log", value)
    return infos


def test_what_is_understood_there_is_understood_here(folder: Path, peer: Path) -> None:
    assert "[supervisord]" in HEAD
    theirs = configured(Daemon(folder, [str(peer / "supervisord")]))
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    ours = configured(Daemon(folder))
    for info in ours:
        info.pop("autorestart")  # of version 4.4
    assert ours == theirs


def test_the_methods_are_the_same(folder: Path, peer: Path) -> None:
    def methods(daemon: Daemon) -> dict[str, Any]:
        daemon.start()
        client = Client(f"unix://{daemon.socket}")
        try:
            names = client.call("system.listMethods")
            return {name: client.call("system.methodSignature", name) for name in names}
        finally:
            client.close()
            daemon.stop()

    theirs = methods(Daemon(folder, [str(peer / "supervisord")]))
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    assert methods(Daemon(folder)) == theirs
