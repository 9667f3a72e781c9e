from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from genii.gearman.slot_folder import SlotFolder

if TYPE_CHECKING:
    from pathlib import Path

KILLED = """
import os
from genii.gearman.slot_folder import SlotFolder
SlotFolder()
os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def test_is_gone_with_its_manager(temporary: Path) -> None:
    folder = SlotFolder()
    assert [str(path) for path in temporary.iterdir()] == [folder.path]
    folder.remove()
    assert not list(temporary.iterdir())


def test_one_left_by_a_killed_manager_is_removed_by_the_next(temporary: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED], check=False, timeout=60, capture_output=True)
    assert len(list(temporary.iterdir())) == 1
    folder = SlotFolder()
    assert [str(path) for path in temporary.iterdir()] == [folder.path]


def test_those_of_living_managers_and_strangers_stay(temporary: Path) -> None:
    (temporary / "genii-slots-mine").mkdir()
    (temporary / "genii-slots-link").symlink_to("/")
    (temporary / "genii-slots-file").write_text("")
    first, second = SlotFolder(), SlotFolder()
    names = {path.name for path in temporary.iterdir()}
    assert {"genii-slots-mine", "genii-slots-link", "genii-slots-file"} < names
    assert len(names) == 5
    first.remove()
    second.remove()
