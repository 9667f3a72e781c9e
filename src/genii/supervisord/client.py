"""A client of supervisord's XML-RPC interface: small and quick to import, for ``genii supervisorctl`` and listeners."""

from __future__ import annotations

import socket
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from genii.errors import GeniiError, UsageError
from genii.supervisord.xmlrpc import BadCall, parse_response, render_call

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Client", "Refused", "RemoteFault"]

_LONGEST_LINE = 65536


class RemoteFault(GeniiError):
    """The server answered with a fault."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number
        self.text = text


class Refused(GeniiError):
    """The server answered with an error of HTTP, or with what is none of its answers."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Call methods of the server at ``url`` (``http://host:port`` or ``unix:///path``), one after the other."""

    def __init__(self, url: str, username: str = "", password: str = "") -> None:
        self.url = url
        self._authorization = ""
        if username:
            self._authorization = f"Authorization: Basic {b64encode(f'{username}:{password}'.encode()).decode()}\r\n"
        self._connection: tuple[socket.socket, BinaryIO] | None = None

    def call(self, method: str, *params: Any) -> Any:
        """Call a method.

        Raises:
            RemoteFault: the server refuses.
            Refused: it does not speak XML-RPC, or wants a password.
            OSError: it can't be reached.
        """
        body = render_call(method, params)
        head = f"POST /RPC2 HTTP/1.1\r\n{self._headers()}Content-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            status, pieces = self._exchange(head.encode() + body)
            answer = b"".join(pieces)
        except BaseException:
            self.close()  # interrupted: what is still to come must not be taken for the next answer
            raise
        if status != 200:
            raise Refused(f"{self.url}/RPC2: HTTP status {status}", status)
        try:
            value, is_fault = parse_response(answer)
        except BadCall as error:
            raise Refused(f"{self.url}/RPC2: {error}") from None
        if is_fault:
            raise RemoteFault(int(value["faultCode"]), str(value["faultString"]))
        return value

    def stream(self, path: str) -> Iterator[bytes]:
        """Yield the pieces of an endless answer as they come."""
        status, pieces = self._exchange(f"GET {path} HTTP/1.1\r\n{self._headers()}\r\n".encode())
        if status != 200:
            raise Refused(f"Cannot read, status code {status}", status)
        return pieces

    def _headers(self) -> str:
        host = "localhost" if self.url.startswith("unix:") else self.url.partition("://")[2].partition("/")[0]
        return f"Host: {host}\r\nAccept: */*\r\n{self._authorization}"

    def _exchange(self, request: bytes) -> tuple[int, Iterator[bytes]]:
        """Send a request; a connection that the server has closed meanwhile is made anew, once."""
        kept = self._connection is not None
        connection, reader = self._connect()
        try:
            return self._try(connection, reader, request)
        except (ConnectionError, EOFError):
            self.close()
            if not kept:
                raise Refused(f"{self.url}: the connection was closed") from None
            connection, reader = self._connect()
            return self._try(connection, reader, request)

    def _try(self, connection: socket.socket, reader: BinaryIO, request: bytes) -> tuple[int, Iterator[bytes]]:
        connection.sendall(request)
        line = reader.readline(_LONGEST_LINE)
        if not line:
            raise EOFError
        words = line.split()
        if len(words) < 2 or not words[1].isdigit():
            raise Refused(f"{self.url}: this is no HTTP: {line[:60]!r}")
        headers: dict[bytes, bytes] = {}
        while line := reader.readline(_LONGEST_LINE).strip():
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip().lower()
        return int(words[1]), self._pieces(reader, headers)

    def _pieces(self, reader: BinaryIO, headers: dict[bytes, bytes]) -> Iterator[bytes]:
        if headers.get(b"transfer-encoding") == b"chunked":
            while size := int(reader.readline(_LONGEST_LINE).split(b";")[0] or b"0", 16):
                yield reader.read(size)
                reader.readline(_LONGEST_LINE)
            reader.readline(_LONGEST_LINE)
        elif b"content-length" in headers:
            yield reader.read(int(headers[b"content-length"]))
        else:
            while piece := reader.read1(65536):  # type: ignore[attr-defined]
                yield piece
        if headers.get(b"connection") == b"close":
            self.close()

    def _connect(self) -> tuple[socket.socket, BinaryIO]:
        if self._connection is None:
            scheme, separator, rest = self.url.partition("://")
            if scheme == "unix" and separator:
                connection = _connect_unix(rest)
            elif scheme == "http" and separator:
                host, _, port = rest.partition("/")[0].rpartition(":") if ":" in rest else (rest, "", "80")
                if not port.isdecimal():
                    raise UsageError(f"{self.url!r}: the port is no number")
                connection = socket.create_connection((host.strip("[]"), int(port)))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            else:
                raise UsageError(f"{self.url!r} must be http://host:port or unix:///path")
            self._connection = connection, connection.makefile("rb")
        return self._connection

    def hang_up(self) -> None:
        """Let whoever reads a stream, in another thread, come to its end."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection[0].shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            connection, reader = self._connection
            reader.close()
            connection.close()
            self._connection = None


def _connect_unix(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection
