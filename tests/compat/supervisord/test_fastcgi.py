"""A FastCGI program behind nginx: requests are answered while its processes are restarted."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from tests.ports import free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.supervisord.conftest import Daemon

pytestmark = [pytest.mark.compat, pytest.mark.slow, pytest.mark.timeout(300)]

NGINX = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            fastcgi_pass {upstream};
            fastcgi_param SCRIPT_FILENAME {folder}/who;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param QUERY_STRING $query_string;
        }}
    }}
}}
"""
WHO = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n%s' \"$QUERY_STRING $PPID\"\n"
RESPONDER = """
# A FastCGI responder (see the FastCGI specification, section 3 and 6.2) that ends between two requests only.
import os, select, signal, socket, struct, sys

def end(number, frame):
    raise SystemExit(0)

def records(client):
    while len(head := client.recv(8, socket.MSG_WAITALL)) == 8:
        _, kind, request, length, padding = struct.unpack(">BBHHBx", head)
        body = client.recv(length + padding, socket.MSG_WAITALL) if length + padding else b""
        yield kind, request, body[:length]

def record(kind, request, body):
    return struct.pack(">BBHHBx", 1, kind, request, len(body), 0) + body

def serve(client):
    for kind, request, body in records(client):
        if kind == 5 and not body:  # the end of what the client sends
            answer = b"Content-Type: text/plain\\r\\n\\r\\nhello %d" % os.getpid()
            client.sendall(record(6, request, answer) + record(6, request, b"") + record(3, request, bytes(8)))
            return

listener = socket.socket(fileno=0)
listener.setblocking(False)
signal.signal(signal.SIGTERM, end)
while True:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    select.select([listener], [], [])
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        client = listener.accept()[0]
    except BlockingIOError:
        continue
    with client:
        client.setblocking(True)
        serve(client)
"""


@pytest.fixture
def nginx(daemon: Daemon, debian: Callable[[str, str], str]) -> Iterator[Callable[[str], int]]:
    """Start nginx before a FastCGI address; return its port."""
    program = debian("nginx", "nginx-light")
    running: list[subprocess.Popen[bytes]] = []

    def start(upstream: str) -> int:
        for _ in range(5):  # somebody else may take the free port first
            port, config = free_port(), daemon.folder / "nginx.conf"
            text = NGINX.format(folder=daemon.folder, port=port, upstream=upstream)
            config.write_text(text if os.geteuid() == 0 else text.replace("user root;", ""))
            running.append(subprocess.Popen([program, "-c", str(config), "-e", f"{daemon.folder}/nginx.log"]))
            if wait_for_port(port, running[-1]):
                return port
        raise RuntimeError((daemon.folder / "nginx.log").read_text())

    yield start
    for process in running:
        process.terminate()
        process.wait()


def ask(port: int, query: str) -> tuple[int, list[str]]:
    """Return status and words of an answer: the query, and the pid of the program that answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", f"/?{query}")
        answer = connection.getresponse()
        return answer.status, answer.read().decode().split()
    finally:
        connection.close()


def program(command: str, socket: str) -> str:
    return (
        f"[fcgi-program:who]\ncommand = {command}\nsocket = {socket}\nnumprocs = 3\nstartsecs = 0\n"
        "process_name = %(program_name)s_%(process_num)d\n"
    )


def test_requests_are_answered_while_processes_are_restarted(daemon: Daemon, nginx: Callable[[str], int]) -> None:
    responder, socket = daemon.folder / "responder.py", daemon.folder / "f.sock"
    responder.write_text(RESPONDER)
    command = f"{sys.executable} {responder}"
    daemon.start(program(command, f"unix://{socket}") + "socket_mode = 0770\n")
    assert socket.stat().st_mode & 0o777 == 0o770
    port = nginx(f"unix:{socket}")
    pids = {daemon.call("getProcessInfo", f"who:who_{number}")["pid"] for number in range(3)}
    assert int(ask(port, "first")[1][1]) in pids
    done, answers = threading.Event(), []

    def keep_asking() -> None:
        while not done.is_set():
            answers.append(ask(port, "x"))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        for number in (0, 1, 2, 0, 1, 2):
            name = f"who:who_{number}"
            daemon.call("stopProcess", name)
            daemon.call("startProcess", name)
        # All of them at once: who asks meanwhile waits at the socket, which stays.
        daemon.call("stopProcessGroup", "who")
        daemon.call("startProcessGroup", "who")
        count = len(answers)
        daemon.eventually(lambda: len(answers) > count + 5)
    finally:
        done.set()
        asking.join()
    assert {status for status, _ in answers} == {200}
    assert int(ask(port, "last")[1][1]) not in pids


def test_a_program_behind_a_tcp_socket(
    daemon: Daemon, debian: Callable[[str, str], str], nginx: Callable[[str], int]
) -> None:
    script = daemon.folder / "who"
    script.write_text(WHO)
    script.chmod(0o755)
    port = free_port()
    daemon.start(program(debian("fcgiwrap", "fcgiwrap"), f"tcp://127.0.0.1:{port}"))
    status, words = ask(nginx(f"127.0.0.1:{port}"), "hello")
    assert status == 200
    pids = {daemon.call("getProcessInfo", f"who:who_{number}")["pid"] for number in range(3)}
    assert words[0] == "hello"
    assert int(words[1]) in pids
