from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from genii.config import find as finding
from genii.config.find import find
from genii.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_finds_the_file_in_the_folder_or_above(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    file = tmp_path / "genii.toml"
    file.touch()
    assert find(str(deep), {}) == str(file)
    (deep / "genii.toml").touch()
    assert find(str(deep), {}) == str(deep / "genii.toml")
    assert find(str(deep), {"GENII_CONFIG": "/else/where.toml"}) == "/else/where.toml"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_does_not_use_the_file_of_a_stranger_above(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "genii.toml"
    file.touch()
    os.chown(file, 12345, 12345)
    with pytest.raises(UsageError, match="belongs to another user"):
        find(str(tmp_path / "a"), {})
    assert find(str(tmp_path), {}) == str(file)


def test_says_what_to_do_when_there_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "FILE_NAME", "no-such-name.toml")
    monkeypatch.setattr(finding, "SYSTEM_FILE", str(tmp_path / "system.toml"))
    with pytest.raises(UsageError, match="genii init"):
        find(str(tmp_path), {})
    (tmp_path / "system.toml").touch()
    assert find(str(tmp_path), {}) == str(tmp_path / "system.toml")
