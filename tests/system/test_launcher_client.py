from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from genii.system import launcher_client
from genii.system.launcher_client import find_born
from genii.system.procfs import command_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENVIRONMENT = {"GENII_PROCESS": "job:7", "WHO": "test_launcher_client"}
LAUNCHER = str(Path(launcher_client.__file__).with_name("launcher.py"))
WAIT = "import time; time.sleep(1000)"


def ticks() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


@pytest.fixture
def begin() -> Iterator[Callable[..., int]]:
    children = []

    def start(environment: dict[str, str], *words: str) -> int:
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", WAIT, *words], environment)
        children.append(pid)
        return pid

    yield start
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


def test_finds_the_child_that_a_dead_launcher_has_made(begin: Callable[..., int]) -> None:
    since = ticks()
    begin(ENVIRONMENT | {"GENII_PROCESS": "job:8"})
    born = begin(ENVIRONMENT | {"LISTEN_FDS": "1"})
    assert find_born(ENVIRONMENT, since) == born


def test_takes_no_older_child_for_it(begin: Callable[..., int]) -> None:
    begin(ENVIRONMENT)
    assert find_born(ENVIRONMENT, ticks() + 1) == 0


def test_ends_a_child_that_is_not_the_program_yet(begin: Callable[..., int]) -> None:
    since = ticks()
    copy = begin(ENVIRONMENT, LAUNCHER)
    wait_until(lambda: LAUNCHER in command_line(copy), "it to be like a copy")
    assert find_born(ENVIRONMENT, since) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(copy, 0)
