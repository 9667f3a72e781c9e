"""``genii put`` and ``genii get`` as users run them, on a real sshd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fleet.command_line import genii, write_configuration

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fleet.conftest import Sshd

pytestmark = pytest.mark.timeout(300)  # on a busy machine each command line takes its seconds


@pytest.fixture
def web(sshd: Sshd, tmp_path: Path) -> Path:
    """A folder whose genii.toml has a group ``web`` of two hosts; they share this file system."""
    write_configuration(tmp_path, sshd, 2)
    return tmp_path


def test_each_host_has_a_place_of_its_own_here_and_there(web: Path) -> None:
    (web / "file").write_text("contents")
    sent = genii(web, "put", "--on", "web", "file", f"{web}/there/{{host}}")
    assert (sent.status, sorted(sent.out.splitlines())) == (
        0, ["127.7.0.1: moved 1 file (8B)", "127.7.0.2: moved 1 file (8B)"],
    )  # fmt: skip
    again = genii(web, "put", "--on", "web", "--json", "file", f"{web}/there/{{host}}")
    assert [(row["files"], row["same"]) for row in again.rows] == [(0, 1), (0, 1)]
    got = genii(web, "get", "--on", "web", f"{web}/there/{{host}}", "here")
    assert got.status == 0, got.err
    assert (web / "here" / "127.7.0.2" / "127.7.0.2").read_text() == "contents"


def test_what_fails_on_one_host_is_told_and_the_others_go_on(web: Path) -> None:
    (web / "file").write_text("contents")
    (web / "127.7.0.1").write_text("not a directory")
    ended = genii(web, "put", "--on", "web,nowhere.invalid", "file", f"{web}/{{host}}/file")
    assert ended.status == 1
    assert ended.out == "127.7.0.2: moved 1 file (8B)\n"
    assert "nowhere.invalid: the name 'nowhere.invalid' does not resolve" in ended.err
    assert "127.7.0.1: " in ended.err
    assert "1 of 3 hosts ok" in ended.err


def test_nothing_is_begun_without_the_file(web: Path) -> None:
    ended = genii(web, "put", "--on", "web", "none", "there")
    assert (ended.status, ended.err) == (2, "genii: none: No such file or directory\n")
