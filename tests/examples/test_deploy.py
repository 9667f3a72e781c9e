"""examples/deploy, run as its reader would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.deploy.harness import need_git

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "deploy"


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for those of unix sockets (107 bytes, unix(7))."""
    with tempfile.TemporaryDirectory(prefix="genii-") as name:
        yield Path(name)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_bad_release_takes_itself_back(short_path: Path) -> None:
    need_git()
    folder = short_path / "deploy"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("run", ".genii"))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run(
        ["sh", "demo.sh"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=280,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    parts = dict(re.findall(r"== ([^\n]*?)\x1b\[0m\n(.*?)(?=\n\x1b|\Z)", ended.stdout, re.DOTALL))
    first, second, bad, back, record = list(parts.values())[1:6]
    assert len(re.findall(r"^(?:east|west): shop 1\.0 [0-9a-f]{40}$", first, re.MULTILINE)) == 2
    assert len(re.findall(r"^(?:east|west): shop 1\.1 [0-9a-f]{40}$", second, re.MULTILINE)) == 2
    assert re.search(r"^\d{14}: rolled back, not well after the switch$", bad, re.MULTILINE)
    assert re.search(r"^west: unchanged$", bad, re.MULTILINE)
    assert len(re.findall(r"^(?:east|west): shop 1\.1 [0-9a-f]{40}$", bad, re.MULTILINE)) == 2
    assert len(re.findall(r"^(?:east|west): shop 1\.0 [0-9a-f]{40}$", back, re.MULTILINE)) == 2
    assert re.findall(r"^(\d) +\S+ \S+ +(\w+)", record, re.MULTILINE) == [
        ("4", "rollback"), ("3", "deploy"), ("2", "deploy"), ("1", "deploy"),
    ]  # fmt: skip
