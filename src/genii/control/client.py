"""The client of the command line: plain sockets, no threads, no loop; one connection for each request."""

from __future__ import annotations

import _socket  # the module socket takes a tenth of a short command to import
import os
import sys
import time

from genii.control.plain_json import dumps, loads
from genii.control.refusal import error_from_json
from genii.control.response import read_body, read_head
from genii.errors import NotAllowed, NotRunning, PeerError, TimedOut
from genii.events.percent import quote
from genii.typed import TYPE_CHECKING
from genii.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Self

    from genii.control.response import Head
    from genii.control.rows import (
        DetailsRow,
        DifferenceRow,
        EventRow,
        LogRow,
        Overview,
        PoolRow,
        ProgramRow,
        QueuedJobRow,
        ResultRow,
        ServerRow,
        StatusRow,
        SupervisorRow,
        UpgradingRow,
    )
    from genii.events.sse import ServerEvent
    from genii.system.address import Address

__all__ = ["Client", "ClientSocket"]

_PIECE = 64 << 10
_PAUSE = 0.05
"""Seconds before a stream that has ended is asked for again."""
_SILENCE = 40.0
"""A stream sends something every 15 seconds; one that is silent for longer is dead."""


class ClientSocket(_socket.socket):
    """A socket that is closed at the end of ``with``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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

    def supervisor(self) -> SupervisorRow:
        """Ask about the supervisor."""
        found: SupervisorRow = self._get("/api/v1/supervisor")
        return found

    def statuses(self, names: Sequence[str] = ()) -> list[StatusRow]:
        """Ask for the state of processes (none named: of all)."""
        return self.overview(names)["processes"]

    def overview(self, names: Sequence[str] = ()) -> Overview:
        """Ask for the state of processes and the figures of pools."""
        query = "&".join(f"name={quote(name)}" for name in names)
        found: Any = self._get(f"/api/v1/processes?{query}")
        try:
            return {"processes": found["processes"], "pools": found.get("pools", [])}
        except (KeyError, TypeError, AttributeError) as error:
            raise PeerError(f"the supervisor answered what this genii does not understand: {error!r}") from error

    def details(self, name: str) -> list[DetailsRow]:
        """Ask all about the processes of one name."""
        rows: list[DetailsRow] = self._get(f"/api/v1/processes/{quote(name)}", "processes")
        return rows

    def recent_events(self) -> list[EventRow]:
        """Ask for the last events."""
        rows: list[EventRow] = self._get("/api/v1/events", "events")
        return rows

    def events(self, *, after: int = -1, heartbeat: float = 15.0) -> Iterator[list[EventRow]]:
        """Yield events as they happen, in batches, until the supervisor ends; an empty one at each heartbeat.

        An upgrade of the supervisor is no end: the stream goes on behind it.
        """
        last = after

        def path() -> str:
            since = f"&after={last}" if last >= 0 else ""
            return f"/api/v1/events?follow=1&heartbeat={heartbeat}{since}"

        for batch in self._stream_on(path):
            events = [loads(event.data) for event in batch]
            last = events[-1]["serial"] if events else last
            yield events

    def recent_logs(self, names: Sequence[str], count: int, since: float, stream: str = "both") -> Iterator[LogRow]:
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
                    yield loads(line)

    def follow_logs(
        self,
        names: Sequence[str],
        count: int,
        since: float,
        stream: str = "both",
        *,
        paced: bool = False,
        marks: bool = False,
    ) -> Iterator[LogRow]:
        """Yield the last lines of logs and then those that are added, until the supervisor ends.

        An upgrade of the supervisor is no end: no line is lost or doubled.
        ``paced`` leaves out what comes faster than anybody could read; ``skipped`` tells how many bytes that were.
        With ``marks`` there is a row without lines as well where the last lines of a log end.
        """
        path = _log_path(names, count, since, stream) + ("&follow=1&paced=1" if paced else "&follow=1")
        places: dict[tuple[str, str], str] = {}
        for batch in self._stream_on(lambda: path + "".join(f"&after={place}" for place in places.values())):
            for event in batch:
                row = loads(event.data)
                if place := row.pop("place", ""):
                    places[row["name"], row["stream"]] = place
                if row["lines"] or row.get("skipped") or marks:
                    yield row

    def live(self) -> Iterator[list[tuple[str, Any]]]:
        """Yield what a full-screen view shows, in batches of (kind, data), see docs/api.md; empty at a heartbeat."""
        for batch in self._stream("/api/v1/live"):
            yield [(event.kind, loads(event.data)) for event in batch]

    def pools(self) -> list[PoolRow]:
        """Ask for the figures of pools."""
        rows: list[PoolRow] = self._get("/api/v1/pools", "pools")
        return rows

    def programs(self) -> list[ProgramRow]:
        """Ask what is declared."""
        rows: list[ProgramRow] = self._get("/api/v1/programs", "programs")
        return rows

    def job_servers(self) -> list[ServerRow]:
        """Ask how the job servers are."""
        rows: list[ServerRow] = self._get("/api/v1/jobs", "servers")
        return rows

    def queued_jobs(self, server: str, function: str) -> list[QueuedJobRow]:
        """Ask for the jobs of a function, those that run first."""
        path = f"/api/v1/jobs/peek?server={quote(server)}&function={quote(function)}&limit=200"
        rows: list[QueuedJobRow] = self._get(path, "jobs")
        return rows

    def peer_pid(self) -> int:
        """Return the pid of who listens, as it is here (SO_PEERCRED, unix(7)); 0: over TCP, or it can't be seen."""
        if not self.address.path:
            return 0
        with self._connect() as connection:
            credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[:4], sys.byteorder)

    # ------------------------------------------------------------------ actions

    def cancel_job(self, server: str, handle: str) -> list[ResultRow]:
        """Drop a job that waits."""
        rows: list[ResultRow] = self._post("/api/v1/jobs/cancel", {"server": server, "handle": handle}, 0.0, "results")
        return rows

    def drain_server(self, server: str) -> list[ResultRow]:
        """Have a job server end when its jobs are done."""
        rows: list[ResultRow] = self._post("/api/v1/jobs/drain", {"server": server}, 0.0, "results")
        return rows

    def send_input(self, name: str, text: str) -> list[ResultRow]:
        """Give a process something to read."""
        rows: list[ResultRow] = self._post("/api/v1/input", {"name": name, "text": text}, 0.0, "results")
        return rows

    def act(self, action: str, names: Sequence[str], *, timeout: float = 0.0, **more: object) -> list[ResultRow]:
        """Ask for ``start``, ``stop``, ``restart``, ``reload``, ``signal`` or ``scale``; waits as long as it takes."""
        query = {"names": list(names), "timeout": timeout, **more}
        rows: list[ResultRow] = self._post(f"/api/v1/{action}", query, timeout, "results")
        return rows

    def update(self, *, dry_run: bool = False) -> DifferenceRow:
        """Have the configuration read again."""
        found: DifferenceRow = self._post("/api/v1/update", {"dry_run": dry_run}, 0.0, "difference")
        return found

    def upgrade(self, origin: dict[str, str] | None) -> UpgradingRow:
        """Have the supervisor replaced by another version, that of ``origin`` or (None) that where it came from."""
        body = {} if origin is None else {"origin": origin}
        found: UpgradingRow = self._post("/api/v1/upgrade", body, 0.0, "")
        return found

    def shutdown(self, patience: float = 0.0) -> None:
        """Have everything stopped; returns when the supervisor says so or is gone."""
        try:
            self._post("/api/v1/shutdown", {}, patience, "state")
        except PeerError:
            return  # it ended before its answer was out

    # ------------------------------------------------------------------ the wire

    def _get(self, path: str, key: str = "") -> Any:
        return self._call("GET", path, None, key, self._timeout)

    def _post(self, path: str, body: object, patience: float, key: str) -> Any:
        # What is asked for may take its time: the supervisor watches the time-out, we only that it lives.
        timeout = patience + self._timeout if patience else None
        return self._call("POST", path, dumps(body).encode(), key, timeout)

    def _call(self, method: str, path: str, body: bytes | None, key: str, timeout: float | None) -> Any:
        head, data, connection = self._send(method, path, body, timeout)
        with connection:
            content = b"".join(read_body(head, data, lambda: self._receive(connection, timeout)))
        if head.status != 200:
            raise error_from_json(head.status, content)
        try:
            answer = loads(content)
            return answer[key] if key else answer
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise PeerError(f"the supervisor answered what this genii does not understand: {error!r}") from error

    def _stream(self, path: str) -> Iterator[list[ServerEvent]]:
        from genii.events.sse import EventReader  # late: most commands ask for something else

        head, data, connection = self._send("GET", path, None, self._timeout)
        with connection:
            pieces = read_body(head, data, lambda: self._receive(connection, _SILENCE))
            if head.status != 200:
                raise error_from_json(head.status, b"".join(pieces))
            reader = EventReader()
            try:
                for piece in pieces:
                    yield reader.feed(piece)
            except PeerError as error:
                raise NotRunning(f"the supervisor at {self.address} is gone: {error}") from error

    def _stream_on(self, path: Callable[[], str]) -> Iterator[list[ServerEvent]]:
        """Yield from a stream until the supervisor ends; after an upgrade from another one, which ``path`` tells."""
        started = self.supervisor()["started"]
        while True:
            cut: NotRunning | None = None
            answered = False
            try:
                for batch in self._stream(path()):
                    answered = True
                    yield batch
            except NotRunning as error:
                if not answered:
                    raise
                cut = error
            time.sleep(_PAUSE)
            if not self._goes_on(started):
                if cut is not None:
                    raise cut
                return

    def _goes_on(self, started: float) -> bool:
        """Say, after a stream has ended, whether its supervisor is there all the same, as another version."""
        try:
            found = self.supervisor()
        except (NotRunning, PeerError):
            return False
        return found["started"] == started and found["state"] != "stopping"

    def _send(
        self, method: str, path: str, body: bytes | None, timeout: float | None
    ) -> tuple[Head, bytes, ClientSocket]:
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

    def _connect(self) -> ClientSocket:
        address = self.address
        try:
            if not address.path:
                import socket

                found = socket.create_connection((address.host or "localhost", address.port), self._timeout)
                connection = ClientSocket(fileno=found.detach())
                connection.settimeout(self._timeout)
                return connection
            connection = ClientSocket(_socket.AF_UNIX, _socket.SOCK_STREAM)
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

    def _receive(self, connection: ClientSocket, timeout: float | None) -> bytes:
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
