"""Nothing dies with the supervisor: KILL it, start it again, and look at what the programs noticed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import PATIENCE, is_alive, kill, open_files
from tests.waiting import wait_gone

from genii.supervise.record import encode

if TYPE_CHECKING:
    from tests.real.harness import Site

COUNTER = """
import sys, time
number = 0
while True:
    for _ in range(200):
        number += 1
        sys.stdout.write(f"line {number}\\n")
    sys.stdout.flush()
    time.sleep(0.001)
"""


def check_lines(lines: list[str]) -> int:
    """See that a counter's lines are all there, once and in order; return how many there are."""
    numbers = [int(line.removeprefix("line ")) for line in lines]
    assert numbers == list(range(1, len(numbers) + 1))
    return len(numbers)


def counted(site: Site, name: str = "job", more: int = 5000) -> None:
    """Wait until a counter's log has grown by so many lines."""
    wanted = len(site.lines(name)) + more
    end = time.monotonic() + PATIENCE
    for _ in site.client.follow_logs([name], 1, 0.0):
        if len(site.lines(name)) >= wanted:
            return
        assert time.monotonic() < end


def test_every_line_is_in_the_log_once_and_in_order(site: Site) -> None:
    site.write(f'[program.job]\ncommand = "{site.script("count.py", COUNTER)}"\n')
    site.up()
    pid = site.pid("job")
    for _ in range(3):
        counted(site)
        site.kill_supervisor()
        site.up()
        status = site.status("job")
        assert (status["pid"], status["state"], status["adopted"]) == (pid, "RUNNING", True)
    counted(site)
    os.kill(pid, signal.SIGSTOP)  # so that the last line is whole
    site.act("stop", "job")
    assert site.genii("down").status == 0
    lines = site.log("job").read_bytes().decode().split("\n")
    check_lines(lines[:-1])


def test_runs_one_copy_of_each_after_a_kill(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nprocesses = 20\n')
    site.up()
    before = {status["name"]: status["pid"] for status in site.client.statuses()}
    site.kill_supervisor()
    os.kill(before["job:3"], signal.SIGKILL)
    os.kill(before["job:7"], signal.SIGKILL)
    site.up()
    after = {status["name"]: status["pid"] for status in site.client.statuses()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"job:3", "job:7"}
    assert sorted(site.processes()) == sorted([*after.values(), site.supervisor_pid(), site.keeper_pid()])


def test_goes_on_watching_what_it_adopted(site: Site) -> None:
    site.write("[program.job]\ncommand = \"sh -c 'echo here; exec sleep 1000'\"\n")
    site.up()
    pid = site.pid("job")
    site.kill_supervisor()
    site.up()
    os.kill(pid, signal.SIGKILL)
    status = site.when("job", lambda status: status["pid"] not in (0, pid))
    assert not status["adopted"]
    site.line("job", "here", "here")


def test_stops_what_it_adopted(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    pid = site.pid("job")
    site.kill_supervisor()
    site.up()
    assert site.genii("down").status == 0
    assert not is_alive(pid)
    assert site.remaining() == []


def test_adopts_what_was_started_but_not_recorded(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n[program.other]\ncommand = "sleep 1000"\n')
    site.up()
    pid = site.pid("job")
    site.kill_supervisor()
    record = site.state_dir / "record"
    lines = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(line for line in lines if b'"job"' not in line) + encode("intent", "job"))
    site.up()
    assert site.pid("job") == pid
    assert site.status("job")["adopted"]


PARENT = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(3):
    if not os.fork():
        os.setsid()
        os.execlp("sleep", "sleep", "1000")
print("all there", flush=True)
while True:
    time.sleep(1000)
"""


def test_takes_no_session_that_a_process_has_begun_for_the_process(site: Site) -> None:
    site.write(f'[program.job]\ncommand = "{site.script("parent.py", PARENT)}"\n')
    site.up()
    site.line("job", "all there")
    pid = site.pid("job")
    site.kill_supervisor()
    (site.state_dir / "record").unlink()
    site.up()
    assert site.pid("job") == pid


def test_a_torn_line_of_the_record_harms_nobody(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n[program.other]\ncommand = "sleep 1000"\n')
    site.up()
    pids = {site.pid("job"), site.pid("other")}
    site.kill_supervisor()
    with (site.state_dir / "record").open("ab") as record:
        record.write(encode("gone", "other", 0)[:-5])
    site.up()
    assert {site.pid("job"), site.pid("other")} == pids
    assert "1 lines can't be read" in site.own_log()


def test_a_record_of_another_boot_means_nothing(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    pid = site.pid("job")
    site.kill_supervisor()
    record = site.state_dir / "record"
    boot, *rest = record.read_bytes().splitlines(keepends=True)
    match = re.search(rb'"([0-9a-f-]{36})"', boot)
    assert match
    items = encode("boot", 1, "00000000-0000-0000-0000-000000000000", "x")
    record.write_bytes(items + b"".join(rest))
    site.up()
    assert site.pid("job") != pid
    kill(pid)


def test_a_pid_that_somebody_else_has_now_is_left_alone(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    site.kill_supervisor()
    record = site.state_dir / "record"
    text = record.read_bytes()
    found = re.search(rb'\["process","job",(\d+),(\d+),(\d+),([\d.e+]+),(\d+)\]', text)
    assert found
    pid = int(found[1])
    kill(pid)
    items = encode("process", "job", os.getpid(), 12345, int(found[3]), float(found[4]), 0)
    record.write_bytes(text + items)
    site.up()
    assert site.pid("job") not in (pid, os.getpid())


def test_a_stop_that_was_under_way_is_finished(site: Site) -> None:
    site.write(
        "[program.job]\ncommand = \"sh -c 'trap : TERM; echo ready; while :; do sleep 1; done'\"\n"
        'stop = { timeout = "1s" }\nready = { line = "ready" }\n'
    )
    site.up()
    pid = site.pid("job")
    site.act("stop", "job", wait=False)
    site.kill_supervisor()
    assert is_alive(pid)
    site.up()
    site.state_of("job", "STOPPED")
    assert not is_alive(pid)


def test_what_was_stopped_by_hand_stays_stopped(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n[program.other]\ncommand = "sleep 1000"\n')
    site.up()
    site.act("stop", "job")
    site.kill_supervisor()
    site.up()
    assert site.status("job")["state"] == "STOPPED"
    assert site.status("other")["state"] == "RUNNING"


def test_numbers_changed_by_hand_are_kept(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nprocesses = 2\n')
    site.up()
    assert site.genii("scale", "job=4").status == 0
    pids = sorted(status["pid"] for status in site.client.statuses())
    site.kill_supervisor()
    site.up()
    assert sorted(status["pid"] for status in site.client.statuses()) == pids


@pytest.mark.slow
def test_what_is_not_declared_any_more_ends(site: Site) -> None:
    site.write(
        "[program.old]\ncommand = \"sh -c 'trap : TERM; echo ready; while :; do sleep 1; done'\"\n"
        'stop = { timeout = "200ms" }\nready = { line = "ready" }\n[program.job]\ncommand = "sleep 1000"\n'
    )
    site.up()
    pid = site.pid("old")
    site.kill_supervisor()
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    wait_gone(pid)


def test_a_changed_declaration_is_applied(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    pid = site.pid("job")
    site.kill_supervisor()
    site.write('[program.job]\ncommand = "sleep 1001"\n')
    site.up()
    site.when("job", lambda status: status["pid"] not in (0, pid))


def test_a_change_that_needs_no_restart_causes_none(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    pid = site.pid("job")
    site.write('[program.job]\ncommand = "sleep 1000"\ndescription = "sleeps"\nlimits = { nofile = 100 }\n')
    assert site.genii("update").status == 0
    assert site.pid("job") == pid
    site.kill_supervisor()
    site.write('[program.job]\ncommand = "sleep 1000"\ndescription = "still sleeps"\nlimits = { nofile = 100 }\n')
    site.up()
    assert site.act("start", "job")[0]["code"] == "already"
    assert site.pid("job") == pid


@pytest.mark.parametrize("orphans", ["adopt", "stop", "ignore"])
def test_orphans_are_dealt_with_as_declared(site: Site, orphans: str) -> None:
    site.write(f'[program.job]\ncommand = "sleep 1000"\norphans = "{orphans}"\n')
    site.up()
    pid = site.pid("job")
    site.kill_supervisor()
    site.up()
    if orphans == "adopt":
        assert site.pid("job") == pid
        return
    site.when("job", lambda status: status["pid"] not in (0, pid))
    assert is_alive(pid) == (orphans == "ignore")


def test_a_keeper_that_is_killed_is_replaced_and_output_goes_on(site: Site) -> None:
    site.write('[program.job]\ncommand = "sh -c \'trap \\"echo told\\" HUP; echo up; while :; do sleep 0.02; done\'"\n')
    site.up()
    site.line("job", "up")
    keeper = site.keeper_pid()
    os.kill(keeper, signal.SIGKILL)
    wait_gone(keeper)
    os.kill(site.pid("job"), signal.SIGHUP)
    site.line("job", "told")
    assert site.keeper_pid() != keeper
    assert site.genii("down").status == 0
    assert site.remaining() == []


def test_output_goes_on_when_supervisor_and_keeper_are_killed(site: Site) -> None:
    site.write('[program.job]\ncommand = "sh -c \'trap \\"echo told\\" HUP; echo up; while :; do sleep 0.02; done\'"\n')
    site.up()
    site.line("job", "up")
    pid, keeper = site.pid("job"), site.keeper_pid()
    site.kill_supervisor()
    kill(keeper)
    os.kill(pid, signal.SIGHUP)
    site.up()
    assert site.pid("job") == pid
    site.line("job", "told")
    os.kill(pid, signal.SIGHUP)
    site.line("job", "told", "told")


@pytest.mark.slow
def test_a_keeper_that_hangs_does_not_keep_the_next_supervisor_out(site: Site) -> None:
    site.write('[program.job]\ncommand = "sh -c \'trap \\"echo told\\" HUP; echo up; while :; do sleep 0.02; done\'"\n')
    site.up()
    site.line("job", "up")
    pid, keeper = site.pid("job"), site.keeper_pid()
    os.kill(keeper, signal.SIGSTOP)
    site.kill_supervisor()
    site.up()
    assert site.pid("job") == pid
    os.kill(pid, signal.SIGHUP)
    site.line("job", "told")


def test_a_launcher_that_is_killed_is_replaced(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nlimits = { nofile = 100 }\n')
    site.up()
    first = site.pid("job")
    supervisor = site.supervisor_pid()
    with open(f"/proc/{supervisor}/task/{supervisor}/children") as file:
        children = {int(pid) for pid in file.read().split()}
    (launcher,) = children - {first, site.keeper_pid()}
    kill(launcher)
    (result,) = site.act("restart", "job")
    assert result["ok"], result
    assert site.pid("job") != first


def test_a_broken_configuration_leaves_the_orphans_alone(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    pid = site.pid("job")
    site.kill_supervisor()
    site.write('[program.job]\ncomand = "sleep 1000"\n')
    assert site.genii("up", "-d").status == 2
    assert is_alive(pid)
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    assert site.pid("job") == pid


def test_readiness_is_remembered(site: Site) -> None:
    site.write(
        '[program.job]\ncommand = "sh -c \'echo ready; exec sleep 1000\'"\nready = { line = "ready" }\n'
        '[program.web]\ncommand = "sleep 1000"\ndepends_on = ["job"]\n'
    )
    site.up()
    site.kill_supervisor()
    site.up()
    assert site.status("job")["state"] == "RUNNING"
    assert site.status("web")["adopted"]


def test_many_kills_leak_nothing(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nprocesses = 5\n')
    site.up()
    pids = sorted(status["pid"] for status in site.client.statuses())
    counts = []
    for _ in range(4):
        site.kill_supervisor()
        site.up()
        assert sorted(status["pid"] for status in site.client.statuses()) == pids
        counts.append((len(open_files(site.supervisor_pid())), len(open_files(site.keeper_pid()))))
    # One more or less may be a connection that is being closed.
    assert all(abs(last - first) <= 1 for first, last in zip(counts[0], counts[-1], strict=True)), counts


def test_a_start_that_fails_leaves_the_orphans_alone(site: Site) -> None:
    job = '[program.job]\ncommand = "sleep 1000"\n'
    site.write(job)
    site.up()
    pid = site.pid("job")
    site.kill_supervisor()
    assert site.genii("up", "-d", "jbo").status == 4
    assert is_alive(pid)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        site.write(f'[http]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n{job}')
        outcome = site.genii("up", "-d")
        assert outcome.status == 1
        assert "in use" in outcome.err
        assert is_alive(pid)
    site.write(job)
    site.up()
    assert site.pid("job") == pid


def test_removing_the_state_directory_lets_no_second_supervisor_start(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n[program.other]\ncommand = "sleep 1000"\n')
    site.up()
    supervisor, pid = site.supervisor_pid(), site.pid("job")
    shutil.rmtree(site.state_dir)
    outcome = site.genii("up", "-d")
    assert outcome.status == 0  # as always when one runs already
    assert f"already running as process {supervisor}, whose state directory" in outcome.err
    assert is_alive(pid)
    # The next thing that is worth recording makes the record anew, so that nothing is lost with the supervisor.
    killed = site_processes(site, b"other")[0]
    kill(killed)
    end = time.monotonic() + PATIENCE
    while not (later := [one for one in site_processes(site, b"other") if one != killed]) or not is_recorded(
        site, later[0]
    ):
        assert time.monotonic() < end
    kill(supervisor)
    site.up()
    assert site.pid("job") == pid
    assert len(site_processes(site, b"other")) == 1


TALKER = """
import os, time
while True:
    os.write(1, b"I am %d\\n" % os.getpid())
    time.sleep(0.02)
"""


@pytest.mark.parametrize("fault", ["restart", "rest"])
def test_a_state_directory_that_is_removed_costs_no_second_copy(site: Site, fault: str) -> None:
    site.write(f'[program.talk]\ncommand = "{site.script("talk.py", TALKER)}"\nprocesses = 3\n')
    site.up()
    supervisor, pids = site.supervisor_pid(), {status["pid"] for status in site.client.statuses()}
    if fault == "restart":
        site.act("restart", "talk", wait=False)
    site.log_dir.rename(site.path / "kept")  # the keeper goes on writing there
    shutil.rmtree(site.state_dir)
    kill(supervisor)
    site.up()
    statuses = site.client.statuses()
    assert len(site.processes()) == 2 + len(statuses)
    assert fault == "restart" or {status["pid"] for status in statuses} == pids
    for status in statuses:
        site.line(status["name"], f"I am {status['pid']}")


def is_recorded(site: Site, pid: int) -> bool:
    """Say whether the record knows the process ``other`` by this pid."""
    with contextlib.suppress(OSError):
        return f'"other",{pid},'.encode() in (site.state_dir / "record").read_bytes()
    return False


def site_processes(site: Site, name: bytes) -> list[int]:
    """Return the pids of the processes of a program, by their mark."""
    found = []
    for pid in site.processes():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if b"GENII_PROCESS=" + name in file.read().split(b"\0"):
                found.append(pid)
    return found


FAMILY = """
import os, signal, time
if not os.fork():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    time.sleep(1000)
"""


@pytest.mark.parametrize("noticed", [True, False])
def test_what_is_left_of_a_group_is_ended_before_anything_is_started(site: Site, noticed: bool) -> None:
    site.write(f'[program.family]\ncommand = "{site.script("family.py", FAMILY)}"\nstop = {{ timeout = "1s" }}\n')
    site.up()
    pid = site.pid("family")
    end = time.monotonic() + PATIENCE
    while len(site_processes(site, b"family")) < 2:
        assert time.monotonic() < end
    if noticed:
        kill(pid)
        site.state_of("family", "STOPPING")
        site.kill_supervisor()
    else:
        site.kill_supervisor()
        kill(pid)
    child = next(iter(set(site_processes(site, b"family")) - {pid}))
    site.up()
    site.when("family", lambda status: status["state"] == "RUNNING" and status["pid"] not in (0, pid))
    assert not is_alive(child)
