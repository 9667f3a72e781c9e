from __future__ import annotations

import os
from typing import TYPE_CHECKING

from genii.events.filter import PathFilter
from genii.events.tree import Tree

if TYPE_CHECKING:
    from pathlib import Path

    from genii.events.snapshot import Batch


def told(batch: Batch, top: Path) -> set[tuple[str, str]]:
    return {(str(change.kind), os.path.relpath(change.path, top)) for change in batch}


def watch(*paths: Path) -> Tree:
    tree = Tree([str(path) for path in paths], lambda root: PathFilter())
    tree.scan()
    return tree


def test_a_tree_whose_events_were_lost_is_compared_with_what_was_known(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/old").write_text("x")
    (tmp_path / "same").write_text("x")
    tree = watch(tmp_path)
    (tmp_path / "d").rename(tmp_path / "n")
    (tmp_path / "n/new").write_text("x")
    tree.overflowed = True
    batch = tree.resynchronise()  # without reading one event
    assert batch.resynchronised
    assert told(batch, tmp_path) == {
        ("deleted", "d"), ("deleted", "d/old"), ("created", "n"), ("created", "n/old"), ("created", "n/new")
    }  # fmt: skip
    (tmp_path / "n/later").write_text("x")
    assert tree.read() == (True, True)
    assert told(tree.flush(), tmp_path) == {("created", "n/later")}
    tree.close()


def test_reading_without_events_marks_nothing(tmp_path: Path) -> None:
    tree = watch(tmp_path)
    assert tree.read() == (False, True)
    assert not tree.flush().changes
    tree.close()


def test_an_open_file_is_not_settled(tmp_path: Path) -> None:
    tree = watch(tmp_path)
    with (tmp_path / "a").open("w"):
        assert tree.read() == (True, False)
    assert tree.read() == (True, True)
    tree.close()


def test_what_happens_beside_the_watched_path_wakes_nobody(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    tree = watch(top)
    (tmp_path / "beside").write_text("x")
    assert tree._inotify.read() == []
    top.rmdir()
    assert tree.read()[0]
    top.mkdir()
    assert tree.read()[0]
    tree.flush()
    (tmp_path / "beside too").write_text("x")
    assert tree._inotify.read() == []
    tree.close()


def test_paths_within_each_other_are_watched_once(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    tree = watch(tmp_path / "d", tmp_path, tmp_path)
    assert tree.roots == [str(tmp_path)]
    (tmp_path / "d/a").write_text("x")
    tree.read()
    assert told(tree.flush(), tmp_path) == {("created", "d/a")}
    tree.close()


def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "far").mkdir()
    (tmp_path / "top/link").symlink_to(tmp_path / "far")
    (tmp_path / "top/loop").symlink_to(tmp_path / "top")
    tree = watch(tmp_path / "top")
    (tmp_path / "far/a").write_text("x")
    assert tree.read() == (False, True)
    tree.close()


def test_a_link_as_watched_path_is_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    tree = watch(tmp_path / "link")
    (tmp_path / "far/a").write_text("x")
    tree.read()
    assert told(tree.flush(), tmp_path / "link") == {("created", "a")}
    tree.close()


def test_names_that_are_not_utf8_are_carried_through(tmp_path: Path) -> None:
    tree = watch(tmp_path)
    name = os.fsencode(tmp_path) + b"/\xff\xfe\n"
    with open(name, "wb"):
        pass
    tree.read()
    (change,) = tree.flush()
    assert os.fsencode(change.path) == name
    tree.close()
