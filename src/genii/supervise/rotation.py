"""Where to cut a stream of lines into files, and what the files are called. No I/O.

Runs in the keeper: imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from typing import TypeAlias

    Chunk: TypeAlias = bytes | bytearray | mmap.mmap
    """Bytes that can be searched and cut."""

__all__ = ["LONGEST_LINE", "backup_names", "next_boundary", "split"]

LONGEST_LINE = 1 << 20
"""Bytes that a file may exceed its size by so that a line is not cut; a longer line is."""


def split(chunk: Chunk, length: int, size: int, limit: int, *, at_line_start: bool) -> tuple[int, bool]:
    """Return (how many bytes of ``chunk`` go to the current file, whether it is rotated after them).

    ``size`` is that of the current file, ``limit`` the size at which it is rotated (0: never), ``at_line_start``
    says whether the file ends with a whole line (or is empty). No line is split over two files unless it is longer
    than ``LONGEST_LINE``; a file exceeds its limit only by a line that began before.
    """
    room = limit - size
    if not limit or length <= room:
        return length, False
    if room > 0:
        end = chunk.rfind(b"\n", 0, room) + 1
        if end:
            return end, True
    if at_line_start and size:
        return 0, True
    end = chunk.find(b"\n", max(room, 0), length) + 1
    if end:
        return end, True
    if size + length > limit + LONGEST_LINE:
        return min(length, max(limit + LONGEST_LINE - size, 1)), True
    return length, False


def backup_names(path: str, backups: int) -> list[tuple[str, str]]:
    """Return the renames (from, to) that free ``path``, in order; the oldest backup is overwritten by the first.

    Each stands for the plain name and for the same with ``.gz``.
    """
    names = [path, *(f"{path}.{number}" for number in range(1, backups + 1))]
    return [(names[number], names[number + 1]) for number in range(backups - 1, -1, -1)]


def next_boundary(now: float, every: float, offset: float) -> float:
    """Return the first moment after ``now`` that is a multiple of ``every`` seconds from local midnight.

    ``offset`` is the seconds that local time is ahead of UTC.
    """
    return ((now + offset) // every + 1) * every - offset
