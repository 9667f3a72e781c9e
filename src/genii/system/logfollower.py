"""Read along in a log file that somebody else writes."""

from __future__ import annotations

import os

__all__ = ["LogFollower"]

_LARGEST = 1 << 16  # bytes of one look


class LogFollower:
    """Read what is appended to a file from now on."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._offset = os.stat(path).st_size
        except OSError:
            self._offset = 0

    def read(self) -> bytes:
        """Return what is new; empty too when the file is not there or not ours to read."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return b""
        try:
            data = os.pread(descriptor, _LARGEST, self._offset)
        except OSError:
            return b""
        finally:
            os.close(descriptor)
        self._offset += len(data)
        return data

    def disk_is_full(self) -> bool:
        """Say whether nothing more can be written there."""
        try:
            return os.statvfs(self.path).f_bavail == 0
        except OSError:
            return False
