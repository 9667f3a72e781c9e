"""The event listeners of superlance, as people have them in their files."""

from __future__ import annotations

import socketserver
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.supervisord.conftest import Daemon

pytestmark = [pytest.mark.compat, pytest.mark.slow, pytest.mark.timeout(300)]

CRASH = """
[program:crash]
command = /bin/sh -c 'exit 7'
startsecs = 0
autorestart = false
autostart = false
[program:doomed]
command = /bin/sh -c 'exit 1'
startsecs = 60
startretries = 0
autostart = false
"""
SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if os.path.exists(sys.argv[2]) else 200)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(server.server_port))
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
"""


class Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP as one mail needs (RFC 5321)."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                mail = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.mails.append(mail.decode())  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                return


@contextmanager
def mail_server() -> Iterator[tuple[str, list[str]]]:
    """Take mails on a free port; give the address and the mails that came."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.mails = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", server.mails  # type: ignore[attr-defined]
        server.shutdown()


def mailer(daemon: Daemon) -> Path:
    path = daemon.folder / "mailer"
    path.write_text(f"#!/bin/sh\ncat >> {daemon.folder}/mail\n")
    path.chmod(0o755)
    return path


def listener(name: str, command: str, events: str) -> str:
    return f"[eventlistener:{name}]\ncommand = {command}\nevents = {events}\nstartsecs = 0\n"


def test_memmon_restarts_what_takes_too_much_memory(daemon: Daemon, peer: Path) -> None:
    daemon.start(
        "[program:fat]\ncommand = /bin/cat\nstartsecs = 0\n[program:thin]\ncommand = /bin/cat\nstartsecs = 0\n",
        listener("memmon", f"{peer}/memmon -p fat=1KB", "TICK_5"),
    )
    pid, other = (daemon.call("getProcessInfo", name)["pid"] for name in ("fat", "thin"))
    daemon.eventually(lambda: daemon.call("getProcessInfo", "fat")["pid"] not in (0, pid))
    assert daemon.call("getProcessInfo", "thin")["pid"] == other
    assert daemon.state("memmon") == "RUNNING"


def test_crashmail_mails_about_a_crash(daemon: Daemon, peer: Path) -> None:
    command = f"{peer}/crashmail -p crash -m somebody@example.org -s {mailer(daemon)}"
    daemon.start(CRASH, listener("crashmail", command, "PROCESS_STATE_EXITED"))
    daemon.call("startProcess", "crash", False)
    mail = daemon.folder / "mail"
    daemon.eventually(lambda: mail.exists() and "crash in group crash exited unexpectedly" in mail.read_text())
    assert daemon.state("crashmail") == "RUNNING"


def test_httpok_restarts_what_does_not_answer_well(daemon: Daemon, peer: Path) -> None:
    (daemon.folder / "server.py").write_text(SERVER)
    port, broken = daemon.folder / "port", daemon.folder / "broken"
    server = f"[program:web]\ncommand = {sys.executable} {daemon.folder}/server.py {port} {broken}\nstartsecs = 0\n"
    other = "[program:other]\ncommand = /bin/cat\nstartsecs = 0\n"
    daemon.start(server + other)
    daemon.eventually(port.exists)
    command = f"{peer}/httpok -p web -m somebody@example.org -s {mailer(daemon)} http://127.0.0.1:{port.read_text()}/"
    daemon.write(server + other, listener("httpok", command, "TICK_5"))
    daemon.call("reloadConfig")
    daemon.call("addProcessGroup", "httpok")
    pid, calm = (daemon.call("getProcessInfo", name)["pid"] for name in ("web", "other"))
    broken.touch()
    daemon.eventually(lambda: daemon.call("getProcessInfo", "web")["pid"] not in (0, pid))
    mail = daemon.folder / "mail"
    daemon.eventually(lambda: mail.exists() and "web restarted" in mail.read_text())
    assert daemon.call("getProcessInfo", "other")["pid"] == calm
    assert daemon.state("httpok") == "RUNNING"


@pytest.mark.parametrize(
    ("name", "program", "event", "told"),
    [
        ("crashmailbatch", "crash", "PROCESS_STATE", "Process crash:crash (pid"),
        ("fatalmailbatch", "doomed", "PROCESS_STATE", "Process doomed:doomed failed to start too many times"),
    ],
)
def test_batches_of_mails_come_with_the_tick(
    name: str, program: str, event: str, told: str, daemon: Daemon, peer: Path
) -> None:
    with mail_server() as (address, mails):
        command = f"{peer}/{name} -t to@example.org -f from@example.org -H {address} -e TICK_5 -i 0.05"
        daemon.start(CRASH, listener(name, command, f"{event},TICK_5"))
        daemon.call("startProcess", program, False)
        daemon.eventually(lambda: any(told in mail for mail in mails))
        assert daemon.state(name) == "RUNNING"
