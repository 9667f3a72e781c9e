"""One log file: append, rotate between lines, survive a full disk. Used by the keeper; imports next to nothing."""

from __future__ import annotations

import os
import time

from genii.supervise.rotation import backup_names, next_boundary, split
from genii.system.trusted import open_trusted

TYPE_CHECKING = False  # typing itself is not worth its import here
if TYPE_CHECKING:
    from genii.supervise.rotation import Chunk

__all__ = ["LogFile"]

_LOOK_AGAIN = 1.0
"""Seconds between looks at a file that somebody else may have removed or truncated, and between retries."""
_BACKLOG = 256 << 10
"""Bytes kept for a file that can't be written, before output is thrown away (and counted)."""
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


class LogFile:
    """Append to ``path``; ``size``, ``backups``, ``every``, ``compress`` as in ``genii.supervise.model.Log``."""

    __slots__ = (
        "_backlog", "_boundary", "_descriptor", "_looked", "_regular", "_resumes_in_line", "_unreported",
        "at_line_start", "backups", "compress", "every", "lost", "path", "problem", "rotated", "size_limit", "written",
    )  # fmt: skip

    def __init__(self, path: str, size: int, backups: int, every: float, compress: bool) -> None:
        self.path = path
        self.size_limit = size
        self.backups = backups
        self.every = every
        self.compress = compress
        self.written = 0
        """Size of the file."""
        self.lost = 0
        """Bytes thrown away since the beginning."""
        self.problem = ""
        """Why it can't be written now; empty: it can."""
        self.rotated = 0
        """How many backups wait to be compressed: the newest."""
        self.at_line_start = True
        self._descriptor = -1
        self._regular = True
        self._looked = -_LOOK_AGAIN
        self._boundary = 0.0
        self._backlog = b""
        self._unreported = 0
        self._resumes_in_line = False

    def append(self, chunk: Chunk, length: int, now: float) -> None:
        """Write the first ``length`` bytes at ``now`` (monotonic); what can't be is kept, or counted as lost."""
        if self.problem and not self.retry(now):
            self._keep(chunk, 0, length)
            return
        if now - self._looked >= _LOOK_AGAIN:
            self._look(now)
        start = 0
        if self._resumes_in_line and not self.problem:
            start = self._skip_broken_line(chunk, length)
        while start < length and not self.problem:
            rest = chunk[start:length] if start else chunk
            here, rotate = split(rest, length - start, self.written, self.size_limit, at_line_start=self.at_line_start)
            start = self._write(chunk, start, start + here, now)
            if rotate and not self.problem:
                self.rotate(now)
        if start < length:
            self._keep(chunk, start, length)

    def _write(self, chunk: Chunk, start: int, end: int, now: float) -> int:
        """Write ``chunk[start:end]``; return how far it came. A failure is noted in ``problem``."""
        with memoryview(chunk) as view:
            try:
                while start < end:
                    count = os.write(self._descriptor, view[start:end])
                    start += count
                    self.written += count
                    self.at_line_start = chunk[start - 1] == 10
            except OSError as error:
                self._fail(error, now)
        return start

    def _fail(self, error: OSError, now: float) -> None:
        self.problem = f"{self.path}: {error.strerror}"
        self._looked = now

    def _keep(self, chunk: Chunk, start: int, length: int) -> None:
        """Keep what fits into the backlog and count the rest, from a line's end where there is one."""
        room = _BACKLOG - len(self._backlog)
        if not self._unreported and length - start <= room:
            self._backlog += chunk[start:length]
            return
        if not self._unreported and room > 0:
            end = chunk.rfind(b"\n", start, start + room) + 1
            if end > start:
                self._backlog += chunk[start:end]
                start = end
        self.lost += length - start
        self._unreported += length - start
        self._resumes_in_line = chunk[length - 1] != 10

    def take_backlog(self) -> bytes:
        """Return what could not be written, for whoever writes the file from now on."""
        backlog, self._backlog = self._backlog, b""
        return backlog

    def retry(self, now: float) -> bool:
        """Try a file that failed again, at most once a second; say whether it can be written now."""
        if not self.problem:
            return True
        if now - self._looked < _LOOK_AGAIN:
            return False
        failed = self.problem
        self.problem = ""
        self._look(now)
        if not self.problem and self._backlog:
            done = self._write(self._backlog, 0, len(self._backlog), now)
            self._backlog = self._backlog[done:]
        if not self.problem and self._unreported:
            note = bytearray(b"" if self.at_line_start else b"\n")
            note += f"[genii: {self._unreported} bytes of output lost here: {failed}]\n".encode()
            if self._write(note, 0, len(note), now) == len(note):
                self._unreported = 0
        return not self.problem

    def _skip_broken_line(self, chunk: Chunk, length: int) -> int:
        """Leave out the rest of a line whose beginning was lost; return where the next one begins."""
        end = chunk.find(b"\n", 0, length) + 1 or length
        self._resumes_in_line = chunk[end - 1] != 10
        self.lost += end
        return end

    def _look(self, now: float) -> None:
        """See that the file is still the one that its path names; open it (again) if not."""
        self._looked = now
        try:
            if self._descriptor >= 0 and self._regular:
                there = os.fstat(self._descriptor)
                if there.st_nlink:
                    self.written = there.st_size
                else:
                    self.close()
            if self._descriptor < 0:
                self._open()
        except OSError as error:
            self._fail(error, now)
            return
        if self.every and self.written and time.time() >= self._boundary:
            self.rotate(now)

    def _open(self) -> None:
        try:
            self._descriptor = open_trusted(self.path, _FLAGS)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.path), mode=0o750, exist_ok=True)
            self._descriptor = open_trusted(self.path, _FLAGS)
        there = os.fstat(self._descriptor)
        self._regular = (there.st_mode & 0o170000) == 0o100000
        os.set_blocking(self._descriptor, True)
        self.written = there.st_size if self._regular else 0
        if not self._regular:
            self.size_limit = 0
        self.at_line_start = not self.written or _last_byte(self.path, self.written) == b"\n"
        if self.every:
            begun = there.st_mtime if self.written else time.time()
            self._boundary = next_boundary(begun, self.every, float(time.localtime(begun).tm_gmtoff))

    def rotate(self, now: float) -> None:
        """Make room: the file becomes ``.1``, ``.1`` becomes ``.2`` …; a failure is noted in ``problem``.

        The new file may be read by whom the old one could be read.
        """
        try:
            mode = os.fstat(self._descriptor).st_mode & 0o777 if self._descriptor >= 0 else 0o640
            if self.backups:
                for old, new in backup_names(self.path, self.backups):
                    for suffix in ("", ".gz"):
                        if os.path.lexists(old + suffix):
                            os.rename(old + suffix, new + suffix)
                            _remove(new + ("" if suffix else ".gz"))
                if self.compress:
                    self.rotated += 1
            else:
                os.unlink(self.path)
        except OSError as error:
            self._fail(error, now)
            return
        self.close()
        try:
            self._open()
            if self._regular and not self.written:
                os.fchmod(self._descriptor, mode)
        except OSError as error:
            self._fail(error, now)

    def clear(self, now: float) -> None:
        """Throw away what the file holds, and its backups; the file itself is never absent for those who read it."""
        for number in range(1, self.backups + 1):
            _remove(f"{self.path}.{number}")
            _remove(f"{self.path}.{number}.gz")
        self._look(now)
        if self._descriptor >= 0 and self._regular:
            os.ftruncate(self._descriptor, 0)
            self.written = 0
            self.at_line_start = True

    def close(self) -> None:
        """Close the file; the next append opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._looked = -_LOOK_AGAIN


def _last_byte(path: str, size: int) -> bytes:
    descriptor = open_trusted(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, 1, size - 1)
    finally:
        os.close(descriptor)


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)
