"""Follow a log file: what is added to it, over rotations, without losing a line."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Self

from genii.control.logs import Place, rotated, split_lines
from genii.system.inotify import Inotify, Mask
from genii.system.trusted import open_trusted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

__all__ = ["Follower"]

_BLOCK = 64 << 10


class Follower:
    """Hold the newest file of a log open from now on; read what came before up to ``place``, then ``lines``.

    With ``after`` (device and inode -> offset) go on where one of these places is, in whatever file it is by now; if it
    is in none any more, with all of the newest. Then nothing is to be read before.

    Raises:
        OSError: the directory is gone, or the kernel gives no more inotify instances.
    """

    def __init__(self, path: str, after: Mapping[tuple[int, int], int] | None = None) -> None:
        self._path = path
        self._watcher = Inotify()
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._loop: asyncio.AbstractEventLoop | None = None
        """Where the watcher is waited for."""
        try:
            self._watcher.add(os.path.dirname(path) or ".", Mask.CREATE | Mask.MOVED_TO | Mask.ONLYDIR)
        except OSError:
            self._watcher.close()
            raise
        self.place: Place | None = None
        if after:
            self._open_at(after)
        else:
            self._open(path)
            self.place = self._seek_last_line()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._stop_waiting()
        self._watcher.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def here(self) -> Place | None:
        """Where the next line begins; None: there is no file."""
        if self._file is None:
            return None
        held = self._here()
        return replace(held, offset=held.offset - len(self._rest))

    async def lines(self) -> AsyncIterator[list[str]]:
        """Yield lines as they are added, in batches, until closed."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        loop.add_reader(self._watcher.fileno(), self._note, changed)
        self._loop = loop
        try:
            while True:
                changed.clear()
                while lines := self._read():
                    yield lines
                await changed.wait()
        finally:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        """Wait no longer: before the descriptor is closed, as its number may then be a client's in no time."""
        if self._loop is not None:
            self._loop.remove_reader(self._watcher.fileno())
            self._loop = None

    def skip(self, keep: int) -> int:
        """Leave out what is unread but for about the last ``keep`` bytes; return how many bytes that were."""
        if self._file is None:
            return 0
        held = self._file.tell()
        target = os.fstat(self._file.fileno()).st_size - keep
        if target <= held:
            return 0
        self._file.seek(target)
        # The line that is cut here belongs to what is left out.
        skipped = len(self._rest) + target - held
        block = self._file.read(_BLOCK)
        cut = block.find(b"\n") + 1 or len(block)
        self._file.seek(target + cut)
        self._rest = b""
        return skipped + cut

    def _note(self, changed: asyncio.Event) -> None:
        if self._watcher.read():
            changed.set()

    def _read(self) -> list[str]:
        """Return the next lines; go on to the next file when this one was rotated away and is read to its end."""
        while True:
            lines = self._drain()
            if lines or not self._rotated():
                return lines
            # What was written between our last read and the rotation is there now.
            lines = self._drain()
            if lines:
                return lines
            if self._rest:
                lines, self._rest = [self._rest.decode("utf-8", "replace")], b""
            self._open(self._successor())
            if lines:
                return lines

    def _drain(self) -> list[str]:
        if self._file is None:
            return []
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # somebody emptied it
            self._rest = b""
        while data := self._file.read(_BLOCK):
            lines, self._rest = split_lines(self._rest + data)
            if lines:
                return lines
        return []

    def _rotated(self) -> bool:
        if self._file is None:
            return os.path.exists(self._path)
        return os.path.exists(self._path) and not self._here().within(self._path)

    def _successor(self) -> str:
        """Return the file that came after the one held: usually the newest, but rotation may have been faster."""
        if self._file is not None:
            here, newer = self._here(), self._path
            for name in rotated(self._path):
                if here.within(name):
                    return newer
                newer = name
        return self._path

    def _here(self) -> Place:
        assert self._file is not None
        held = os.fstat(self._file.fileno())
        return Place(held.st_dev, held.st_ino, self._file.tell())

    def _open(self, path: str) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        try:
            self._file = open(path, "rb", buffering=0, opener=open_trusted)  # noqa: SIM115 -- held as long as we follow
            self._watcher.add(path, Mask.MODIFY | Mask.MOVE_SELF)
        except FileNotFoundError:
            pass  # it will be made: the watch of the directory tells

    def _open_at(self, after: Mapping[tuple[int, int], int]) -> None:
        """Open the file in which one of these places is, there; else the newest from its beginning."""
        for name in rotated(self._path):
            self._open(name)
            if self._file is not None:
                held = self._here()
                offset = after.get((held.device, held.inode))
                if offset is not None:
                    self._file.seek(offset)
                    return
        self._open(self._path)

    def _seek_last_line(self) -> Place | None:
        """Go to the end, or to the beginning of a last line that is not complete; None: there is no file."""
        if self._file is None:
            return None
        size = self._file.seek(0, os.SEEK_END)
        start = max(0, size - _BLOCK)
        self._file.seek(start)
        cut = self._file.read(size - start).rfind(b"\n")
        self._file.seek(start + cut + 1 if cut >= 0 or start == 0 else size)
        return self._here()
