from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.events.snapshot import Change, Collector, Debounce, Entry, Kind, compare

FILE = Entry(directory=False, inode=1, size=1, modified_ns=1)
LATER = FILE._replace(modified_ns=2)
OTHER = FILE._replace(inode=2)
DIRECTORY = Entry(directory=True, inode=9, size=0, modified_ns=0)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [(None, FILE, Kind.CREATED), (FILE, None, Kind.DELETED), (FILE, LATER, Kind.MODIFIED), (FILE, OTHER, Kind.MODIFIED),
     (FILE, DIRECTORY, Kind.MODIFIED), (DIRECTORY, FILE, Kind.MODIFIED)],
)  # fmt: skip
def test_one_path_makes_one_change(before: Entry | None, after: Entry | None, kind: Kind) -> None:
    directory = after.directory if after else False
    assert compare({"a": before}, {"a": after}) == [Change(kind, "a", directory)]


@pytest.mark.parametrize(("before", "after"), [(None, None), (FILE, FILE), (DIRECTORY, DIRECTORY)])
def test_what_is_as_it_was_is_no_change(before: Entry | None, after: Entry | None) -> None:
    assert compare({"a": before}, {"a": after}) == []


def test_a_touched_file_is_modified_whatever_its_stamps_say() -> None:
    assert compare({"a": FILE}, {"a": FILE}, touched={"a"}) == [Change(Kind.MODIFIED, "a")]


def test_a_move_onto_another_file_is_a_move() -> None:
    changes = compare({"a": FILE, "b": OTHER}, {"a": None, "b": FILE}, moves={"b": "a"})
    assert changes == [Change(Kind.MOVED, "b", source="a")]


def test_a_backup_by_renaming_is_a_modification_and_a_new_file() -> None:
    changes = compare({"a": FILE}, {"a": OTHER, "a~": FILE}, moves={"a~": "a"})
    assert changes == [Change(Kind.MODIFIED, "a"), Change(Kind.CREATED, "a~")]


def test_a_moved_directory_keeps_what_changed_in_it() -> None:
    before = {"d": DIRECTORY, "d/a": FILE, "d/b": OTHER, "d/c": FILE._replace(inode=3)}
    after = {"n": DIRECTORY, "n/a": LATER, "n/b": OTHER, "n/new": FILE._replace(inode=4)}
    assert compare(before, after, moves={"n": "d"}) == [
        Change(Kind.DELETED, "d/c"),
        Change(Kind.MOVED, "n", directory=True, source="d"),
        Change(Kind.MODIFIED, "n/a"),
        Change(Kind.CREATED, "n/new"),
    ]


def test_moves_in_a_row_lead_back_to_the_first_path() -> None:
    collector = Collector()
    collector.mark("a", written=True)
    collector.move("a", "b")
    collector.move("b", "c")
    assert collector.moves == {"c": "a"}
    assert collector.dirty == {"a", "b", "c"}
    assert "c" in collector.touched


entries = st.none() | st.builds(Entry, st.booleans(), st.integers(1, 3), st.integers(0, 1), st.integers(0, 1))
trees = st.dictionaries(st.sampled_from(["a", "b", "d", "d/a", "d/b", "n", "n/a", "n/b"]), entries)


@given(trees, trees, st.dictionaries(st.sampled_from(["a", "n"]), st.sampled_from(["b", "d"])))
def test_the_changes_lead_from_the_one_snapshot_to_the_other(
    before: dict[str, Entry | None], after: dict[str, Entry | None], moves: dict[str, str]
) -> None:
    known = {path for path, entry in before.items() if entry is not None}
    for change in sorted(compare(before, after, moves=moves), key=lambda change: change.kind is not Kind.MOVED):
        if change.kind is Kind.MOVED:
            below = {path for path in known if path.startswith(change.source + "/")}
            moved = {change.path + path[len(change.source) :] for path in below}
            stay = {
                path
                for path in below
                if path not in known or after.get(change.path + path[len(change.source) :]) is None
            }
            known -= {change.source, *(below - stay)}
            known |= {change.path, *(path for path in moved if after.get(path) is not None)}
        elif change.kind is Kind.DELETED:
            known.discard(change.path)
        else:
            known.add(change.path)
    assert known >= {path for path, entry in after.items() if entry is not None}


def test_a_burst_ends_after_some_quiet() -> None:
    debounce = Debounce(0.2)
    assert debounce.deadline == math.inf
    debounce.mark(10.0, settled=True)
    assert debounce.deadline == pytest.approx(10.2)
    debounce.mark(10.1, settled=True)
    assert debounce.deadline == pytest.approx(10.3)
    debounce.clear()
    assert not debounce.pending


def test_a_burst_without_end_is_cut() -> None:
    debounce = Debounce(0.2, longest=1.0)
    for tenth in range(100, 120):
        debounce.mark(tenth / 10, settled=True)
    assert debounce.deadline == pytest.approx(11.0)


def test_an_open_write_is_given_a_moment() -> None:
    debounce = Debounce()
    debounce.mark(10.0, settled=False)
    assert 10.0 < debounce.deadline < 10.2
    debounce.mark(10.01, settled=True)
    assert debounce.deadline == 10.01
