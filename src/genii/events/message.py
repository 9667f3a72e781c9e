"""HTTP requests and responses as values, for servers of ``genii.events.http``. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from genii.errors import GeniiError
from genii.events.percent import parse_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["REASONS", "HttpError", "Peer", "Request", "Response"]

T = TypeVar("T")

REASONS = {
    100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
    301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified", 307: "Temporary Redirect",
    308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
    411: "Length Required", 413: "Content Too Large", 414: "URI Too Long", 415: "Unsupported Media Type",
    417: "Expectation Failed", 421: "Misdirected Request", 422: "Unprocessable Content", 424: "Failed Dependency",
    426: "Upgrade Required", 428: "Precondition Required", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
}  # fmt: skip
"""Status codes of RFC 9110 with their reason phrases."""


class HttpError(GeniiError):
    """Answer a request with an error; ``status`` is that of HTTP, ``code`` is stable and for programs."""

    def __init__(self, status: int, message: str, *, code: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or REASONS.get(status, "error").lower().replace(" ", "-")
        self.headers = headers or {}


class Peer(NamedTuple):
    """Who sent a request."""

    address: str
    """``host:port``; empty on a unix socket."""
    uid: int | None = None
    """The user at the other end of a unix socket (SO_PEERCRED); None over TCP."""
    pid: int = 0


_NOBODY = Peer("")
"""The peer of a request that no connection brought."""


@dataclass(slots=True)
class Request:
    """One request, complete with its body."""

    method: str
    target: str
    """The request target as it was sent: path and query, still percent-encoded."""
    headers: dict[str, str]
    """By lower-case name; those sent more than once are joined by ``, ``."""
    body: bytes = b""
    version: str = "1.1"
    keep_alive: bool = True
    peer: Peer = _NOBODY
    parameters: dict[str, str] = field(default_factory=dict)
    """What the router read from the path, decoded."""
    user: str = ""
    """Who asks, as far as a guard has found out."""

    @property
    def path(self) -> str:
        """Return the path without the query, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """Return the decoded parameters of the query, in the order sent."""
        return parse_query(self.target.partition("?")[2])

    def argument(self, name: str, default: str = "") -> str:
        """Return the last value of one query parameter."""
        values = self.query.get(name)
        return values[-1] if values else default

    def decode(self, kind: type[T]) -> T:
        """Read the JSON body as ``kind``.

        Raises:
            HttpError: 400, the body is not JSON of that shape.
        """
        import msgspec  # not above: a program whose pages are plain text never needs its 1 to 3 MiB

        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HttpError(400, f"the body is not the JSON that was expected: {error}") from error


@dataclass(slots=True)
class Response:
    """An answer: a body, or a ``stream`` of pieces that are sent as they come."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None
    endless: bool = False
    """Whether the stream has no end of its own, so that a closing server ends it at once."""

    @classmethod
    def text(cls, text: str, status: int = 200) -> Response:
        """Make an answer of plain text."""
        return cls(status, text.encode())

    @classmethod
    def json(cls, value: object, status: int = 200) -> Response:
        """Make an answer of JSON."""
        import msgspec  # as in Request.decode

        return cls(status, msgspec.json.encode(value), "application/json")

    @classmethod
    def events(cls, stream: AsyncIterator[bytes]) -> Response:
        """Make a stream of server-sent events (see ``genii.events.sse``) that lasts until someone leaves."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return cls(200, b"", "text/event-stream", headers, stream, endless=True)
