from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from genii.system.process import open_living, open_process
from genii.system.procfs import start_time

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def child() -> Iterator[int]:
    """A process that ends when its standard input is closed, and waits to be reaped then."""
    ours, theirs = os.pipe()
    pid = os.posix_spawn(
        sys.executable, [sys.executable, "-c", "import os; os.read(0, 1)"], os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, ours, 0), (os.POSIX_SPAWN_CLOSE, theirs)],
    )  # fmt: skip
    os.close(ours)
    try:
        yield pid
    finally:
        os.close(theirs)
        os.waitpid(pid, 0)


def test_opens_a_process_by_pid_and_start_time(child: int) -> None:
    os.close(open_living(child, start_time(child)))
    os.close(open_process(child, start_time(child)))
    for open_it in (open_living, open_process):
        with pytest.raises(ProcessLookupError):
            open_it(child, start_time(child) + 1)


def test_a_zombie_is_no_living_process() -> None:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        os.close(open_process(pid, start_time(pid)))
        with pytest.raises(ProcessLookupError):
            open_living(pid, start_time(pid))
    finally:
        os.waitpid(pid, 0)
