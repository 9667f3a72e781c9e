"""The wire of HTTP/1.1 for servers: bytes to requests, responses to bytes (RFC 9112). No I/O.

The grammar is httptools' (llhttp, strict); the limits and what becomes of each fault are decided here.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from genii.events.message import REASONS, HttpError, Peer, Request, Response

__all__ = ["LAST_CHUNK", "Limits", "Phase", "Reader", "http_date", "render_chunk", "render_head"]

LAST_CHUNK = b"0\r\n\r\n"
_SLICE = 16 << 10
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BODYLESS = frozenset((100, 204, 304))


class Limits(NamedTuple):
    """What one client may ask of a server: sizes in bytes, times in seconds."""

    head: int = 16 << 10
    body: int = 1 << 20
    connections: int = 1024
    pipelined: int = 32
    """Requests that may wait on one connection before it is read no further."""
    head_time: float = 10.0
    """From the first byte of a request (or from the connection) to the end of its header."""
    body_time: float = 60.0
    idle_time: float = 75.0
    send_time: float = 60.0
    """How long a client may take no byte of an answer."""


class Phase(Enum):
    """What the next byte belongs to."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()


class Reader:
    """Turn the bytes of one connection into ``requests``, in order, whatever way they are cut."""

    __slots__ = ("_body", "_fault", "_head_size", "_headers", "_limits", "_parser", "_peer", "_rest", "_target",
                 "expects_continue", "finished", "phase", "requests")  # fmt: skip

    def __init__(self, limits: Limits, peer: Peer) -> None:
        self._limits = limits
        self._peer = peer
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._rest = b""
        self._fault: HttpError | None = None
        self._target = b""
        self._headers: dict[str, str] = {}
        self._head_size = 0
        self._body = bytearray()
        self.requests: deque[Request] = deque()
        self.phase = Phase.IDLE
        self.expects_continue = False
        """Whether the client waits for ``100 Continue`` before it sends the body."""
        self.finished = False
        """Whether nothing more will be read: the last request closes, upgrades, or was broken."""

    @property
    def full(self) -> bool:
        """Say whether enough requests wait; read on by ``feed(b"")`` when they were taken."""
        return len(self.requests) >= self._limits.pipelined

    def feed(self, data: bytes) -> None:
        """Read the next bytes.

        Raises:
            HttpError: the client broke the protocol or a limit; ``requests`` holds what came before, whole.
        """
        data = self._rest + data if self._rest else data
        position = 0
        while position < len(data) and not self.finished and not self.full:
            self._feed_slice(data[position : position + _SLICE] if len(data) > _SLICE else data)
            position += _SLICE
        self._rest = data[position:] if not self.finished else b""

    def release(self) -> None:
        """Break the circle of references between reader and parser, so that memory is freed at once."""
        self._parser = None
        self.finished = True

    def _feed_slice(self, data: bytes) -> None:
        assert self._parser is not None
        before = self._head_size if self.phase is Phase.HEAD else -1
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            # Nobody here speaks another protocol: the request is answered as if it had not offered one.
            self.finished = True
        except HttpParserError as error:
            if self.finished:
                return  # what follows the last request is nobody's business
            self._fail(self._fault or HttpError(400, f"this is not HTTP: {error}"))
        if self._fault is not None:
            self._fail(self._fault)
        if self.phase is Phase.HEAD and self._head_size == before:
            # One header line that does not end is held back by the parser: count what we can't see.
            self._head_size += len(data)
            self._check_head()
            if self._fault is not None:
                self._fail(self._fault)

    def _fail(self, fault: HttpError) -> None:
        self.finished = True
        raise fault

    def _check_head(self) -> None:
        if self._head_size > self._limits.head and self._fault is None:
            if self._headers or len(self._target) < self._limits.head:
                self._fault = HttpError(431, f"the header is longer than {self._limits.head} bytes")
            else:
                self._fault = HttpError(414, f"the request line is longer than {self._limits.head} bytes")

    # What the parser calls; an exception raised here would be wrapped, so faults are noted and raised after it.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.phase = Phase.HEAD
        self._target = b""
        self._headers = {}
        self._head_size = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        self._target += url
        self._head_size += len(url)
        if self._head_size > self._limits.head:
            self._check_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header line (or, after a chunked body, a trailer, which is dropped)."""
        self._head_size += len(name) + len(value) + 4
        if self._head_size > self._limits.head:
            self._check_head()
            return
        if self.phase is not Phase.HEAD:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        earlier = self._headers.get(key)
        self._headers[key] = text if earlier is None else f"{earlier}, {text}"

    def on_headers_complete(self) -> None:
        """Judge the header before any of the body is taken."""
        self.phase = Phase.BODY
        headers = self._headers
        length = headers.get("content-length")
        if length is not None and (not length.isdecimal() or int(length[:20]) > self._limits.body):
            self._too_large()
        elif "host" not in headers and self._parser is not None and self._parser.get_http_version() == "1.1":
            self._fault = self._fault or HttpError(400, "an HTTP/1.1 request must have a Host header")
        elif "expect" in headers:
            self.expects_continue = headers["expect"].lower() == "100-continue"

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self.expects_continue = False
        if len(self._body) + len(body) > self._limits.body:
            self._too_large()
        if self._fault is None:
            self._body += body

    def on_message_complete(self) -> None:
        """End the request."""
        parser = self._parser
        if self._fault is not None or parser is None:
            return
        target = self._target.decode("latin-1")
        if not target.startswith("/"):
            target = _origin_form(target)
        request = Request(
            parser.get_method().decode("ascii"),
            target,
            self._headers,
            bytes(self._body) if self._body else b"",
            parser.get_http_version(),
            parser.should_keep_alive(),
            self._peer,
        )
        if self._body:
            self._body = bytearray()
        self.expects_continue = False
        self.phase = Phase.IDLE
        if not self.finished:
            self.requests.append(request)
            self.finished = not request.keep_alive

    def _too_large(self) -> None:
        self._fault = self._fault or HttpError(413, f"the body is longer than {self._limits.body} bytes")


def _origin_form(target: str) -> str:
    """Return path and query of ``http://host/path?query``, which a client may send to an origin server too."""
    _, scheme, rest = target.partition("://")
    if not scheme:
        return target
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"


def render_head(response: Response, *, date: str, keep_alive: bool, chunked: bool = False) -> bytes:
    """Write the status line and header of a response.

    Raises:
        ValueError: a header has a line break in it, which would let its author write the rest of the answer.
    """
    status = response.status
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}", f"Date: {date}"]
    if status not in _BODYLESS:
        if response.content_type:
            lines.append(f"Content-Type: {response.content_type}")
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        elif response.stream is None:
            lines.append(f"Content-Length: {len(response.body)}")
    if not keep_alive:
        lines.append("Connection: close")
    for name, value in response.headers.items():
        lines.append(f"{name}: {value}")
    text = "\r\n".join(lines)
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or "\0" in text:
        raise ValueError("a header of the response holds a line break or NUL")
    return (text + "\r\n\r\n").encode("latin-1", "replace")


def render_chunk(data: bytes) -> bytes:
    """Write one piece of a chunked body; ``data`` must not be empty (that would end it)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def http_date(seconds: float) -> str:
    """Write a time as HTTP does (``Sun, 06 Nov 1994 08:49:37 GMT``), whatever the locale."""
    days, rest = divmod(int(seconds), 86400)
    year, month, day = _civil(days)
    hour, minute = rest // 3600, rest // 60 % 60
    weekday = _DAYS[(days + 3) % 7]
    return f"{weekday}, {day:02d} {_MONTHS[month - 1]} {year:04d} {hour:02d}:{minute:02d}:{rest % 60:02d} GMT"


def _civil(days: int) -> tuple[int, int, int]:
    """Turn days since 1970-01-01 into year, month, day (the proleptic Gregorian calendar)."""
    from datetime import date

    found = date.fromordinal(days + 719163)
    return found.year, found.month, found.day
