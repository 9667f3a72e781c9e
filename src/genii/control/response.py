"""Responses of HTTP/1.1 as a client reads them (RFC 9112). No I/O."""

from __future__ import annotations

from genii.errors import PeerError
from genii.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Head", "read_body", "read_head"]

_LONGEST_HEAD = 64 << 10


class Head(NamedTuple):
    """The status and header of a response."""

    status: int
    headers: dict[str, str]


class _Source:
    """Bytes that arrive in pieces; ``receive`` returns the next, empty at the end."""

    def __init__(self, receive: Callable[[], bytes], data: bytes = b"") -> None:
        self._receive = receive
        self.data = data

    def more(self) -> bool:
        piece = self._receive()
        self.data += piece
        return bool(piece)

    def line(self) -> bytes:
        while b"\r\n" not in self.data:
            if len(self.data) > _LONGEST_HEAD or not self.more():
                raise PeerError("the supervisor broke off in the middle of its answer")
        line, _, self.data = self.data.partition(b"\r\n")
        return line


def read_head(receive: Callable[[], bytes]) -> tuple[Head, bytes]:
    """Read the header of a response; returns it with the bytes of the body that came along.

    Raises:
        PeerError: that is not HTTP, or it broke off.
    """
    source = _Source(receive)
    while True:
        status = _status(source.line())
        headers: dict[str, str] = {}
        while line := source.line():
            name, _, value = line.partition(b":")
            headers[name.decode("latin-1").strip().lower()] = value.decode("latin-1").strip()
        if status >= 200:
            return Head(status, headers), source.data


def _status(line: bytes) -> int:
    parts = line.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        raise PeerError("what answers there does not speak HTTP")
    return int(parts[1])


def read_body(head: Head, data: bytes, receive: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield the body in pieces as they arrive.

    Raises:
        PeerError: it broke off.
    """
    source = _Source(receive, data)
    if head.status in (204, 304):
        return
    if head.headers.get("transfer-encoding", "").lower() == "chunked":
        yield from _chunks(source)
    elif "content-length" in head.headers:
        yield from _exactly(source, int(head.headers["content-length"]))
    else:
        while source.data or source.more():
            piece, source.data = source.data, b""
            yield piece


def _exactly(source: _Source, count: int) -> Iterator[bytes]:
    while count > 0:
        if not source.data and not source.more():
            raise PeerError("the supervisor broke off in the middle of its answer")
        piece, source.data = source.data[:count], source.data[count:]
        count -= len(piece)
        yield piece


def _chunks(source: _Source) -> Iterator[bytes]:
    while True:
        try:
            size = int(source.line().partition(b";")[0], 16)
        except ValueError:
            raise PeerError("the supervisor sent a chunk without a size") from None
        if size == 0:
            return
        yield from _exactly(source, size)
        source.line()
