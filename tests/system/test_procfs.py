from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from genii.system.procfs import ProcessStat, command_line, environment, own_children, read_stat, start_time


def test_reads_this_process() -> None:
    stat = read_stat(os.getpid())
    assert (stat.parent, stat.group, stat.session) == (os.getppid(), os.getpgrp(), os.getsid(0))
    assert not stat.ended
    assert 0 < stat.start_time == start_time(os.getpid())


def test_a_name_with_blanks_and_parentheses_is_no_trouble() -> None:
    line = b"7 (a) b) (c) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0"
    stat = ProcessStat(line)
    assert (stat.state, stat.parent, stat.start_time) == ("S", 1, 4711)


def test_a_zombie_has_ended_and_keeps_its_start_time() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        stat = read_stat(child.pid)
        assert stat.ended
        assert stat.start_time > 0
        assert command_line(child.pid) == []


def test_tells_the_children_of_this_process() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        assert child.pid in own_children()
        child.kill()
        child.wait()
    assert child.pid not in own_children()


def test_a_process_that_is_gone_is_told_as_such() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    for ask in (start_time, command_line):
        with pytest.raises(ProcessLookupError):
            ask(child.pid)


def test_gives_the_words_of_a_command() -> None:
    code = "import sys; print('here', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "a b", ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"here\n"
        assert command_line(child.pid)[-2:] == ["a b", ""]


def test_tells_the_variables_of_what_was_started_in_this_very_moment() -> None:
    for _ in range(20):
        pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {"WHO": "me"})
        seen = environment(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert seen == {b"WHO=me"}


def test_what_is_over_or_has_no_variables_is_not_waited_for() -> None:
    started = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert environment(child.pid) == set()
    assert environment(child.pid) == set()
    bare = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    assert environment(bare) == set()
    os.kill(bare, signal.SIGKILL)
    os.waitpid(bare, 0)
    assert time.monotonic() - started < 1
