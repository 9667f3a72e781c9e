"""A small file system that can run full or be made read-only."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["SmallDisk"]


class SmallDisk:
    """A file system in memory of its own, that can be filled or made read-only."""

    def __init__(self, path: Path, size: int) -> None:
        """Mount it at ``path``, with room for ``size`` MiB.

        Raises:
            CalledProcessError: we may not.
        """
        self.path = path
        self.size = f"size={size}m"
        path.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"{self.size},mode=755", "none", path], check=True)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Leave not a byte free."""
        ballast = self.path / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            for size in (65536, 512, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
        try:
            yield
        finally:
            ballast.unlink()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[bool]:
        """Allow no more writing; yields False where files that are open for writing do not let us."""
        done = subprocess.run(["mount", "-o", "remount,ro", self.path], capture_output=True).returncode == 0
        try:
            yield done
        finally:
            subprocess.run(["mount", "-o", f"remount,rw,{self.size}", self.path], check=True)

    def close(self) -> None:
        """Take it away."""
        subprocess.run(["umount", "-l", self.path], check=True)
