"""How long a command takes, as a multiple of an interpreter that does nothing, in the same run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from genii.testing.served import ServedTarget

pytestmark = pytest.mark.slow


def fastest(words: list[str], cwd: Path, rounds: int = 15) -> float:
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *words], cwd=cwd, env=environ, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begun)
    return min(times)


def test_help_and_status_start_in_a_few_times_an_empty_interpreter(served: ServedTarget, site: Path) -> None:
    nothing = fastest(["-c", "pass"], site)
    assert fastest(["-m", "genii", "--help"], site) < 5 * nothing
    assert fastest(["-m", "genii", "status"], site) < 7 * nothing
