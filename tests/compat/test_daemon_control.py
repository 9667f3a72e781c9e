"""The same commands in the same situations for Perl's Daemon::Control and for ours: texts and exit codes compared."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.debian import install_packages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.compat, pytest.mark.slow]

PERL = """\
use strict; use warnings; use Daemon::Control;
Daemon::Control->new(
    name => 'Test Daemon', pid_file => '{folder}/daemon.pid', program => {program}, program_args => [{arguments}],
    stdout_file => '{folder}/log', stderr_file => '{folder}/log', lsb_sdesc => 'Short', lsb_desc => 'Long',
    lsb_start => '$syslog', lsb_stop => '$syslog', init_config => '/etc/default/test', init_code => 'LANG=C',
    help => "Some help.\\n", {more}
)->run;
"""

PYTHON = """\
import genii
genii.Control(
    name='Test Daemon', pid_file='{folder}/daemon.pid', program={program}, program_args=[{arguments}],
    stdout_file='{folder}/log', stderr_file='{folder}/log', lsb_sdesc='Short', lsb_desc='Long',
    lsb_start='$syslog', lsb_stop='$syslog', init_config='/etc/default/test', init_code='LANG=C',
    help='Some help.', {more}
).run()
"""

SAME = None

# The original takes a zombie for a running daemon, and not every PID 1 reaps at once. So the commands are run below a
# process that adopts the daemons (PR_SET_CHILD_SUBREAPER, 36) and has the kernel reap them (SIGCHLD ignored).
REAPER = """
import ctypes, json, os, signal, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork():
    sys.stdin.close()
    try: os.waitpid(-1, 0)
    except ChildProcessError: pass
    os._exit(0)
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
for line in sys.stdin:
    ended = subprocess.run(json.loads(line), capture_output=True, text=True, timeout=50)
    print(json.dumps([ended.stdout, ended.returncode]), flush=True)
"""


@pytest.fixture(scope="session", autouse=True)
def daemon_control() -> None:
    """Install the original where it is missing and we may; else skip."""
    check = ["perl", "-MDaemon::Control", "-e", "1"]
    if shutil.which("perl") and subprocess.run(check, capture_output=True).returncode == 0:
        return
    install_packages("libdaemon-control-perl")
    if not shutil.which("perl") or subprocess.run(check, capture_output=True).returncode:
        pytest.skip("Daemon::Control is not installed: apt install libdaemon-control-perl")


class Pair:
    """Two control programs of the same daemon, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.reaper = subprocess.Popen(
            [sys.executable, "-c", REAPER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "FORCE_COLOR": "1"},
        )  # fmt: skip
        self.folders = (folder / "perl", folder / "python")
        for each in self.folders:
            each.mkdir()
        self.set("'/bin/sleep'", "'99'")

    def set(self, program: str, arguments: str, more: tuple[str, str] = ("", "")) -> None:
        for folder, template, extra in zip(self.folders, (PERL, PYTHON), more, strict=True):
            text = template.format(folder=folder, program=program, arguments=arguments, more=extra)
            (folder / "control").write_text(text)

    def give(self, command: str) -> list[tuple[str, int]]:
        """Give both a command; return what each printed and its exit code."""
        answers = []
        for folder, interpreter in zip(self.folders, ("perl", sys.executable), strict=True):
            assert self.reaper.stdin is not None
            assert self.reaper.stdout is not None
            self.reaper.stdin.write(json.dumps([interpreter, str(folder / "control"), *command.split()]) + "\n")
            self.reaper.stdin.flush()
            text, code = json.loads(self.reaper.stdout.readline())
            answers.append((text.replace(str(folder), "FOLDER"), code))
        return answers

    def write_pid_files(self, content: str) -> None:
        for folder in self.folders:
            (folder / "daemon.pid").write_text(content)

    def pids(self) -> list[int]:
        return [int((folder / "daemon.pid").read_text()) for folder in self.folders]

    def remove_pid_files(self) -> None:
        for folder in self.folders:
            (folder / "daemon.pid").unlink(missing_ok=True)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.set("'/bin/sleep'", "'99'")
    made.give("stop")
    made.reaper.communicate()


def expect(pair: Pair, command: str, theirs: int, ours: int | None = SAME) -> None:
    """Both print the same bytes; ``ours`` is our exit code where it is another on purpose."""
    (their_text, their_code), (our_text, our_code) = pair.give(command)
    assert our_text == their_text
    assert (their_code, our_code) == (theirs, theirs if ours is SAME else ours)


def test_the_ordinary_life_reads_the_same(pair: Pair) -> None:
    expect(pair, "status", 3)
    expect(pair, "start", 0)
    expect(pair, "status", 0)
    expect(pair, "restart", 0)
    expect(pair, "stop", 0)
    expect(pair, "status", 3)
    expect(pair, "restart", 0)


def test_exit_codes_differ_only_where_lsb_says_otherwise(pair: Pair) -> None:
    expect(pair, "reload", 1, ours=7)  # LSB: program is not running
    expect(pair, "start", 0)
    expect(pair, "start", 1, ours=0)  # LSB: already running is a success
    expect(pair, "reload", 0)


def test_a_dead_daemon_reads_the_same(pair: Pair) -> None:
    expect(pair, "start", 0)
    for pid in pair.pids():
        os.kill(pid, signal.SIGKILL)
        while os.path.exists(f"/proc/{pid}"):
            time.sleep(0.01)
    expect(pair, "status", 3, ours=1)  # LSB: dead and the pid file exists
    expect(pair, "stop", 0)
    expect(pair, "start", 0)


def test_stop_without_a_pid_file_says_so_and_succeeds(pair: Pair) -> None:
    theirs, ours = pair.give("stop")
    assert theirs == ("", 1)
    assert ours[1] == 0
    assert "[Not Running]" in ours[0]


def test_a_foreign_pid_fools_only_the_original(pair: Pair) -> None:
    with subprocess.Popen(["sleep", "99"]) as stranger:
        pair.write_pid_files(str(stranger.pid))
        theirs, ours = pair.give("status")
        assert ("[Running]" in theirs[0], "[Not Running]" in ours[0]) == (True, True)
        pair.remove_pid_files()
        stranger.kill()


def test_a_program_that_does_not_exist_is_told_only_by_ours(pair: Pair) -> None:
    pair.set("'/no/such/program'", "")
    theirs, ours = pair.give("start")
    assert ("[Started]" in theirs[0], theirs[1]) == (True, 0)
    assert ("[Failed to Start]" in ours[0], ours[1]) == (True, 5)  # LSB: program is not installed
    pair.remove_pid_files()


def test_a_daemon_that_ignores_signals_is_stopped_alike(pair: Pair) -> None:
    pair.set("'/bin/sh'", """'-c', 'trap "" TERM INT; while :; do sleep 0.1; done'""")
    expect(pair, "start", 0)
    expect(pair, "stop", 0)


def test_one_that_survives_is_told_alike(pair: Pair) -> None:
    program = """'-c', 'trap "" TERM; while :; do sleep 0.1; done'"""
    pair.set("'/bin/sh'", program, ("stop_signals => ['TERM']", "stop_signals=['TERM']"))
    expect(pair, "start", 0)
    expect(pair, "stop", 1)
    pair.set("'/bin/sh'", program)
    expect(pair, "stop", 0)


def test_quiet_is_alike(pair: Pair) -> None:
    pair.set("'/bin/sleep'", "'99'", ("quiet => 1", "quiet=True"))
    for command, code in (("status", 3), ("start", 0), ("status", 0), ("stop", 0)):
        expect(pair, command, code)


def test_the_foreground_passes_output_and_code_alike(pair: Pair) -> None:
    pair.set("'/bin/sh'", "'-c', 'echo hi; exit 7'")
    expect(pair, "foreground", 7)
    pair.remove_pid_files()


def test_colours_can_be_chosen_alike(pair: Pair) -> None:
    pair.set("'/bin/sleep'", "'99'", ("color_map => { red => 35, green => 36 }", "color_map={'red': 35, 'green': 36}"))
    expect(pair, "status", 3)
    expect(pair, "start", 0)


def test_the_syntax_line_and_the_help_are_alike(pair: Pair) -> None:
    for command in ("help", "--help", ""):
        expect(pair, command, 0)


def test_unknown_commands_are_usage_errors(pair: Pair) -> None:
    theirs, ours = pair.give("bogus")
    assert (theirs, ours) == (("", 255), ("", 2))


def test_the_init_scripts_have_the_same_header(pair: Pair) -> None:
    theirs, ours = (text for text, _ in pair.give("get_init_file"))
    fields = [line for line in theirs.splitlines() if line.startswith("# ") and ":" in line and "Generated" not in line]
    assert len(fields) == 7
    provided = "# Provides:          Test Daemon"
    for line in fields:
        assert line.replace(provided, "# Provides:          test-daemon") in ours.splitlines()
    for line in ("[ -r /etc/default/test ] && . /etc/default/test", "LANG=C"):
        assert line in theirs.splitlines()
        assert line in ours.splitlines()
