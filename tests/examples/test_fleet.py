"""examples/fleet, run on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples" / "fleet"


def genii(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genii", *words], cwd=FOLDER, capture_output=True, text=True, timeout=50
    )


def test_the_tasks_are_listed() -> None:
    listed = genii("-T")
    assert listed.returncode == 0
    assert "staging then web" in listed.stdout
    assert "Get the uptime of all servers" in listed.stdout


def test_uptime_and_report_run_here() -> None:
    assert "load average" in genii("task", "uptime", "--local").stdout
    reported = genii("task", "report", "--path", "/", "--local", "--limit", "0")
    assert "% used" in reported.stdout


def test_a_dry_run_changes_nothing() -> None:
    dry = genii("task", "remove-redis", "--local", "--dry-run")
    assert dry.returncode == 0, dry.stderr
