"""Watch files for changes, without a thread and without a wake-up while nothing happens (inotify(7))."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Literal, Self

from genii.events.filter import PathFilter, read_gitignore
from genii.events.snapshot import Batch, Debounce
from genii.events.tree import Tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from types import TracebackType

__all__ = ["Watcher"]


class Watcher:
    """Tell what changes below some paths, in batches; for use within a running asyncio loop.

    ``async for batch in watcher`` begins to watch and ends it when the loop is left; ``start``, ``wait_batch`` and
    ``close`` are the same in pieces. Batches that nobody takes are joined to one.

    Args:
        paths: files and directories; those are watched with all that is below them.
        ignore: patterns of what not to look at (see ``genii.events.filter``).
        only: patterns of the files to report; none: all.
        gitignore: whether to leave out what the ``.gitignore`` at the top of a watched directory names, and ``.git``.
        debounce: seconds of quiet that end a batch. With 0 a batch is ended by a close, a rename or a deletion;
            what is open for writing is given 50 ms to be closed.
        recursive: whether to look below the first level of the directories.
        missing: whether a path that does not exist is an error at the start, or awaited. A path that goes away later is
            always awaited.

    Raises:
        ValueError: a pattern or number makes no sense.
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        ignore: Iterable[str] = (),
        only: Iterable[str] = (),
        gitignore: bool = False,
        debounce: float = 0.0,
        recursive: bool = True,
        missing: Literal["error", "wait"] = "error",
    ) -> None:
        several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        if not several:
            raise ValueError("there is no path to watch")
        self.paths = [os.path.abspath(os.fspath(path)) for path in several]
        self._ignore = list(ignore)
        self._only = list(only)
        PathFilter(self._ignore, self._only)  # so that a wrong pattern is told here
        self._gitignore = gitignore
        self._recursive = recursive
        self._missing = missing
        self._debounce = Debounce(debounce)
        self._tree: Tree | None = None
        self._stirred = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self._batches()

    async def _batches(self) -> AsyncIterator[Batch]:
        await self.start()
        try:
            while True:
                yield await self.wait_batch()
        finally:
            self.close()

    async def start(self) -> None:
        """Look at everything and begin to watch; a large tree is read in a thread.

        Raises:
            FileNotFoundError: a path does not exist.
            OSError: the kernel's limits are reached; a note says which.
        """
        if self._tree is not None:
            return
        tree = Tree(self.paths, self._filter, recursive=self._recursive)
        try:
            await asyncio.to_thread(tree.scan)
            absent = tree.missing()
            if absent and self._missing == "error":
                raise FileNotFoundError(2, "there is nothing to watch at", absent[0])
        except BaseException:
            tree.close()
            raise
        self._tree = tree
        self._stirred = asyncio.Event()
        self._debounce.clear()
        asyncio.get_running_loop().add_reader(tree.fileno(), self._read)
        self._read()

    def close(self) -> None:
        """Watch no more."""
        if self._tree is not None:
            asyncio.get_running_loop().remove_reader(self._tree.fileno())
            self._tree.close()
            self._tree = None
            self._stirred.set()

    async def wait_batch(self) -> Batch:
        """Wait for the end of the next burst of changes and return them; they are one or more."""
        loop = asyncio.get_running_loop()
        while True:
            if self._tree is None:
                raise RuntimeError("the watcher is not started, or closed")
            deadline = self._debounce.deadline
            if deadline <= loop.time():
                batch = await self._take()
                if batch.changes:
                    return batch
                continue
            self._stirred.clear()
            timer = loop.call_at(deadline, self._stirred.set) if self._debounce.pending else None
            try:
                await self._stirred.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    async def _take(self) -> Batch:
        assert self._tree is not None
        self._debounce.clear()
        if not self._tree.overflowed:
            return self._tree.flush()
        loop, tree = asyncio.get_running_loop(), self._tree
        loop.remove_reader(tree.fileno())
        try:
            return await asyncio.to_thread(tree.resynchronise)
        finally:
            if self._tree is tree:
                loop.add_reader(tree.fileno(), self._read)

    def _read(self) -> None:
        assert self._tree is not None
        marked, settled = self._tree.read()
        if marked:
            self._debounce.mark(asyncio.get_running_loop().time(), settled=settled)
            self._stirred.set()

    def _filter(self, root: str) -> PathFilter:
        ignore = list(self._ignore)
        if self._gitignore:
            try:
                with open(os.path.join(root, ".gitignore"), encoding="utf-8", errors="replace") as file:
                    ignore = [".git/", *read_gitignore(file.read()), *ignore]
            except OSError:
                ignore = [".git/", *ignore]
        return PathFilter(ignore, self._only)
