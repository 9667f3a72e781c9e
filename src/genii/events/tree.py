"""Directories under watch: what the kernel says about them, and what they looked like last.

Events only mark paths; the file system itself says what became of them. So a lost event, a burst, a directory that was
filled before its watch was set, and a queue that overflowed all end in the same true comparison.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from typing import TYPE_CHECKING

from genii.events.snapshot import Batch, Collector, Entry, compare
from genii.system.inotify import Inotify, Mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from genii.events.filter import PathFilter
    from genii.system.inotify import FileEvent

__all__ = ["Tree"]

_log = logging.getLogger("genii.watch")

_INSIDE = int(
    Mask.CREATE | Mask.MODIFY | Mask.CLOSE_WRITE | Mask.ATTRIB | Mask.DELETE | Mask.MOVED_FROM | Mask.MOVED_TO
    | Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.ONLYDIR | Mask.EXCL_UNLINK
)  # fmt: skip
_WAY = int(Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.ONLYDIR)
"""On the directories that lead to a watched path: only that they go away, so that they wake nobody for nothing."""
_NEAREST = _WAY | int(Mask.CREATE | Mask.MOVED_TO)
"""On the nearest directory there is above a path that is missing."""
# Plain numbers, since the arithmetic of IntFlag costs a microsecond each time.
_OVERFLOW = int(Mask.Q_OVERFLOW)
_GONE = int(Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.IGNORED | Mask.UNMOUNT)
_WRITTEN = int(Mask.MODIFY | Mask.CLOSE_WRITE)
_UNSETTLED = int(Mask.CREATE | Mask.MODIFY)
_ARRIVED = int(Mask.CREATE | Mask.MOVED_TO)
_ISDIR = int(Mask.ISDIR)
_PLAIN_FLAGS = 0xFFFF
_MOST_READS = 16


class Tree:
    """Watch files and directories, recursively; not for two threads at once.

    ``accepts`` gives the filter of each path.
    """

    def __init__(self, paths: Sequence[str], filters: Callable[[str], PathFilter], *, recursive: bool = True) -> None:
        self.roots = _outermost(paths)
        self._filters = {root: filters(root) for root in self.roots}
        self._recursive = recursive
        self._inotify = Inotify()
        self._directories: dict[int, set[str]] = {}
        """Watch -> the paths of the directory (more than one when symbolic links lead to it)."""
        self._watches: dict[str, int] = {}
        """The directories within the watched paths."""
        self._ways: dict[str, int] = {}
        """The directories that lead to the watched paths."""
        self._known: dict[str, Entry] = {}
        self._collector = Collector()
        self._departed: dict[int, str] = {}
        """Cookie -> path of what was moved away and has not arrived yet."""
        self._full_told = False
        self.overflowed = False

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        return self._inotify.fileno()

    def close(self) -> None:
        """Watch no more."""
        self._inotify.close()

    def missing(self) -> list[str]:
        """Return the watched paths that don't exist."""
        return [root for root in self.roots if root not in self._known]

    # ------------------------------------------------------------------ looking

    def scan(self) -> None:
        """Look at everything, and remember it.

        Raises:
            OSError: the kernel has no more watches to give; a note says what to change.
        """
        for root in self.roots:
            self._descend(root)
        self._watch_ways()
        self._known = {path: entry for path in self._collector.dirty if (entry := _look(path)) is not None}
        self._collector = Collector()

    def resynchronise(self) -> Batch:
        """Look at everything again with new watches, after the kernel has lost events, and tell the differences.

        The descriptor is another one afterwards.
        """
        self.overflowed = False
        self._inotify.close()
        self._inotify = Inotify()
        for names in (self._directories, self._watches, self._ways, self._departed):
            names.clear()
        self._collector = Collector(dirty=set(self._known), touched=self._collector.touched)
        for root in self.roots:
            self._descend(root)
        self._watch_ways()
        return Batch(self.flush().changes, resynchronised=True)

    def flush(self) -> Batch:
        """Look at what was marked and tell what changed."""
        collected, self._collector = self._collector, Collector()
        self._departed.clear()
        before: dict[str, Entry | None] = {}
        after: dict[str, Entry | None] = {}
        for path in collected.dirty:
            before[path] = self._known.get(path)
            after[path] = now = _look(path)
            if now is None:
                self._known.pop(path, None)
            else:
                self._known[path] = now
        return Batch(tuple(compare(before, after, touched=collected.touched, moves=collected.moves)))

    # ------------------------------------------------------------------ listening

    def read(self) -> tuple[bool, bool]:
        """Take the kernel's events; say whether anything was marked, and whether the last write seems to be over."""
        marked, settled = False, True
        for event in self._take():
            if event.mask & _OVERFLOW:
                self.overflowed = marked = True
            elif event.mask & _GONE:
                marked |= self._lose(event)
            else:
                if event.mask & _ARRIVED and event.watch in self._ways.values():
                    marked |= self._return()
                for directory in tuple(self._directories.get(event.watch, ())):
                    if self._mark(event, directory):
                        marked = True
                        settled = bool(event.mask & _ISDIR) or not event.mask & _UNSETTLED
        return marked, settled

    def _take(self) -> Iterator[FileEvent]:
        """Take what waits, but not for ever from a writer that never stops."""
        for _ in range(_MOST_READS):
            events = self._inotify.read()
            if not events:
                return
            yield from events

    def _mark(self, event: FileEvent, directory: str) -> bool:
        path = os.path.join(directory, event.name) if event.name else directory
        is_directory = bool(event.mask & _ISDIR)
        mask = event.mask & _PLAIN_FLAGS
        if (mask == Mask.ATTRIB and is_directory) or not self._accepts(path, is_directory):
            return False
        source = self._departed.pop(event.cookie, None) if mask == Mask.MOVED_TO else None
        if source is None:
            self._collector.mark(path, written=bool(mask & _WRITTEN))
        else:
            self._collector.move(source, path)
        if mask == Mask.MOVED_FROM:
            self._departed[event.cookie] = path
            if is_directory:
                self._forget_all(path)
        elif mask == Mask.DELETE and is_directory:
            self._unwatch(path)  # it was empty: what was in it has been told
        elif mask in (Mask.CREATE, Mask.MOVED_TO) and is_directory:
            self._descend(path)
        return True

    def _lose(self, event: FileEvent) -> bool:
        """Take note that a directory within, or on the way to, a watched path is not where it was."""
        lost = self._directories.pop(event.watch, set())
        for path in lost:
            self._watches.pop(path, None)
        lost |= {path for path, watch in self._ways.items() if watch == event.watch}
        for path in lost:
            self._ways.pop(path, None)
        if event.mask & Mask.MOVE_SELF and lost:
            self._inotify.remove(event.watch)
        roots = [root for root in self.roots if any(_is_within(root, path) for path in lost)]
        for root in roots:
            self._forget_all(root)
            self._descend(root)
        if roots:
            self._watch_ways()
        for path in lost if not roots else ():
            self._descend(path)
        return bool(lost)

    def _return(self) -> bool:
        """Look whether something came back, where a missing path may appear."""
        marked = False
        for root in self.roots:
            if root not in self._watches and os.path.lexists(root):
                self._descend(root)
                marked = True
        self._watch_ways()
        return marked

    # ------------------------------------------------------------------ watches

    def _watch_ways(self) -> None:
        """Watch what leads to the watched paths, and where those appear that are missing."""
        while True:
            missing = [root for root in self.roots if not os.path.lexists(root)]
            wanted: dict[str, int] = {}
            for root in self.roots:
                for path, mask in _way(root, missing=root in missing, file=root not in self._watches):
                    wanted[path] = wanted.get(path, 0) | mask
            for path in [path for path in self._ways if path not in wanted]:
                self._inotify.remove(self._ways.pop(path))
            for path, mask in wanted.items():
                self._watch_way(path, mask)
            returned = [root for root in missing if os.path.lexists(root)]
            if not returned:
                return
            for root in returned:  # between the look and the watch
                self._descend(root)

    def _watch_way(self, path: str, mask: int) -> None:
        try:
            watch = self._inotify.add(path, mask)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise _explained(error) from None
            return  # it went away, or is not ours to read
        self._ways[path] = watch
        if mask & Mask.MODIFY:
            self._directories.setdefault(watch, set()).add(path)

    def _descend(self, path: str) -> None:
        """Mark a path and all that is below, and watch its directories."""
        pending = [path]
        while pending:
            current = pending.pop()
            self._collector.dirty.add(current)
            if (current not in self.roots and not self._recursive) or not self._watch(current):
                continue
            try:
                with os.scandir(current) as entries:
                    for entry in entries:
                        directory = entry.is_dir(follow_symlinks=False)
                        if not self._accepts(entry.path, directory):
                            continue
                        if directory:
                            pending.append(entry.path)
                        else:
                            self._collector.dirty.add(entry.path)
            except OSError:
                continue  # gone again, or not ours to read

    def _watch(self, path: str) -> bool:
        """Watch a directory; say whether it is one."""
        flags = _INSIDE if path in self.roots else _INSIDE | int(Mask.DONT_FOLLOW)
        try:
            watch = self._inotify.add(path, flags)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                if not self._known:
                    raise _explained(error) from None
                self._tell_full(path)
            return False
        self._watches[path] = watch
        self._directories.setdefault(watch, set()).add(path)
        return True

    def _forget_all(self, path: str) -> None:
        """End all watches of a directory that is not there any more, and mark all that was in it."""
        below = path + "/"
        self._collector.dirty.update(known for known in self._known if known == path or known.startswith(below))
        for directory in [name for name in self._watches if name == path or name.startswith(below)]:
            self._unwatch(directory)

    def _unwatch(self, directory: str) -> None:
        watch = self._watches.pop(directory, None)
        if watch is None:
            return
        names = self._directories.get(watch, set())
        names.discard(directory)
        if not names:
            self._directories.pop(watch, None)
            self._inotify.remove(watch)

    def _accepts(self, path: str, directory: bool) -> bool:
        for root in self.roots:
            if path == root:
                return True
            if _is_within(path, root):
                return self._filters[root].accepts(path[len(root.rstrip("/")) + 1 :], directory=directory)
        return False

    def _tell_full(self, path: str) -> None:
        if not self._full_told:
            self._full_told = True
            _log.error("can't watch %s: no more inotify watches; raise the sysctl fs.inotify.max_user_watches", path)


def _look(path: str) -> Entry | None:
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    directory = stat.S_ISDIR(found.st_mode)
    return Entry(directory, found.st_ino, 0 if directory else found.st_size, 0 if directory else found.st_mtime_ns)


def _way(root: str, *, missing: bool, file: bool) -> list[tuple[str, int]]:
    """List the directories above a path with what to watch there."""
    way = []
    path = root
    while (parent := os.path.dirname(path)) != path:
        if missing and os.path.isdir(parent):
            way.append((parent, _NEAREST))
            missing = False
        elif file and not missing and path == root:
            way.append((parent, _INSIDE))
        else:
            way.append((parent, _WAY))
        path = parent
    return way


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _outermost(paths: Sequence[str]) -> list[str]:
    """Make paths absolute and leave out those that lie within another one."""
    absolute = dict.fromkeys(os.path.abspath(path) for path in paths)
    return [path for path in absolute if not any(path != other and _is_within(path, other) for other in absolute)]


def _explained(error: OSError) -> OSError:
    if error.errno == errno.ENOSPC:
        error.add_note("the user has no more inotify watches; raise the sysctl fs.inotify.max_user_watches")
    return error
