"""The real supervisor package in a virtual environment of its own, made once for all runs of the tests."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest
from tests.supervisord.conftest import daemon, folder

__all__ = ["daemon", "folder", "peer"]

PACKAGES = ("supervisor==4.3.0", "superlance==2.0.0", "setuptools<81")


@pytest.fixture(scope="session")
def peer(pytestconfig: pytest.Config) -> Path:
    """The folder of the real package's commands."""
    assert pytestconfig.cache is not None
    place = Path(pytestconfig.cache.mkdir("supervisor-4.3.0"))
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True, timeout=120)
            done = subprocess.run(
                [str(place / "venv/bin/pip"), "install", "-q", *PACKAGES], capture_output=True, text=True, timeout=300
            )
            if done.returncode:
                pytest.skip(f"the supervisor package can't be installed here: {done.stderr[-300:]}")
            (place / "ready").touch()
    return place / "venv/bin"
