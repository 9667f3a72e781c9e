"""Root is not led elsewhere by those who own a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from genii.system.trusted import open_trusted

if TYPE_CHECKING:
    from pathlib import Path

OTHER = 12345
WRITE = os.O_WRONLY | os.O_CREAT | os.O_APPEND
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led astray")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of somebody else, with a file of root beside it."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", OTHER, OTHER)
    return tmp_path / "theirs"


def link(path: Path, target: str, owner: int) -> None:
    path.symlink_to(target)
    os.chown(path, owner, owner, follow_symlinks=False)


def write(path: Path) -> None:
    descriptor = open_trusted(str(path), WRITE)
    try:
        os.write(descriptor, b"more")
    finally:
        os.close(descriptor)


SWAP = """
import os, sys
os.chdir(sys.argv[1])
os.setuid(int(sys.argv[2]))
os.write(1, b"go")
while True:
    os.symlink("../secret", "new")
    os.rename("new", "log")
    open("new", "w").close()
    os.rename("new", "log")
"""


@as_root
def test_is_not_led_astray_by_one_who_is_quick(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SWAP, folder, str(OTHER)], stdout=subprocess.PIPE
    ) as swapper:
        assert swapper.stdout
        assert swapper.stdout.read(2) == b"go"
        written = refused = 0
        while not (written > 100 and refused > 100):
            try:
                write(folder / "log")
                written += 1
            except OSError:
                refused += 1
        swapper.kill()
    assert (folder.parent / "secret").read_text() == "secret"


@as_root
def test_does_not_follow_the_link_of_another(folder: Path) -> None:
    link(folder / "log", "../secret", OTHER)
    with pytest.raises(PermissionError, match=f"link of user {OTHER}"):
        write(folder / "log")
    assert (folder.parent / "secret").read_text() == "secret"


@as_root
def test_does_not_follow_the_folder_of_another(folder: Path) -> None:
    link(folder / "logs", "../secrets", OTHER)
    with pytest.raises(PermissionError, match=f"link of user {OTHER}"):
        write(folder / "logs" / "log")
    assert list((folder.parent / "secrets").iterdir()) == []


@as_root
def test_follows_its_own_links(folder: Path) -> None:
    link(folder / "logs", "../secrets", 0)
    link(folder.parent / "secrets" / "log", "../secret", 0)
    write(folder / "logs" / "log")
    assert (folder.parent / "secret").read_text() == "secretmore"
    link(folder / "absolute", str(folder.parent / "secrets"), 0)
    write(folder / "absolute" / "new")
    assert (folder.parent / "secrets" / "new").read_text() == "more"


@as_root
def test_gives_up_in_a_circle(folder: Path) -> None:
    link(folder / "one", "two", 0)
    link(folder / "two", "one", 0)
    with pytest.raises(OSError, match="symbolic links"):
        write(folder / "one")


def test_opens_plain_files_and_devices(tmp_path: Path) -> None:
    write(tmp_path / "log")
    write(tmp_path / "log")
    assert (tmp_path / "log").read_text() == "moremore"
    os.close(open_trusted("/dev/null", os.O_WRONLY))
    with pytest.raises(FileNotFoundError):
        open_trusted(str(tmp_path / "none" / "log"), WRITE)
