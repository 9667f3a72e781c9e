from __future__ import annotations

import io
import os
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.deploy.harness import commit, git, make_repository

from genii.config.deploy import Origin
from genii.deploy.sources import Source
from genii.errors import GeniiError

if TYPE_CHECKING:
    from pathlib import Path

    from genii.deploy.sources import Fetched


def fetch(folder: Path, origin: Origin, branch: str = "") -> Fetched:
    return Source(origin, str(folder / "state"), branch).fetch()


def contents(fetched: Fetched) -> dict[str, tuple[str, int]]:
    """Return kind and mode of what a release has; of links, where they lead."""
    assert fetched.package is not None
    return {
        path: (item.digest if item.kind == "l" else item.kind, item.mode)
        for path, item in fetched.package.items.items()
    }


def test_a_directory_without_what_is_excluded(tmp_path: Path) -> None:
    root = tmp_path / "dist"
    for path in ("a/b.txt", "a/.git/config", "a/x.pyc", "run.sh", "deep/node_modules/x"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / "run.sh").chmod(0o700)
    (root / "link").symlink_to("a/b.txt")
    os.mkfifo(root / "pipe")
    found = fetch(tmp_path, Origin("directory", str(root), exclude=(".git", "*.pyc", "deep/node_modules")))
    assert contents(found) == {
        "a": ("d", 0o755), "a/b.txt": ("f", 0o644), "run.sh": ("f", 0o755), "link": ("a/b.txt", 0o777),
        "deep": ("d", 0o755),
    }  # fmt: skip
    again = fetch(tmp_path, Origin("directory", str(root), exclude=(".git", "*.pyc", "deep/node_modules")))
    assert again.revision == found.revision
    assert len(found.revision) == 40


def test_archives_lose_their_leading_directory(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for name, data in (("shop-1.0/VERSION", b"1"), ("shop-1.0/bin/run", b"x")):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o700 if name.endswith("run") else 0o600
            tar.addfile(info, io.BytesIO(data))
        second = tarfile.TarInfo("shop-1.0/same")
        second.type, second.linkname = tarfile.LNKTYPE, "shop-1.0/VERSION"
        tar.addfile(second)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("shop-1.0/VERSION", "1")
        archive.writestr("shop-1.0/same", "1")
        run = zipfile.ZipInfo("shop-1.0/bin/run")
        run.external_attr = 0o100755 << 16
        archive.writestr(run, "x")
    tar_found = fetch(tmp_path, Origin("archive", str(tmp_path / "a.tar.gz"), strip=1))
    zip_found = fetch(tmp_path, Origin("archive", str(tmp_path / "a.zip"), strip=1))
    assert contents(tar_found) == {"VERSION": ("f", 0o644), "bin/run": ("f", 0o755), "same": ("f", 0o644)}
    assert tar_found.revision == zip_found.revision


def test_a_wheel_is_found_by_its_pattern(tmp_path: Path) -> None:
    with pytest.raises(GeniiError, match=r"no wheel .*dist/\*\.whl is there"):
        fetch(tmp_path, Origin("wheel", str(tmp_path / "dist/*.whl")))
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/shop-1.0-py3-none-any.whl").write_bytes(b"x")
    assert list(contents(fetch(tmp_path, Origin("wheel", str(tmp_path / "dist/*.whl"))))) == [
        "shop-1.0-py3-none-any.whl"
    ]
    (tmp_path / "dist/shop-1.1-py3-none-any.whl").write_bytes(b"y")
    with pytest.raises(GeniiError, match=r"2 wheels .* match: shop-1\.0.*shop-1\.1.*; remove the old ones"):
        fetch(tmp_path, Origin("wheel", str(tmp_path / "dist/*.whl")))


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("directory", "none", "there is no directory"),
        ("archive", "none.tar", "can't be read"),
        ("archive", "garbage.tar", "can't be read"),
        ("archive", "garbage.zip", "can't be read"),
    ],
)
def test_what_is_not_there_or_broken_is_told(tmp_path: Path, kind: str, name: str, said: str) -> None:
    for broken in ("garbage.tar", "garbage.zip"):
        (tmp_path / broken).write_bytes(b"garbage" * 500)
    with pytest.raises(GeniiError, match=said):
        fetch(tmp_path, Origin(kind, str(tmp_path / name)))


def test_an_archive_that_leads_outside_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("../../etc/passwd"))
    with pytest.raises(GeniiError, match="leads outside"):
        fetch(tmp_path, Origin("archive", str(tmp_path / "a.tar")))


def test_tags_commits_and_branches_of_a_repository(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository")
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "v1.0")
    second = commit(repository, "v2")
    git(repository, "branch", "feature/x")
    origin = Origin("git", str(repository))
    assert (fetch(tmp_path, origin).revision, fetch(tmp_path, origin).branch) == (second, "main")
    assert fetch(tmp_path, origin, "v1.0").revision == first
    assert fetch(tmp_path, origin, first[:10]).revision == first
    assert fetch(tmp_path, origin, "feature/x").revision == second
    assert fetch(tmp_path, Origin("git", str(repository), on_host=True), "feature/x").revision == second
    with pytest.raises(GeniiError, match=r"no branch, tag or commit 'v9'.*there are: |did you mean 'v1\.0'"):
        fetch(tmp_path, Origin("git", str(repository), on_host=True), "v9")


def test_a_directory_that_is_no_repository_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(GeniiError, match="is no git repository"):
        fetch(tmp_path, Origin("git", str(tmp_path / "empty")))


def test_export_attributes_are_kept(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository")
    (repository / ".gitattributes").write_text("VERSION export-ignore\n")
    commit(repository, "v2")
    assert "VERSION" not in contents(fetch(tmp_path, Origin("git", str(repository))))


def test_a_fetch_that_hangs_can_be_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ext")
    os.mkfifo(tmp_path / "began")
    remote = tmp_path / "remote"
    remote.write_text(f"#!/bin/sh\necho >{tmp_path}/began\ncat >/dev/null\n")  # until nobody asks any more
    remote.chmod(0o700)
    source = Source(Origin("git", f"ext::{remote}"), str(tmp_path / "state"), "main")
    with ThreadPoolExecutor() as threads:
        fetching = threads.submit(source.fetch)
        (tmp_path / "began").read_text()
        source.stop()
        with pytest.raises(GeniiError, match="git can't fetch"):
            fetching.result(timeout=40)


def test_what_git_says_is_told_without_its_advice(tmp_path: Path) -> None:
    with pytest.raises(GeniiError) as error:
        fetch(tmp_path, Origin("git", f"file://{tmp_path}/nowhere"), "main")
    assert str(error.value).endswith(
        "fatal: '" + str(tmp_path / "nowhere") + "' does not appear to be a git repository"
    )
