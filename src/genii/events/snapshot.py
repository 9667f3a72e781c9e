"""What changed in a tree of files: two snapshots compared, paths filtered, bursts awaited. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

__all__ = ["Batch", "Change", "Collector", "Debounce", "Entry", "Kind", "compare"]

_UNSETTLED = 0.05
"""Seconds to wait for the end of a write: a file that is open for writing usually tells its close before."""


class Kind(StrEnum):
    """What happened to a file or directory."""

    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"
    MOVED = "moved"


class Entry(NamedTuple):
    """What is remembered of one file or directory."""

    directory: bool
    inode: int
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Change:
    """One change; ``source`` is the earlier path of what was moved."""

    kind: Kind
    path: str
    directory: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """The changes of one burst, in the order of their paths."""

    changes: tuple[Change, ...]
    resynchronised: bool = False
    """Whether the kernel lost events, so that the changes come from comparing the tree with what was known of it."""

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)


@dataclass(slots=True)
class Collector:
    """Gather what may have changed, until somebody looks at it."""

    dirty: set[str] = field(default_factory=set)
    """Paths to look at."""
    touched: set[str] = field(default_factory=set)
    """Those of them that were written to, whatever their time stamps say."""
    moves: dict[str, str] = field(default_factory=dict)
    """New path -> the path before the first move."""

    def mark(self, path: str, *, written: bool = False) -> None:
        """Note that something happened to a path."""
        self.dirty.add(path)
        if written:
            self.touched.add(path)

    def move(self, source: str, path: str) -> None:
        """Note that ``source`` became ``path``."""
        self.dirty.update((source, path))
        self.moves[path] = self.moves.pop(source, source)
        if source in self.touched:
            self.touched.add(path)


def compare(
    before: Mapping[str, Entry | None],
    after: Mapping[str, Entry | None],
    *,
    touched: Container[str] = (),
    moves: Mapping[str, str] | None = None,
) -> list[Change]:
    """Tell the changes between two snapshots; a path that is absent or None does not exist.

    What came and went between them is no change; a file that was replaced by another one (as editors do, that write
    beside and rename) is modified. A directory that was moved is one change, not one for each file in it.
    """
    changes: dict[str, Change] = {}
    for path in sorted(before.keys() | after.keys()):
        change = _change(path, before.get(path), after.get(path), path in touched)
        if change is not None:
            changes[path] = change
    for path, source in (moves or {}).items():
        _join_move(changes, before, after, source, path)
    return [change for _, change in sorted(changes.items())]


def _change(path: str, old: Entry | None, new: Entry | None, touched: bool) -> Change | None:
    if old is None:
        return None if new is None else Change(Kind.CREATED, path, new.directory)
    if new is None:
        return Change(Kind.DELETED, path, old.directory)
    if old.directory and new.directory:
        return None
    return Change(Kind.MODIFIED, path, new.directory) if touched or old != new else None


def _join_move(
    changes: dict[str, Change],
    before: Mapping[str, Entry | None],
    after: Mapping[str, Entry | None],
    source: str,
    path: str,
) -> None:
    """Make one move of a deletion and a creation (or an overwriting), with all that lies below."""
    gone, arrived = changes.get(source), after.get(path)
    if gone is None or gone.kind is not Kind.DELETED or arrived is None or gone.directory != arrived.directory:
        return
    del changes[source]
    changes[path] = Change(Kind.MOVED, path, arrived.directory, source)
    if not arrived.directory:
        return
    for old_path in [known for known in changes if known.startswith(source + "/")]:
        new_path = path + old_path[len(source) :]
        old, new = before.get(old_path), after.get(new_path)
        if changes[old_path].kind is not Kind.DELETED or old is None or new is None or old.inode != new.inode:
            continue
        del changes[old_path]
        if old == new or new.directory:
            changes.pop(new_path, None)
        else:
            changes[new_path] = Change(Kind.MODIFIED, new_path)


class Debounce:
    """Tell when a burst is over: ``quiet`` seconds after its last event, ``longest`` seconds after its first at most.

    An event that opens a write (``settled=False``) waits a moment longer for the close, so that a file is not
    reported half written when that can be helped.
    """

    def __init__(self, quiet: float = 0.0, longest: float = 0.0) -> None:
        if not 0 <= quiet < math.inf:
            raise ValueError("debounce is a number of seconds and can't be negative")
        self.quiet = quiet
        self.longest = longest or max(10 * quiet, 10 * _UNSETTLED)
        self._first = math.inf
        self.deadline = math.inf
        """When to look; infinity while nothing happens."""

    @property
    def pending(self) -> bool:
        """Say whether something happened that nobody looked at yet."""
        return self.deadline < math.inf

    def mark(self, now: float, *, settled: bool) -> None:
        """Note an event at ``now``."""
        self._first = min(self._first, now)
        wait = self.quiet if settled else max(self.quiet, _UNSETTLED)
        self.deadline = min(now + wait, self._first + self.longest)

    def clear(self) -> None:
        """Begin anew."""
        self._first = self.deadline = math.inf
