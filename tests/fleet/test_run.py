"""``genii run`` as users run it, on a real sshd."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.fleet.command_line import genii, words, write_configuration
from tests.waiting import wait_gone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fleet.conftest import Sshd

pytestmark = pytest.mark.timeout(300)  # on a busy machine each command line takes its seconds

ADDRESS = "set -- $SSH_CONNECTION; "
"""Shell text: then $3 is the address of the host."""


@pytest.fixture
def web(sshd: Sshd, tmp_path: Path) -> Path:
    """A folder whose genii.toml has a group ``web`` of four hosts."""
    write_configuration(tmp_path, sshd, 4)
    return tmp_path


def test_lines_come_with_the_name_of_their_host(web: Path) -> None:
    ended = genii(web, "run", "--on", "web", "--", ADDRESS + "echo I am $3; echo oh >&2")
    assert ended.status == 0, ended.err
    assert sorted(ended.out.splitlines()) == [f"127.7.0.{n} | I am 127.7.0.{n}" for n in (1, 2, 3, 4)]
    assert ended.err.count(" | oh") == 4
    assert "4 of 4 hosts ok" in ended.err


def test_failures_are_results_and_the_rest_goes_on(web: Path) -> None:
    ended = genii(
        web, "run", "--on", "web", "-g", "--", ADDRESS + "[ $3 != 127.7.0.2 ] || { echo no >&2; exit 7; }; echo ok"
    )
    assert ended.status == 1
    assert "--- 127.7.0.[1,3-4] (3)\nok\n--- 127.7.0.2\nno\n" in ended.out
    assert "failed          1  127.7.0.2  exit 7: no" in ended.err
    assert "3 of 4 hosts ok" in ended.err


def test_the_status_of_one_host_is_passed_on_and_its_output_as_it_is(web: Path) -> None:
    ended = genii(web, "run", "--on", "127.7.0.1", "--", "printf 'a\\nb'; exit 42")
    assert (ended.status, ended.out, ended.err) == (42, "a\nb", "")


def test_several_words_are_one_command_with_its_arguments(web: Path) -> None:
    ended = genii(web, "run", "--on", "127.7.0.1", "--", "printf", "[%s]", "a b", "$HOME", "it's")
    assert ended.out == "[a b][$HOME][it's]"


def test_variables_directory_script_and_input(web: Path) -> None:
    ended = genii(web, "run", "--on", "127.7.0.1", "--env", "A=it's $x", "--cd", "/usr", "--", 'echo "$A"; pwd')
    assert ended.out == "it's $x\n/usr\n"
    (web / "script").write_text('#!/bin/sh\necho "$0" | grep -c genii-; echo $# $1; exit 5\n')
    ended = genii(web, "run", "--on", "127.7.0.1", "--script", "script", "--", "one two", "three")
    assert (ended.status, ended.out) == (5, "1\n2 one two\n")
    ended = genii(web, "run", "--on", "web", "--stdin", "-q", "--", "wc -c", given="12345")
    assert "5" in ended.err
    assert ended.status == 0


def test_results_are_kept_and_only_the_failed_are_tried_again(web: Path) -> None:
    command = f"{ADDRESS}echo out; [ -e {web}/mended ] || [ $3 = 127.7.0.1 ] || {{ echo err >&2; false; }}"
    assert genii(web, "run", "--on", "web", "--results", "results", "--", command).status == 1
    results = web / "results"
    assert (results / "127.7.0.2.out").read_text() == "out\n"
    assert (results / "127.7.0.2.err").read_text() == "err\n"
    assert not (results / "127.7.0.1.err").exists()
    states = {row["host"]: row["state"] for row in rows_of(results)}
    assert states == {"127.7.0.1": "ok", "127.7.0.2": "failed", "127.7.0.3": "failed", "127.7.0.4": "failed"}
    (web / "mended").touch()
    again = genii(web, "run", "--retry-failed", "results", "--", command)
    assert again.status == 0, again.err
    assert "3 of 3 hosts ok" in again.err
    assert "nothing failed" in genii(web, "run", "--retry-failed", "results", "--", command).err


def rows_of(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (results / "results.jsonl").read_text().splitlines()]


def test_json_has_a_line_for_each_host_whatever_it_prints(web: Path) -> None:
    ended = genii(web, "run", "--on", "web,nowhere.invalid", "--json", "--", "printf '\\377\\000\\033[31m'")
    assert ended.status == 1
    rows = {row["host"]: row for row in ended.rows}
    assert rows["127.7.0.1"]["stdout"] == "\ufffd\0\x1b[31m"
    assert rows["127.7.0.1"]["state"] == "ok"
    assert rows["nowhere.invalid"]["state"] == "unreachable"
    assert "does not resolve" in rows["nowhere.invalid"]["error"]


def test_nothing_further_is_begun_after_the_failures_that_are_allowed(web: Path) -> None:
    command = f"{ADDRESS}echo $3 >> {web}/ran; false"
    fast = genii(web, "run", "--on", "web", "--serial", "--fail-fast", "--json", "--", command)
    assert [row["state"] for row in fast.rows] == ["failed", "skipped", "skipped", "skipped"]
    assert (web / "ran").read_text() == "127.7.0.1\n"
    some = genii(web, "run", "--on", "web", "--batch", "50%", "--max-fail", "25%", "--json", "--", command)
    assert sorted(row["state"] for row in some.rows) == ["failed", "failed", "skipped", "skipped"]


def test_what_hangs_is_killed_there_and_told(web: Path) -> None:
    command = f"{ADDRESS}[ $3 = 127.7.0.1 ] || exit 0; echo $$ > {web}/pid; sleep 3600"
    ended = genii(web, "run", "--on", "web", "--timeout", "4s", "--json", "--", command)
    assert ended.status == 1
    states = {row["host"]: row["state"] for row in ended.rows}
    assert states.pop("127.7.0.1") == "timeout"
    assert set(states.values()) == {"ok"}
    wait_gone(int((web / "pid").read_text()))
    assert genii(web, "run", "--on", "127.7.0.1", "--timeout", "2s", "--", "sleep 3600").status == 124


def test_a_dry_run_connects_to_nobody(web: Path) -> None:
    ended = genii(web, "run", "--on", "nowhere.invalid,web", "--dry-run", "--", "reboot")
    assert ended.status == 0
    assert ended.out.splitlines() == ["nowhere.invalid", "127.7.0.1", "127.7.0.2", "127.7.0.3", "127.7.0.4"]
    assert "would run on 5 hosts, 50 at once: reboot" in ended.err


def test_many_commands_go_over_the_same_connections(start_server: Callable[..., Sshd], tmp_path: Path) -> None:
    server = start_server()
    write_configuration(tmp_path, server, 2)
    ended = genii(tmp_path, "run", "--on", "web", given="echo one\n\necho two\nexit 3\n")
    assert ended.status == 1
    assert ended.out.count("| one") == ended.out.count("| two") == 2
    assert (server.folder / "sshd.log").read_text().count("Accepted publickey") == 2


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_closes_everything_and_keeps_what_is_done(web: Path, which: signal.Signals) -> None:
    os.mkfifo(web / "begun")
    command = f"{ADDRESS}[ $3 != 127.7.0.1 ] || exit 0; echo $$ > {web}/begun; sleep 3600"
    process = subprocess.Popen(
        words("run", "--on", "127.7.0.[1-2]", "--serial", "--results", "results", "--", command),
        cwd=web, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    pid = int((web / "begun").read_text())  # waits until the second host is in the middle
    process.send_signal(which)
    _, said = process.communicate(timeout=40)
    assert process.returncode == 130, said
    assert "interrupted" in said
    assert [row["state"] for row in rows_of(web / "results")] == ["ok", "cancelled"]
    wait_gone(pid)


@pytest.mark.parametrize("command", ["", f"{ADDRESS}[ $3 != 127.7.0.1 ] || exit 0; echo $$ > begun; sleep 3600\n"])
def test_an_interruption_ends_many_commands_at_once(web: Path, command: str) -> None:
    os.mkfifo(web / "begun")
    process = subprocess.Popen(
        words("run", "--on", "127.7.0.[1-2]", "--serial"), cwd=web, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(f"true\n{command.replace('begun', f'{web}/begun')}")
    process.stdin.flush()
    while "2 of 2 hosts ok" not in (line := process.stderr.readline()):
        assert line, "it has ended"
    pid = int((web / "begun").read_text()) if command else 0
    process.send_signal(signal.SIGINT)  # its input is still open
    assert process.wait(40) == 130
    said = process.stderr.read()
    process.stdin.close()
    process.stderr.close()
    if pid:
        wait_gone(pid)
        assert "interrupted" in said
        assert "1 of 2 hosts ok" in said


def test_commands_need_not_be_utf_8(web: Path) -> None:
    command = os.fsdecode(b"echo caf\xe9 | od -An -tx1")
    assert "63 61 66 e9 0a" in genii(web, "run", "--on", "127.7.0.1", "--", command).out
    asked = subprocess.run(
        words("run", "--on", "127.7.0.1"), cwd=web, input=os.fsencode(command), capture_output=True, timeout=120
    )
    assert b"63 61 66 e9 0a" in asked.stdout


MEASURED = """
import os, sys
quiet = [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Runs a command and tells its peak of memory: of a child of ours it would be at least what we have ourselves."""


def test_much_output_without_a_line_end_takes_little_memory(web: Path) -> None:
    command = "head -c 20000000 /dev/zero | tr '\\0' x"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", MEASURED, *words("run", "--on", "127.7.0.[1-2]", "--", command)], cwd=web,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    sizes: list[int] = []

    def read() -> None:
        assert process.stdout is not None
        while piece := process.stdout.read(1 << 20):
            sizes.append(piece.count(b"x"))

    reader = threading.Thread(target=read)
    reader.start()
    assert process.stderr is not None
    peak = int(process.stderr.read())
    process.stderr.close()
    process.wait()
    reader.join()
    process.stdout.close()
    assert process.returncode == 0
    assert sum(sizes) == 40_000_000
    assert peak < 120_000  # KiB; all of it would be a third more


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "wbe", "--", "true"], "there is no host or group 'wbe' (did you mean 'web'?)"),
        (["--", "true"], "no hosts are named"),
        (["--on", "web", "--batch", "x", "--", "true"], "--batch: 'x' is no batch"),
        (["--on", "web", "--timeout", "soon", "--", "true"], "--timeout: 'soon' is not a duration"),
        (["--on", "web", "--connect-timeout", "1x", "--", "true"], "--connect-timeout: '1x' is not a duration"),
        (["--on", "web", "--max-fail", "x", "--", "true"], "--max-fail: 'x' is neither a number nor a percentage"),
        (["--on", "web", "--limit", "0", "--", "true"], "is not a number of hosts"),
        (["--on", "web", "--env", "A", "--", "true"], "write NAME=VALUE"),
        (["--on", "web", "--env", "1A=2", "--", "true"], "is not the name of a variable"),
        (["--on", "web", "--script", "none", "--", "true"], "--script none: No such file"),
        (["--on", "web", "--retry-failed", "none", "--", "true"], "leave out --on"),
        (["--retry-failed", "none", "--", "true"], "none/results.jsonl: No such file"),
        (["--on", "web", "-i", "none", "--", "true"], "the inventory none: No such file"),
        (["--on", "web", "--sudo-password", "hunter2", "--", "true"], "--sudo-password says where the password is"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(web: Path, arguments: list[str], message: str) -> None:
    ended = genii(web, "run", *arguments)
    assert ended.status == 2
    assert message in ended.err
    assert "hunter2" not in ended.err


def test_hosts_come_from_standard_input_and_inventories_of_others(web: Path) -> None:
    ended = genii(web, "run", "--on", "-", "-q", "--", "true", given="127.7.0.[1-2]\n# no\n127.7.0.3\n127.7.0.3\n")
    assert "3 of 3 hosts ok" in ended.err
    (web / "hosts.ini").write_text("[db]\n127.7.0.[5:6]\n")
    assert "2 of 2 hosts ok" in genii(web, "run", "-i", "hosts.ini", "--on", "db", "-q", "--", "true").err
    assert "2 of 2 hosts ok" in genii(web, "run", "-i", "hosts.ini", "-q", "--", "true").err


@pytest.mark.slow
def test_two_hundred_hosts_at_fifty_at_once(sshd: Sshd, tmp_path: Path) -> None:
    write_configuration(tmp_path, sshd, 200)
    ended = genii(tmp_path, "run", "--on", "web", "--json", "--", ADDRESS + "echo $3")
    assert ended.status == 0, ended.err
    assert len(ended.rows) == 200
    assert all(row["stdout"] == f"{row['host']}\n" for row in ended.rows)
