"""The client of the command line: plain sockets, no threads, no loop; one connection for each request."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, TypeVar

import msgspec

from genii.control.failure import error_from_json
from genii.control.query import (
    ActionQuery,
    Details,
    Differences,
    Events,
    LogLines,
    Results,
    Statuses,
    UpdateQuery,
)
from genii.control.response import Head, read_body, read_head
from genii.errors import NotAllowed, NotRunning, PeerError, TimedOut
from genii.events.message import quote
from genii.events.sse import EventReader, ServerEvent
from genii.supervise.report import Difference, Event, SupervisorStatus
from genii.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from genii.supervise.report import ActionResult, ProcessDetails, ProcessStatus
    from genii.system.listen import Address

__all__ = ["Client"]

T = TypeVar("T")

_PIECE = 64 << 10
_SILENCE = 40.0
"""A stream sends something every 15 seconds; one that is silent for longer is dead."""


class Client:
    """Talk to a supervisor at a unix socket or, with user and password, over TCP.

    All methods raise ``NotRunning`` when nobody listens, ``NotAllowed`` when it is not for us, ``TimedOut`` when
    nothing is heard for ``timeout`` seconds, and the errors that the supervisor answers.
    """

    def __init__(self, address: Address, *, user: str = "", password: str = "", timeout: float = 10.0) -> None:
        self.address = address
        self._timeout = timeout
        self._headers = f"Host: {'localhost' if address.path else address}\r\nUser-Agent: genii\r\n"
        if user:
            from base64 import b64encode

            self._headers += f"Authorization: Basic {b64encode(f'{user}:{password}'.encode()).decode()}\r\n"

    # ------------------------------------------------------------------ questions

    def supervisor(self) -> SupervisorStatus:
        """Ask about the supervisor."""
        return self._get("/api/v1/supervisor", SupervisorStatus)

    def statuses(self, names: Sequence[str] = ()) -> list[ProcessStatus]:
        """Ask for the state of processes (none named: of all)."""
        query = "&".join(f"name={quote(name)}" for name in names)
        return self._get(f"/api/v1/processes?{query}", Statuses).processes

    def details(self, name: str) -> list[ProcessDetails]:
        """Ask all about the processes of one name."""
        return self._get(f"/api/v1/processes/{quote(name)}", Details).processes

    def recent_events(self) -> list[Event]:
        """Ask for the last events."""
        return self._get("/api/v1/events", Events).events

    def events(self, *, heartbeat: float = 15.0) -> Iterator[list[Event]]:
        """Yield events as they happen, in batches, until the supervisor ends; an empty one at each heartbeat."""
        for batch in self._stream(f"/api/v1/events?follow=1&heartbeat={heartbeat}"):
            yield [msgspec.json.decode(event.data, type=Event) for event in batch]

    def recent_logs(self, names: Sequence[str], count: int, since: float, stream: str = "both") -> Iterator[LogLines]:
        """Yield the last lines of logs, process by process."""
        head, data, connection = self._send("GET", _log_path(names, count, since, stream), None, _SILENCE)
        with connection:
            pieces = read_body(head, data, lambda: self._receive(connection, _SILENCE))
            if head.status != 200:
                raise error_from_json(head.status, b"".join(pieces))
            rest = b""
            for piece in pieces:
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield msgspec.json.decode(line, type=LogLines)

    def follow_logs(self, names: Sequence[str], count: int, since: float, stream: str = "both") -> Iterator[LogLines]:
        """Yield the last lines of logs and then those that are added, until the supervisor ends."""
        for batch in self._stream(_log_path(names, count, since, stream) + "&follow=1"):
            for event in batch:
                yield msgspec.json.decode(event.data, type=LogLines)

    # ------------------------------------------------------------------ actions

    def act(self, action: str, query: ActionQuery) -> list[ActionResult]:
        """Ask for ``start``, ``stop``, ``restart``, ``reload``, ``signal`` or ``scale``; waits as long as it takes."""
        return self._post(f"/api/v1/{action}", query, Results, query.timeout).results

    def update(self, *, dry_run: bool = False) -> Difference:
        """Have the configuration read again."""
        return self._post("/api/v1/update", UpdateQuery(dry_run=dry_run), Differences, 0.0).difference

    def shutdown(self, patience: float = 0.0) -> None:
        """Have everything stopped; returns when the supervisor says so or is gone."""
        try:
            self._post("/api/v1/shutdown", {}, dict[str, str], patience)
        except PeerError:
            return  # it ended before its answer was out

    # ------------------------------------------------------------------ the wire

    def _get(self, path: str, kind: type[T]) -> T:
        return self._call("GET", path, None, kind, self._timeout)

    def _post(self, path: str, body: object, kind: type[T], patience: float) -> T:
        # What is asked for may take its time: the supervisor watches the time-out, we only that it lives.
        timeout = patience + self._timeout if patience else None
        return self._call("POST", path, msgspec.json.encode(body), kind, timeout)

    def _call(self, method: str, path: str, body: bytes | None, kind: type[T], timeout: float | None) -> T:
        head, data, connection = self._send(method, path, body, timeout)
        with connection:
            content = b"".join(read_body(head, data, lambda: self._receive(connection, timeout)))
        if head.status != 200:
            raise error_from_json(head.status, content)
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.DecodeError as error:
            raise PeerError(f"the supervisor answered what this genii does not understand: {error}") from error

    def _stream(self, path: str) -> Iterator[list[ServerEvent]]:
        head, data, connection = self._send("GET", path, None, self._timeout)
        with connection:
            pieces = read_body(head, data, lambda: self._receive(connection, _SILENCE))
            if head.status != 200:
                raise error_from_json(head.status, b"".join(pieces))
            reader = EventReader()
            for piece in pieces:
                yield reader.feed(piece)

    def _send(
        self, method: str, path: str, body: bytes | None, timeout: float | None
    ) -> tuple[Head, bytes, socket.socket]:
        lines = f"{method} {path} HTTP/1.1\r\n{self._headers}Connection: close\r\n"
        if body is not None:
            lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        connection = self._connect()
        try:
            connection.sendall(lines.encode("latin-1") + b"\r\n" + (body or b""))
            head, data = read_head(lambda: self._receive(connection, timeout))
        except ConnectionError as error:
            connection.close()
            raise PeerError(f"the supervisor at {self.address} hung up: {error.strerror}") from error
        except BaseException:
            connection.close()
            raise
        return head, data, connection

    def _connect(self) -> socket.socket:
        address = self.address
        try:
            if not address.path:
                return socket.create_connection((address.host or "localhost", address.port), self._timeout)
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self._timeout)
            try:
                connection.connect(_short_path(address.path))
            except BaseException:
                connection.close()
                raise
            return connection
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            raise NotRunning(f"no supervisor is running at {address}; start it with 'genii up'") from error
        except PermissionError as error:
            raise NotAllowed(
                f"{address} is not yours to use; become the user of the supervisor, or root (sudo genii …)"
            ) from error
        except (TimeoutError, BlockingIOError) as error:
            raise TimedOut(
                f"the supervisor at {address} does not take connections; it hangs or is overloaded"
            ) from error
        except OSError as error:
            raise NotRunning(f"can't reach a supervisor at {address}: {error.strerror or error}") from error

    def _receive(self, connection: socket.socket, timeout: float | None) -> bytes:
        connection.settimeout(timeout)
        try:
            return connection.recv(_PIECE)
        except TimeoutError as error:
            waited = format_duration(timeout or 0.0)
            raise TimedOut(f"the supervisor at {self.address} did not answer within {waited}") from error
        except ConnectionError:
            return b""


def _log_path(names: Sequence[str], count: int, since: float, stream: str) -> str:
    parts = [f"name={quote(name)}" for name in names]
    return "/api/v1/logs?" + "&".join([*parts, f"lines={count}", f"since={since}", f"stream={stream}"])


def _short_path(path: str) -> str:
    """Return a path that fits into a socket address (107 bytes): relative where that is shorter."""
    if len(os.fsencode(path)) <= 107:
        return path
    return min(path, os.path.relpath(path), key=len)
