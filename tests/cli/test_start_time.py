"""What a command costs, as a multiple of an interpreter that does nothing, in the same run."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from genii.testing.served import ServedTarget

pytestmark = pytest.mark.slow


def least_work(words: list[str], cwd: Path, rounds: int = 10) -> float:
    """Seconds of processor time: how long it takes depends on who else is on the machine."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(rounds):
        process = subprocess.Popen([sys.executable, *words], cwd=cwd, env=environ, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        times.append(usage.ru_utime + usage.ru_stime)
    return min(times)


def test_help_and_status_start_in_a_few_times_an_empty_interpreter(served: ServedTarget, site: Path) -> None:
    nothing = least_work(["-c", "pass"], site)
    assert least_work(["-m", "genii", "--help"], site) < 3 * nothing
    assert least_work(["-m", "genii", "status"], site) < 3.5 * nothing
