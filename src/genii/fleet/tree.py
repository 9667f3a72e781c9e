"""Trees of files on this machine: listed with their checksums, and streamed as tar."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from genii.errors import UsageError
from genii.fleet.manifest import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SUMS", "checksum", "read_pieces", "scan", "tar_pieces"]

_PIECE = 1 << 17
SUMS = ".genii-sums"
"""The member of the tar stream that holds the checksums of the others."""


def scan(source: str) -> list[Entry]:
    """List a file (as the only entry, whose path is its name) or what is below a directory.

    Raises:
        UsageError: there is nothing, or something that can't be sent.
    """
    try:
        status = os.stat(source)
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        return [_entry(source, os.path.basename(source), status)]
    found: list[Entry] = []
    for folder, folders, files in os.walk(source):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = os.path.join(folder, name)
            found.append(_entry(path, os.path.relpath(path, source), os.lstat(path)))
    return found


def _entry(path: str, relative: str, status: os.stat_result) -> Entry:
    if "\n" in relative:
        raise UsageError(f"{path!r} has a line end in its name; rename it")
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        return Entry(relative, "d", mode)
    if stat.S_ISLNK(status.st_mode):
        return Entry(relative, "l", mode, digest=os.readlink(path))
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path} is neither a file, a directory nor a link; it can't be sent")
    return Entry(relative, "f", mode, status.st_size, checksum(path), int(status.st_mtime))


def checksum(path: str) -> str:
    """Return the SHA-256 of a file.

    Raises:
        UsageError: it can't be read.
    """
    from hashlib import file_digest

    try:
        with open(path, "rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def read_pieces(path: str, offset: int = 0) -> Iterator[bytes]:
    """Yield the contents of a file from an offset on."""
    with open(path, "rb", buffering=0) as file:
        file.seek(offset)
        while piece := file.read(_PIECE):
            yield piece


def tar_pieces(source: str, entries: Sequence[Entry]) -> Iterator[bytes]:
    """Yield a tar stream (GNU format, which busybox reads, too) of entries, their checksums first."""
    from tarfile import BLOCKSIZE, DIRTYPE, GNU_FORMAT, SYMTYPE, TarInfo

    def head(name: str, size: int, mode: int, modified: int, kind: bytes = b"", target: str = "") -> bytes:
        info = TarInfo(name)
        info.size, info.mode, info.mtime, info.linkname = size, mode, modified, target
        if kind:
            info.type = kind
        return info.tobuf(GNU_FORMAT, "utf-8", "surrogateescape")

    sums = "".join(f"{entry.digest}  {entry.path}\n" for entry in entries if entry.kind == "f")
    data = sums.encode("utf-8", "surrogateescape")
    yield head(SUMS, len(data), 0o600, 0) + data + b"\0" * (-len(data) % BLOCKSIZE)
    for entry in entries:
        if entry.kind == "d":
            # Writable until all is in place; its own mode comes last.
            yield head(entry.path, 0, entry.mode | 0o700, 0, DIRTYPE)
        elif entry.kind == "l":
            yield head(entry.path, 0, 0o777, 0, SYMTYPE, entry.digest)
        else:
            yield head(entry.path, entry.size, entry.mode, entry.modified)
            yield from _exactly(os.path.join(source, entry.path), entry.size)
            yield b"\0" * (-entry.size % BLOCKSIZE)
    yield b"\0" * 2 * BLOCKSIZE


def _exactly(path: str, size: int) -> Iterator[bytes]:
    """Yield so many bytes of a file that may be growing or shrinking; the checksum tells on the other side."""
    left = size
    for piece in read_pieces(path):
        yield piece[:left]
        left -= min(left, len(piece))
        if not left:
            return
    if left:
        yield b"\0" * left
