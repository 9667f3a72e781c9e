"""The job server passes its tests when its core is compiled, too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ("test_broker.py", "test_broker_fuzz.py", "test_journal.py", "test_server.py", "test_tls.py")


def run(*words: str, **environment: str) -> str:
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_compiled_core_passes_the_tests_of_the_pure_one(tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", f"{tmp_path}", ".", GENII_COMPILE="1")
    (wheel,) = tmp_path.glob("genii-*.whl")
    assert not wheel.name.endswith("-none-any.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    where = run(
        sys.executable, "-c", "import genii.gearman.broker as core; print(core.__file__)", PYTHONPATH=f"{installed}"
    )
    assert where.startswith(f"{installed}")
    assert where.strip().endswith(".so")
    tests = [f"tests/gearman/{name}" for name in TESTS]
    told = run(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests,
        PYTHONPATH=f"{installed}",
    )  # fmt: skip
    assert " passed" in told
