"""Files to and from real hosts, over each transport."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from genii.errors import CommandFailed, PeerError, UsageError
from genii.fleet.command import Command
from genii.fleet.manifest import Entry, differing, part_name, read_listing
from genii.fleet.transfer import Access, Get, Moved, Put, get, put
from genii.fleet.tree import scan
from genii.fleet.ways import open_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.fleet.conftest import Reached, Sshd

    from genii.fleet.transport import Connection

ACCESS = Access(Command(""))


def on(reached: Reached, work: Callable[[Connection], Awaitable[Moved]]) -> Moved:
    async def main() -> Moved:
        transport = open_transport(reached[0])
        try:
            connection = await transport.connect(reached[1])
            try:
                return await work(connection)
            finally:
                await connection.close()
        finally:
            await transport.close()

    return asyncio.run(main())


def send(reached: Reached, source: Path, destination: str, *, dry_run: bool = False) -> tuple[Moved, int]:
    sent: list[int] = []
    order = Put(str(source), scan(str(source)), destination, source.is_dir(), ACCESS, dry_run)
    return on(reached, lambda connection: put(connection, order, sent.append)), sum(sent)


def fetch(reached: Reached, source: str, folder: Path) -> Moved:
    return on(reached, lambda connection: get(connection, Get(source, str(folder), ACCESS)))


def tree_of(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        name = str(path.relative_to(folder))
        found[name] = (mode, os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "")
    return found


def make_tree(folder: Path) -> Path:
    folder.mkdir()
    (folder / "plain").write_text("plain\n")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o751)
    (folder / "a b").mkdir()
    (folder / "a b" / 'it\'s "quoted" $HOME').write_bytes(bytes(range(256)))
    (folder / "-dash").write_text("dash")
    (folder / "closed").mkdir(mode=0o700)
    (folder / "closed" / "secret").write_text("secret")
    (folder / "closed" / "secret").chmod(0o600)
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("plain")
    (folder / "large").write_bytes(os.urandom(300_000))
    return folder


def test_a_file_arrives_with_its_mode_and_is_not_sent_twice(reached: Reached, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"contents")
    source.chmod(0o640)
    target = tmp_path / "there" / "deep" / "target"
    assert send(reached, source, str(target)) == (Moved(1, 8, 0), 8)
    assert target.read_bytes() == b"contents"
    assert target.stat().st_mode & 0o7777 == 0o640
    assert send(reached, source, str(target)) == (Moved(0, 0, 1), 0)
    source.chmod(0o600)
    assert send(reached, source, str(target))[1] == 0  # only its mode differs
    assert target.stat().st_mode & 0o7777 == 0o600


def test_a_file_goes_into_a_directory_that_is_there(reached: Reached, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"contents")
    (tmp_path / "folder").mkdir()
    send(reached, source, str(tmp_path / "folder"))
    assert (tmp_path / "folder" / "source").read_bytes() == b"contents"


def test_a_tree_arrives_as_it_is(carried: Reached, tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), tmp_path / "target"
    moved, _ = send(carried, source, str(target))
    assert moved.files == 6
    assert tree_of(target) == tree_of(source)
    assert send(carried, source, str(target)) == (Moved(0, 0, 6), 0)


def test_only_what_differs_is_sent(reached: Reached, tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), tmp_path / "target"
    send(reached, source, str(target))
    (source / "plain").write_text("other\n")
    (target / "closed" / "secret").unlink()
    (target / "own").write_text("of the host")
    moved, sent = send(reached, source, str(target))
    assert (moved.files, moved.same) == (2, 4)
    assert sent < 20_000
    assert (target / "own").read_text() == "of the host"
    (target / "own").unlink()
    assert tree_of(target) == tree_of(source)


def test_a_dry_run_tells_and_changes_nothing(reached: Reached, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    assert send(reached, source, str(tmp_path / "target"), dry_run=True)[0].files == 6
    assert not (tmp_path / "target").exists()


def test_goes_on_where_it_was_cut_off(carried: Reached, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(1_000_000))
    (entry,) = scan(str(source))
    part = tmp_path / part_name("target", entry.digest)
    part.write_bytes(source.read_bytes()[:700_000])
    assert send(carried, source, str(target))[1] == 300_000
    assert target.read_bytes() == source.read_bytes()
    assert not part.exists()


def test_a_part_that_is_wrong_is_sent_anew(reached: Reached, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(1_000_000))
    (entry,) = scan(str(source))
    (tmp_path / part_name("target", entry.digest)).write_bytes(b"x" * 700_000)
    send(reached, source, str(target))
    assert target.read_bytes() == source.read_bytes()


def test_fetches_a_tree_with_its_modes_and_only_what_differs(carried: Reached, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    assert fetch(carried, str(source), tmp_path / "here").files == 6
    wanted = {name: seen for name, seen in tree_of(source).items() if name not in ("link", "empty")}
    found = tree_of(tmp_path / "here")
    assert {name: seen for name, seen in found.items() if (source / name).is_file()} == {
        name: seen for name, seen in wanted.items() if (source / name).is_file()
    }
    (tmp_path / "here" / "plain").write_text("changed")
    assert fetch(carried, str(source), tmp_path / "here") == Moved(1, 6, 5)


def test_fetching_goes_on_where_it_was_cut_off(reached: Reached, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(500_000))
    (entry,) = scan(str(source))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / part_name("source", entry.digest)).write_bytes(source.read_bytes()[:400_000])
    got: list[int] = []
    on(reached, lambda connection: get(connection, Get(str(source), str(tmp_path / "here"), ACCESS), got.append))
    assert sum(got) == 100_000
    assert (tmp_path / "here" / "source").read_bytes() == source.read_bytes()


def test_what_is_not_there_can_not_be_fetched(reached: Reached, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="nothing-here: no such file"):
        fetch(reached, str(tmp_path / "nothing-here"), tmp_path / "here")


def test_what_may_not_be_written_is_told(carried: Reached, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("x")
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(CommandFailed, match=r"(?i)file exists|not a directory"):
        send(carried, source, str(tmp_path / "file" / "target"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_left_as_it_was(sshd: Sshd, small_disk: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_000))
    (small_disk / "target").write_text("the old one")
    with pytest.raises(CommandFailed, match="No space left"):
        send((sshd.settings, sshd.host()), source, str(small_disk / "target"))
    assert [path.name for path in small_disk.iterdir()] == ["target"]
    assert (small_disk / "target").read_text() == "the old one"


def test_a_directory_in_place_of_a_file_is_refused() -> None:
    wanted, there = Entry("a", "f", digest="1"), Entry("a", "d")
    with pytest.raises(PeerError, match="a is a directory there and a file here"):
        differing([wanted], {"a": there})


def test_a_listing_of_another_kind_is_refused() -> None:
    with pytest.raises(PeerError, match="unknown way"):
        read_listing(b"total 12\n")


@pytest.mark.parametrize("path", ["/etc/passwd", "/srv/../etc/passwd", "/srv/a/../../b"])
def test_a_host_can_not_choose_where_files_go(path: str) -> None:
    from genii.fleet.transfer import _target

    with pytest.raises(PeerError, match="outside of what was asked for"):
        _target("/here", "/srv", path)


def test_what_is_no_file_is_not_sent(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="neither a file"):
        scan(str(tmp_path))
