"""The command line as a process of its own: what becomes of its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("more", "code"), [("", 0), ("wrong = 1\n", 2)])
def test_a_reader_who_has_seen_enough_changes_no_exit_code(tmp_path: Path, more: str, code: int) -> None:
    (tmp_path / "genii.toml").write_text(f'[program.web]\ncommand = "true"\n{more}')
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        words = [sys.executable, "-m", "genii", "check", "--json"]
        done = subprocess.run(
            words, cwd=tmp_path, stdout=pipe, stderr=subprocess.PIPE, check=False, timeout=60,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, b"")
