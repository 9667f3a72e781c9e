"""A real ``genii supervisord``, asked over its socket; among others, that known faults of the real one are gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.supervisord.conftest import PATIENCE

from genii.supervisord.client import Client, Refused, RemoteFault

if TYPE_CHECKING:
    from tests.supervisord.conftest import Daemon

pytestmark = pytest.mark.slow

CAT = """
[program:cat]
command = /bin/cat
startsecs = 0
stdout_logfile = {here}/cat.log
"""
LISTENER = f"""
[eventlistener:ear]
command = {sys.executable} {{here}}/ear.py
environment = PYTHONPATH="{":".join(path for path in sys.path if path)}"
events = PROCESS_STATE_EXITED,PROCESS_COMMUNICATION,PROCESS_LOG,REMOTE_COMMUNICATION
startsecs = 0
buffer_size = 50
stderr_logfile = {{here}}/ear.log
"""
EAR = """
import sys
from genii.listener import events
for event in events():
    print(event.name, event.payload.replace(chr(10), "|"), file=sys.stderr, flush=True)
"""


def test_starts_stops_and_tells(daemon: Daemon) -> None:
    daemon.start(CAT)
    assert daemon.state("cat") == "RUNNING"
    assert daemon.call("stopProcess", "cat") is True
    assert daemon.state("cat") == "STOPPED"
    assert daemon.call("startAllProcesses") == [{"name": "cat", "group": "cat", "status": 80, "description": "OK"}]
    for call, number in (
        (("startProcess", "cat"), 60),
        (("startProcess", "dog"), 10),
        (("signalProcess", "cat", "NOPE"), 11),
        (("startProcess",), 2),
        (("nothing",), 1),
        (("readProcessStdoutLog", "cat", -1, 1), 3),
    ):
        with pytest.raises(RemoteFault) as caught:
            daemon.call(*call)
        assert caught.value.number == number


def test_ends_at_a_signal_and_leaves_nothing_behind(daemon: Daemon) -> None:
    daemon.start(CAT)
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait() == 0
    assert not daemon.socket.exists()
    assert not (daemon.folder / "s.pid").exists()
    assert "WARN received SIGTERM indicating exit request" in daemon.log()


def test_ends_in_no_time_however_many_programs_are_stopped(daemon: Daemon) -> None:
    """The real one takes up to a second for each stopped group (issue 1155)."""
    daemon.start("".join(f"[program:p{number}]\ncommand=/bin/cat\nautostart=false\n" for number in range(60)))
    assert daemon.call("shutdown") is True
    assert daemon.wait() == 0


def test_writes_to_the_standard_input_of_a_program(daemon: Daemon) -> None:
    daemon.start(CAT)
    assert daemon.call("sendProcessStdin", "cat", "häll\n") is True
    daemon.eventually(lambda: daemon.call("readProcessStdoutLog", "cat", 0, 0) == "häll\n")
    assert daemon.call("tailProcessStdoutLog", "cat", 0, 2) == ["l\n", 6, True]
    assert daemon.call("clearProcessLogs", "cat") is True
    daemon.eventually(lambda: daemon.call("readProcessStdoutLog", "cat", 0, 0) == "")


def test_update_restarts_only_the_groups_that_changed(daemon: Daemon) -> None:
    other = "[program:other]\ncommand=/bin/cat\nstartsecs=0\n"
    daemon.start(CAT + other)
    pid = daemon.call("getProcessInfo", "cat")["pid"]
    daemon.write(CAT + other.replace("/bin/cat", "/bin/cat -u") + "[program:new]\ncommand=/bin/cat\nstartsecs=0\n")
    assert daemon.call("reloadConfig") == [[["new"], ["other"], []]]
    with pytest.raises(RemoteFault, match="STILL_RUNNING"):
        daemon.call("removeProcessGroup", "other")
    daemon.call("stopProcessGroup", "other")
    assert daemon.call("removeProcessGroup", "other") is True
    assert daemon.call("addProcessGroup", "other") is True
    assert daemon.call("addProcessGroup", "new") is True
    assert daemon.call("reloadConfig") == [[[], [], []]]
    assert daemon.call("getProcessInfo", "cat")["pid"] == pid
    assert [info["name"] for info in daemon.call("getAllProcessInfo")] == ["cat", "new", "other"]


def test_a_broken_file_is_refused_and_everything_goes_on(daemon: Daemon) -> None:
    """The real one stops all programs first, and then ends because of the error."""
    daemon.start(CAT)
    pid = daemon.call("getProcessInfo", "cat")["pid"]
    daemon.write("[program:cat]\nstartsecs=soon\n")
    for method in ("restart", "reloadConfig"):
        with pytest.raises(RemoteFault, match="CANT_REREAD") as caught:
            daemon.call(method)
        assert "s.conf:" in caught.value.text
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.eventually(lambda: "everything is left as it is" in daemon.log())
    assert daemon.call("getProcessInfo", "cat")["pid"] == pid


def test_restarts_with_the_same_pid_and_the_new_file(daemon: Daemon) -> None:
    daemon.start(CAT)
    daemon.write(CAT + "[program:more]\ncommand=/bin/cat\nstartsecs=0\n")
    assert daemon.call("restart") is True
    daemon.eventually(lambda: daemon.answers() and len(daemon.call("getAllProcessInfo")) == 2)
    assert daemon.call("getPID") == daemon.pid


def test_follows_supervisords_rules_of_failed_starts(daemon: Daemon) -> None:
    daemon.start(
        """
        [program:quick]
        command = /bin/true
        startsecs = 60
        startretries = 1
        autorestart = false
        [program:missing]
        command = /nonexistent/program
        startretries = 0
        """
    )
    daemon.eventually(lambda: daemon.state("quick") == "FATAL" and daemon.state("missing") == "FATAL")
    assert daemon.log().count("spawned: 'quick'") == 2
    assert daemon.call("getProcessInfo", "quick")["spawnerr"] == "Exited too quickly (process log may have details)"
    assert daemon.call("getProcessInfo", "missing")["spawnerr"] == "can't find command '/nonexistent/program'"
    with pytest.raises(RemoteFault, match="NO_FILE"):
        daemon.call("startProcess", "missing")


def test_a_restart_storm_blocks_nobody_and_takes_no_processor(daemon: Daemon) -> None:
    began = time.monotonic()
    daemon.start("[program:storm]\ncommand = /bin/true\nstartsecs = 0\nautorestart = true\n" + CAT)
    for _ in range(20):
        assert daemon.state("cat") == "RUNNING"
    daemon.eventually(lambda: daemon.log().count("spawned: 'storm'") >= 3)
    assert daemon.call("stopProcess", "storm") is True
    with pytest.raises(RemoteFault, match="NOT_RUNNING"):
        daemon.call("stopProcess", "storm")
    assert daemon.log().count("spawned: 'storm'") <= 1 + time.monotonic() - began


def test_listeners_get_what_happens(daemon: Daemon) -> None:
    (daemon.folder / "ear.py").write_text(EAR)
    daemon.start(
        LISTENER,
        """
        [program:talk]
        command = /bin/sh -c "printf 'a<!--XSUPERVISOR:BEGIN-->böse<!--XSUPERVISOR:END-->b'; sleep 0.2; exit 3"
        autostart = false
        startsecs = 0
        autorestart = false
        stdout_capture_maxbytes = 1KB
        stdout_events_enabled = true
        stdout_logfile = {here}/talk.log
        """,
    )
    daemon.call("startProcess", "talk")
    daemon.call("sendRemoteCommEvent", "greeting", "hallo")
    heard = daemon.folder / "ear.log"
    wanted = (
        "REMOTE_COMMUNICATION type:greeting|hallo",
        "PROCESS_STATE_EXITED processname:talk groupname:talk from_state:RUNNING expected:0 pid:",
        "PROCESS_COMMUNICATION_STDOUT processname:talk groupname:talk pid:",
        "PROCESS_LOG_STDOUT processname:talk groupname:talk pid:",
    )
    daemon.eventually(lambda: heard.exists() and all(line in heard.read_text() for line in wanted))
    assert "|böse" in heard.read_text()
    daemon.eventually(lambda: daemon.call("readProcessStdoutLog", "talk", 0, 0) == "ab")


def test_a_listener_that_breaks_the_protocol_harms_nobody(daemon: Daemon) -> None:
    daemon.start("[eventlistener:bad]\ncommand=/bin/sh -c 'echo nonsense; exec cat'\nevents=EVENT\nstartsecs=0\n" + CAT)
    daemon.eventually(lambda: "bad: has entered the UNKNOWN state" in daemon.log())
    for _ in range(20):
        daemon.call("sendRemoteCommEvent", "x", "y")
    daemon.eventually(lambda: "pool bad event buffer overflowed, discarding event" in daemon.log())
    assert daemon.state("cat") == "RUNNING"


def test_fastcgi_programs_share_a_socket_that_outlives_them(daemon: Daemon) -> None:
    program = daemon.folder / "fast.py"
    program.write_text(
        "import socket\nlistener = socket.socket(fileno=0)\n"
        "while True:\n    client = listener.accept()[0]\n    client.sendall(b'hi')\n    client.close()\n"
    )
    daemon.start(
        f"[fcgi-program:fast]\ncommand={sys.executable} {program}\nsocket=unix://{{here}}/f.sock\n"
        "process_name=%(program_name)s_%(process_num)d\nnumprocs=2\nstartsecs=0\n"
    )

    def answer() -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(daemon.folder / "f.sock"))
            return client.recv(10)

    assert answer() == b"hi"
    daemon.call("stopProcess", "fast:fast_0")
    assert answer() == b"hi"
    daemon.call("startProcess", "fast:fast_0")
    with pytest.raises(RemoteFault, match="NO_FILE"):
        daemon.call("sendProcessStdin", "fast:fast_0", "x")


def test_hostile_requests_get_an_answer_and_harm_nobody(daemon: Daemon) -> None:
    daemon.start(CAT)
    address = str(daemon.socket)

    def ask(data: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(address)
            client.sendall(data)
            return client.recv(65536).partition(b"\r\n")[0]

    bomb = b"<!DOCTYPE x [<!ENTITY a 'aa'>]><methodCall><methodName>&a;</methodName></methodCall>"
    assert b" 400 " in ask(b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(bomb), bomb))
    assert b" 400 " in ask(b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert b" 411 " in ask(b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert b" 413 " in ask(b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n")
    assert b" 400 " in ask(b"GET /RPC2 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 404 " in ask(b"GET /logtail/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 400 " in ask(b"GET /?action=fly HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 403 " in ask(b"GET /?action=stopall HTTP/1.1\r\nHost: x\r\nReferer: http://evil/\r\n\r\n")
    assert b" 403 " in ask(b"POST / HTTP/1.1\r\nHost: x\r\nOrigin: http://evil\r\nContent-Length: 0\r\n\r\n")
    half_open = socket.socket(socket.AF_UNIX)
    half_open.connect(address)
    half_open.sendall(b"POST /RPC2 HTTP/1.1\r\nContent-Le")
    assert daemon.state("cat") == "RUNNING"
    half_open.close()


def test_forms_of_scripts_are_answered_by_a_redirection(daemon: Daemon) -> None:
    daemon.start(CAT)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(daemon.socket))
        client.sendall(b"GET /?action=restart&processname=cat HTTP/1.0\r\nHost: h:9001\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.1 301 ")
    assert "Location: http://h:9001/?message=Process%20cat%20restarted\r\n" in answer


def test_a_password_covers_every_path(daemon: Daemon) -> None:
    daemon.start(
        CAT,
        """
        [unix_http_server:two]
        file = {here}/two.sock
        username = admin
        password = {{SHA}}82ab876d1387bfafe46cc1c8a2ef074eae50cb1d
        """,
    )
    url = f"unix://{daemon.folder}/two.sock"
    known = Client(url, "admin", "thepassword")
    assert known.call("supervisor.getState")["statename"] == "RUNNING"
    known.close()
    for user, password in (("", ""), ("admin", "wrong"), ("root", "thepassword")):
        stranger = Client(url, user, password)
        with pytest.raises(Refused) as caught:
            stranger.call("supervisor.getState")
        stranger.close()
        assert caught.value.status == 401


def test_a_socket_in_use_is_an_error_and_a_stale_one_is_not(daemon: Daemon) -> None:
    import subprocess

    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(daemon.socket))
    stale.close()
    daemon.start(CAT)
    second = daemon.folder / "second.conf"
    second.write_text(daemon.config.read_text().replace("main.log", "second.log").replace("s.pid", "second.pid"))
    done = subprocess.run(
        [sys.executable, "-m", "genii", "supervisord", "-n", "-c", str(second)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Another program is already listening" in done.stderr
    assert daemon.state("cat") == "RUNNING"


def test_takes_programs_over_after_a_kill(daemon: Daemon) -> None:
    """Both output that is captured and standard input go on working with the next supervisor."""
    text = CAT + "stdout_capture_maxbytes = 1KB\n"
    daemon.start(text)
    pid = daemon.call("getProcessInfo", "cat")["pid"]
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.wait()
    daemon.start(text)
    assert daemon.call("getProcessInfo", "cat")["pid"] == pid
    assert daemon.call("sendProcessStdin", "cat", "still here\n") is True
    daemon.eventually(lambda: daemon.call("readProcessStdoutLog", "cat", 0, 0) == "still here\n")


def test_an_upgrade_is_not_noticed_by_programs_listeners_and_clients(daemon: Daemon) -> None:
    (daemon.folder / "ear.py").write_text(EAR)
    daemon.start(CAT, LISTENER)
    heard = daemon.folder / "ear.log"
    daemon.eventually(lambda: daemon.state("ear") == "RUNNING")
    before, pid = {info["name"]: info["pid"] for info in daemon.call("getAllProcessInfo")}, daemon.pid
    assert daemon.call("sendRemoteCommEvent", "first", "1") is True
    daemon.eventually(lambda: heard.exists() and "first" in heard.read_text())
    for _ in range(2):
        upgraded = subprocess.run(
            [sys.executable, "-m", "genii", "upgrade", "-c", str(daemon.config)], capture_output=True, timeout=PATIENCE
        )
        assert upgraded.returncode == 0, upgraded.stderr
    assert daemon.pid == pid
    assert {info["name"]: info["pid"] for info in daemon.call("getAllProcessInfo")} == before
    assert daemon.call("sendRemoteCommEvent", "second", "2") is True
    daemon.eventually(lambda: "second" in heard.read_text())
    assert daemon.call("sendProcessStdin", "cat", "hello\n") is True
    daemon.eventually(lambda: daemon.call("readProcessStdoutLog", "cat", 0, 0) == "hello\n")
    os.kill(pid, signal.SIGUSR2)  # as it is for supervisord
    daemon.eventually(lambda: "received SIGUSR2 indicating log reopen request" in daemon.log())
    assert daemon.call("restart") is True  # the same process begins anew
    daemon.eventually(
        lambda: daemon.answers() and daemon.call("getProcessInfo", "cat")["pid"] not in (0, before["cat"])
    )
    os.kill(pid, signal.SIGTERM)
    assert daemon.wait() == 0
    assert not daemon.socket.exists()
