"""What is kept of the output of a host: the beginning, the size, a fingerprint, and lines as they come. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Capture", "Lines"]

LONGEST_LINE = 1 << 16


class Capture:
    """Keep the first ``limit`` bytes of a stream, and a fingerprint of all of it."""

    __slots__ = ("_digest", "_kept", "limit", "size")

    def __init__(self, limit: int) -> None:
        from hashlib import blake2b

        self.limit = limit
        self.size = 0
        self._kept = bytearray()
        self._digest = blake2b(digest_size=16)

    def add(self, data: bytes) -> None:
        """Take some more."""
        self.size += len(data)
        self._digest.update(data)
        room = self.limit - len(self._kept)
        if room > 0:
            self._kept += data[:room]

    @property
    def kept(self) -> bytes:
        """The beginning."""
        return bytes(self._kept)

    @property
    def whole(self) -> bool:
        """Whether the beginning is all."""
        return self.size <= self.limit

    @property
    def digest(self) -> bytes:
        """The fingerprint of all that came: the same for the same output."""
        return self._digest.digest()


class Lines:
    """Cut a stream into lines; one that does not end is cut where it gets too long."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that are complete, without their ends."""
        if b"\n" not in data and len(self._rest) + len(data) <= LONGEST_LINE:
            self._rest += data
            return
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield from _pieces(line)
        while len(rest) > LONGEST_LINE:
            yield rest[:LONGEST_LINE].decode("utf-8", "replace")
            rest = rest[LONGEST_LINE:]
        self._rest = rest

    def end(self) -> Iterator[str]:
        """Yield what came after the last line end."""
        if self._rest:
            yield from _pieces(self._rest)
            self._rest = b""


def _pieces(line: bytes) -> Iterator[str]:
    line = line.removesuffix(b"\r")
    for start in range(0, max(1, len(line)), LONGEST_LINE):
        yield line[start : start + LONGEST_LINE].decode("utf-8", "replace")
