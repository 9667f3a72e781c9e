"""Wanted states for real, on this machine: files, lines, templates, checkouts, and services of a genii."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from genii.errors import CheckFailed, ConfigError, UsageError
from genii.fleet.local import LocalTransport
from genii.fleet.remote import LARGEST_OUTPUT, RemoteFailed, Settings
from genii.fleet.state.plan import StateError
from genii.fleet.transport import Host
from genii.fleet.verbs import AsyncRemote

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from genii.fleet.task_result import TaskResult

T = TypeVar("T")


def here(work: Callable[[AsyncRemote], Awaitable[T]], **settings: Any) -> T:
    async def run() -> T:
        connection = await LocalTransport().connect(Host("here", variables={"port": 8080}))
        try:
            return await work(AsyncRemote(connection, Settings(**settings)))
        finally:
            await connection.close()

    return asyncio.run(run())


def twice(work: Callable[[AsyncRemote], Awaitable[TaskResult]]) -> tuple[TaskResult, TaskResult]:
    """Ask for the same thing twice, on two connections."""
    return here(work), here(work)


def test_a_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "it's a file"
    first, second = twice(lambda host: host.file(str(path), content="a\n", mode=0o640))
    assert (first.changed, second.changed) == (True, False)
    assert first.difference == f"--- /dev/null\n+++ {path}\n@@ -0,0 +1 @@\n+a\n"
    assert path.read_text() == "a\n"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_a_file_had_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old\n")
    path.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
    here(lambda host: host.file(str(path), content="new\n", backup=True))
    assert (path.read_text(), path.stat().st_mode & 0o7777) == ("new\n", 0o604)
    assert (tmp_path / "file.bak").read_text() == "old\n"
    if os.geteuid() == 0:
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    here(lambda host: host.file(f"{tmp_path}/file", content="x"))
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o666 & ~mask


def test_binary_content_from_a_file_here(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 5000)
    first, second = twice(lambda host: host.file(f"{tmp_path}/copy", source=source))
    assert (first.changed, second.changed) == (True, False)
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


def test_directories_and_links(tmp_path: Path) -> None:
    def wanted(name: str, **how: Any) -> tuple[bool, bool]:
        first, second = twice(lambda host: host.file(f"{tmp_path}/{name}", **how))
        return first.changed, second.changed

    assert wanted("folder", state="directory", mode=0o700) == (True, False)
    assert wanted("link", state="link", target="folder") == (True, False)
    assert (tmp_path / "link").resolve() == tmp_path / "folder"
    assert wanted("link", state="link", target="empty") == (True, False)
    assert os.readlink(tmp_path / "link") == "empty"
    assert wanted("empty", state="touch") == (True, False)
    for name in ("folder", "link", "empty"):
        assert wanted(name, state="absent") == (True, False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", ["grep -q good {path}", "grep -q good TARGET || {{ echo TARGET:1: bad; false; }}"])
@pytest.mark.parametrize("existed", [True, False])
def test_a_file_that_fails_its_check_does_not_stay(tmp_path: Path, check: str, existed: bool) -> None:
    path = tmp_path / "site.conf"
    check = check.replace("TARGET", str(path)).replace("{{", "{").replace("}}", "}")
    if existed:
        path.write_text("good old\n")
    with pytest.raises(CheckFailed, match="its check failed"):
        here(lambda host: host.file(str(path), content="bad new\n", check=check))
    assert path.exists() == existed
    assert not existed or path.read_text() == "good old\n"
    assert here(lambda host: host.file(str(path), content="good new\n", check=check)).changed
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("site.conf", "good new\n")]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "genii", disk], timeout=30).returncode:
        pytest.skip("no mounts here")
    try:
        path = disk / "file"
        path.write_text("old\n")
        with pytest.raises(RemoteFailed, match="No space left on device"):
            here(lambda host: host.file(str(path), content="x" * 200_000))
        assert [(one.name, one.read_text()) for one in disk.iterdir()] == [("file", "old\n")]
    finally:
        subprocess.run(["umount", disk], check=True, timeout=30)


def test_a_file_that_is_too_large_to_compare_is_told(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(LARGEST_OUTPUT + 1)
    with pytest.raises(StateError, match="bring it with put"):
        here(lambda host: host.file(str(path), content="x"))
    assert path.stat().st_size == LARGEST_OUTPUT + 1


def test_a_folder_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RemoteFailed, match="No such file or directory"):
        here(lambda host: host.file(f"{tmp_path}/no/file", content="x"))


def test_a_dry_run_shows_the_difference_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old\n")
    result = here(lambda host: host.file(str(path), content="new\n", mode=0o600), dry_run=True)
    assert result.planned
    assert result.changed
    assert "-old\n+new\n" in result.difference
    assert "+ mode of" in result.difference
    assert path.read_text() == "old\n"


def test_trees_go_there_and_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    (source / "bin" / "run").write_text("#!/bin/sh\n")
    (source / "bin" / "run").chmod(0o755)
    (source / "data").write_bytes(bytes(600_000))
    first, second = twice(lambda host: host.put(source, f"{tmp_path}/there"))
    assert (first.changed, second.changed) == (True, False)
    assert "+ 2 files" in first.difference
    assert (tmp_path / "there" / "bin" / "run").stat().st_mode & 0o777 == 0o755
    first, second = twice(lambda host: host.get(f"{tmp_path}/there", tmp_path / "back"))
    assert (first.changed, second.changed) == (True, False)
    assert (tmp_path / "back" / "data").read_bytes() == bytes(600_000)
    dry = here(lambda host: host.put(source / "data", f"{tmp_path}/other"), dry_run=True)
    assert dry.changed
    assert not (tmp_path / "other").exists()


def test_a_line_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    first, second = twice(lambda host: host.line(str(path), "a = 1"))
    assert (first.changed, second.changed) == (True, False)
    here(lambda host: host.line(str(path), "a = 2", matching="^a"))
    assert path.read_text() == "a = 2\n"
    first, second = twice(lambda host: host.line(str(path), matching="^a", state="absent"))
    assert (first.changed, second.changed) == (True, False)
    assert path.read_text() == ""
    assert not here(lambda host: host.line(f"{tmp_path}/none", "x", state="absent")).changed


def test_a_template_knows_the_host(tmp_path: Path) -> None:
    (tmp_path / "site.j2").write_text("listen {{ port }} on {{ host }} # {{ system.kernel }} {{ note }}\n")
    path = tmp_path / "site.conf"
    first, second = twice(lambda host: host.template(str(path), source=tmp_path / "site.j2", variables={"note": "<&>"}))
    assert (first.changed, second.changed) == (True, False)
    assert path.read_text() == "listen 8080 on here # Linux <&>\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one\n{{ prot }}\n", r"site\.j2:2:1: 'prot' is undefined"),
        ("one\n\n{% if %}\n", r"site\.j2:3:1: Expected an expression"),
    ],
)
def test_what_is_wrong_with_a_template_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "site.j2").write_text(text)
    with pytest.raises(ConfigError, match=message):
        here(lambda host: host.template("/never", source=tmp_path / "site.j2"))


def test_a_template_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no template .*/none\.j2"):
        here(lambda host: host.template("/never", source=tmp_path / "none.j2"))


def git(folder: Path, *words: str) -> str:
    words = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main", *words)
    return subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits; the first has an annotated tag, and there is a branch whose name ends like another."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "file").write_text("one\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "-a", "v1", "-m", "one")
    git(folder, "branch", "old/main")
    (folder / "file").write_text("two\n")
    git(folder, "commit", "-q", "-a", "-m", "two")
    return folder


async def _checkout(repository: Path, path: Path, revision: str, host: AsyncRemote) -> TaskResult:
    return await host.git(str(repository), str(path), revision=revision)


def test_a_checkout_follows_a_branch_a_tag_and_a_commit(tmp_path: Path, repository: Path) -> None:
    path = tmp_path / "copy"
    first = git(repository, "rev-list", "--max-parents=0", "HEAD").strip()
    for revision, content in (
        ("main", "two\n"),
        ("v1", "one\n"),
        ("HEAD", "two\n"),
        (first, "one\n"),
        ("main", "two\n"),
    ):
        made, again = twice(partial(_checkout, repository, path, revision))
        assert (revision, made.changed, again.changed) == (revision, True, False)
        assert (path / "file").read_text() == content


def test_a_checkout_that_was_changed_by_hand_is_left_alone(tmp_path: Path, repository: Path) -> None:
    path = tmp_path / "copy"
    here(lambda host: host.git(str(repository), str(path), revision="main"))
    (path / "file").write_text("mine\n")
    with pytest.raises(StateError, match="changed by hand"):
        here(lambda host: host.git(str(repository), str(path), revision="v1"))
    assert (path / "file").read_text() == "mine\n"
    assert here(lambda host: host.git(str(repository), str(path), revision="main", force=True)).changed
    assert (path / "file").read_text() == "two\n"


def test_a_repository_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="the host can't read /no/such"):
        here(lambda host: host.git("/no/such", f"{tmp_path}/copy"))


def test_a_service_that_is_not_there_is_told() -> None:
    with pytest.raises(StateError, match="sysv knows no service 'genii-no-such-thing'"):
        here(lambda host: host.service("genii-no-such-thing", running=True, manager="sysv"))


def test_the_system_is_known() -> None:
    system = here(lambda host: host.system())
    assert system.kernel == "Linux"
    assert system.uid == os.geteuid()
    assert system.machine == os.uname().machine


@pytest.mark.slow
def test_a_program_of_a_genii_is_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "genii.toml").write_text('[program.web]\ncommand = "sleep 600"\nstartsecs = 0\n')
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")
    config = str(tmp_path / "genii.toml")
    genii = [sys.executable, "-m", "genii", "-c", config]
    subprocess.run([*genii, "up", "-d"], check=True, timeout=50, capture_output=True)
    try:
        settings: dict[str, Any] = {"manager": "genii", "config": config}
        assert not here(lambda host: host.service("web", running=True, **settings)).changed
        assert here(lambda host: host.service("web", running=False, **settings)).changed
        assert not here(lambda host: host.service("web", running=False, **settings)).changed
        assert here(lambda host: host.service("web", running=True, **settings)).changed
        with pytest.raises(CheckFailed):
            here(lambda host: host.service("web", restart=True, check="echo no >&2; false", **settings))
        with pytest.raises(StateError, match="genii knows no service"):
            here(lambda host: host.service("wbe", running=True, **settings))
    finally:
        subprocess.run([*genii, "down"], check=True, timeout=50, capture_output=True)
