"""Readiness, health and dependencies of real programs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.ports import free_port
from tests.real.harness import is_alive

if TYPE_CHECKING:
    from tests.real.harness import Site

NOTIFY = """
import os, signal, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.connect(os.environ["NOTIFY_SOCKET"])
sys.stdin = open("go")
sys.stdin.readline()
sock.send(b"STATUS=at work\\nREADY=1")
signal.pause()
"""

SERVER = """
import os, socket, sys
kind, address = sys.argv[1:]
open("go").readline()
server = socket.create_server(("127.0.0.1", int(address)))
while True:
    client, _ = server.accept()
    if kind == "http":
        client.recv(4096)
        status = open("status").read() if os.path.exists("status") else "200 OK"
        client.sendall(f"HTTP/1.1 {status}\\r\\nContent-Length: 0\\r\\n\\r\\n".encode())
    client.close()
"""


def go(site: Site) -> None:
    (site.path / "go").write_text("go\n")


@pytest.mark.parametrize("kind", ["line", "notify", "tcp", "http", "command"])
def test_runs_when_its_probe_says_so(site: Site, kind: str) -> None:
    os.mkfifo(site.path / "go")
    port = free_port()
    match kind:
        case "line":
            command, ready = (
                "sh -c 'read x <go; printf \"now listening on 80\"; exec sleep 1000'",
                'line = "listening on \\\\d+"',
            )
        case "notify":
            command, ready = site.script("notify.py", NOTIFY), "notify = true"
        case "command":
            command, ready = "sh -c 'read x <go; touch done; exec sleep 1000'", 'command = "test -e done"'
        case _:
            target = f"tcp = {port}" if kind == "tcp" else f'http = "http://127.0.0.1:{port}/health?x=1"'
            command, ready = site.script("server.py", SERVER) + f" {kind} {port}", target
    site.write(f'[program.job]\ncommand = """{command}"""\nready = {{ {ready}, interval = "20ms" }}\n')
    site.up("--no-wait")
    assert site.status("job")["state"] == "STARTING"
    go(site)
    assert site.state_of("job", "RUNNING")["ready"]
    if kind == "notify":
        assert site.status("job")["note"] == "at work"


def test_sees_the_line_that_is_written_at_once(site: Site) -> None:
    site.write(
        '[program.job]\ncommand = "sh -c \'echo ready; exec sleep 1000\'"\nready = { line = "^ready$" }\n'
        "processes = 20\n"
    )
    site.up()
    assert all(status["state"] == "RUNNING" for status in site.client.statuses())
    assert all(result["ok"] for result in site.act("restart", "job"))


def test_gives_up_what_never_becomes_ready(site: Site) -> None:
    site.write(
        '[program.job]\ncommand = "sleep 1000"\nready = { line = "never", timeout = "100ms" }\nretries = 1\n'
        'backoff = { initial = "10ms" }\n'
    )
    site.genii("up", "-d", "--no-wait")
    status = site.state_of("job", "FATAL")
    assert "not ready within 0.1 s" in status["reason"]
    assert sorted(site.processes()) == sorted([site.supervisor_pid(), site.keeper_pid()])


def test_an_http_answer_of_500_is_a_no(site: Site) -> None:
    os.mkfifo(site.path / "go")
    (site.path / "status").write_text("500 Broken")
    port = free_port()
    site.write(
        f'[program.job]\ncommand = "{site.script("server.py", SERVER)} http {port}"\nretries = 0\n'
        f'ready = {{ http = "http://127.0.0.1:{port}/", interval = "20ms", timeout = "300ms" }}\n'
    )
    site.genii("up", "-d", "--no-wait")
    go(site)
    site.state_of("job", "FATAL")


def test_replaces_what_is_no_longer_well(site: Site) -> None:
    site.write(
        '[program.job]\ncommand = "sleep 1000"\n'
        'health = { command = "test ! -e sick", interval = "20ms", failures = 2 }\n'
    )
    site.up()
    first = site.when("job", lambda status: status["healthy"] is True)["pid"]
    (site.path / "sick").touch()
    site.when("job", lambda status: status["pid"] not in (0, first))
    (site.path / "sick").unlink()
    assert not is_alive(first)
    assert "unhealthy" in site.own_log()


def test_starts_in_the_order_of_dependencies_and_stops_in_reverse(site: Site) -> None:
    trap = 'trap \\"echo stop {program} >>order; exit 0\\" TERM'
    job = f"sh -c 'echo start {{program}} >>order; {trap}; echo ready; while :; do sleep 0.02; done'"
    site.write(
        f'[program.web]\ncommand = "{job}"\ndepends_on = ["api", "cache"]\n'
        f'[program.api]\ncommand = "{job}"\ndepends_on = ["database"]\n'
        f'[program.cache]\ncommand = "{job}"\n'
        f'[program.database]\ncommand = "{job}"\n',
        defaults='ready = { line = "ready" }\nstartsecs = "0s"',
    )
    site.up()
    assert site.genii("down").status == 0
    order = (site.path / "order").read_text().splitlines()
    assert sorted(order[:4]) == ["start api", "start cache", "start database", "start web"]
    assert order.index("start database") < order.index("start api") < order.index("start web") == 3
    assert order.index("stop web") == 4
    assert order.index("stop web") < order.index("stop api") < order.index("stop database")


def test_waits_for_what_it_depends_on_and_says_so(site: Site) -> None:
    os.mkfifo(site.path / "go")
    site.write(
        '[program.base]\ncommand = "sh -c \'read x <go; echo ready; exec sleep 1000\'"\nready = { line = "ready" }\n'
        '[program.web]\ncommand = "sleep 1000"\ndepends_on = ["base"]\n'
    )
    site.up("--no-wait")
    waiting = site.status("web")
    assert (waiting["state"], waiting["reason"], waiting["wanted"]) == ("STOPPED", "waits for base", True)
    go(site)
    site.state_of("web", "RUNNING")


def test_a_start_that_waits_ends_when_somebody_stops_it(site: Site) -> None:
    site.write(
        '[program.base]\ncommand = "sleep 1000"\nready = { line = "never" }\n'
        '[program.web]\ncommand = "sleep 1000"\ndepends_on = ["base"]\nautostart = false\n'
    )
    site.up("--no-wait")
    site.act("start", "web", wait=False)
    assert site.status("web")["reason"] == "waits for base"
    with subprocess.Popen(
        site.command("start", "web"), cwd=site.path, env=site.environment, stderr=subprocess.PIPE, text=True
    ) as start:
        try:
            while start.poll() is None:  # a stop that comes before its request changes nothing for it
                site.act("stop", "web")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    start.wait(0.05)
            assert start.wait() == 1
        finally:
            start.kill()


def test_says_which_failed_dependency_keeps_it_from_starting(site: Site) -> None:
    site.write(
        '[program.base]\ncommand = "no-such-program"\n[program.web]\ncommand = "sleep 1000"\ndepends_on = ["base"]\n'
    )
    outcome = site.genii("up", "-d")
    assert outcome.status == 1
    assert "web: waits for base, which is FATAL" in outcome.err


def test_what_did_its_work_and_ended_well_can_be_relied_on(site: Site) -> None:
    site.write('[program.migrate]\ncommand = "true"\n[program.web]\ncommand = "sleep 1000"\ndepends_on = ["migrate"]\n')
    site.up()
    assert site.status("web")["state"] == "RUNNING"
    assert site.status("migrate")["state"] == "EXITED"


def test_a_dependency_that_crashes_leaves_its_dependents_running(site: Site) -> None:
    site.write('[program.base]\ncommand = "sleep 1000"\n[program.web]\ncommand = "sleep 1000"\ndepends_on = ["base"]\n')
    site.up()
    base, web = site.pid("base"), site.pid("web")
    os.kill(base, signal.SIGKILL)
    site.when("base", lambda status: status["pid"] not in (0, base))
    assert site.pid("web") == web


def test_start_brings_what_it_depends_on(site: Site) -> None:
    site.write(
        '[program.base]\ncommand = "sleep 1000"\n[program.web]\ncommand = "sleep 1000"\ndepends_on = ["base"]\n'
        '[program.other]\ncommand = "sleep 1000"\n',
        defaults='startsecs = "0s"\nautostart = false',
    )
    site.up()
    assert site.genii("start", "web").status == 0
    assert site.status("base")["state"] == "RUNNING"
    assert site.status("other")["state"] == "STOPPED"
