from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from genii.gearman.journal import Journal
from genii.gearman.protocol import Kind, PacketReader, request
from genii.gearman.settings import Settings
from genii.testing.job_server import job_servers
from genii.testing.transcript import Conversation, SocketServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genii.testing.job_server import ServerThread

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


@pytest.fixture
def serve() -> Iterator[Callable[..., ServerThread]]:
    """Start job servers that are stopped after the test."""
    with job_servers() as start:
        yield start


class Wire:
    """A plain connection for tests."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = PacketReader()
        self.got: list[tuple[int, bytes]] = []

    def send(self, kind: Kind, *parts: bytes) -> None:
        self.socket.sendall(request(kind, *parts))

    def next(self) -> tuple[int, bytes]:
        while not self.got:
            data = self.socket.recv(1 << 20)
            assert data, "the server closed the connection"
            self.got = self.reader.feed(data)
        return self.got.pop(0)

    def ask(self, kind: Kind, *parts: bytes) -> tuple[int, bytes]:
        self.send(kind, *parts)
        return self.next()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.mark.slow
def test_holds_the_conversations_over_sockets(serve: Callable[..., ServerThread]) -> None:
    for path in TRANSCRIPTS:
        server = serve()
        Conversation(SocketServer(server.port)).run(path)


def test_a_durable_server_keeps_its_jobs_over_a_restart(serve: Callable[..., ServerThread], tmp_path: Path) -> None:
    first = serve(journal=Journal(tmp_path / "journal"))
    with Wire(first.port) as wire:
        for number in range(100):
            wire.send(Kind.SUBMIT_JOB_BG, b"f", b"", b"%d" % number)
        handles = [wire.next()[1] for _ in range(100)]
    first.stop()
    second = serve(journal=Journal(tmp_path / "journal"))
    with Wire(second.port) as wire:
        wire.send(Kind.CAN_DO, b"f")
        for number, handle in enumerate(handles):
            assert wire.ask(Kind.GRAB_JOB) == (Kind.JOB_ASSIGN, b"%b\0f\0%d" % (handle, number))
            wire.send(Kind.WORK_COMPLETE, handle, b"")
        assert wire.ask(Kind.GRAB_JOB) == (Kind.NO_JOB, b"")
    second.stop()
    third = serve(journal=Journal(tmp_path / "journal"))
    assert third.server.broker.jobs == {}


def test_a_large_result_reaches_a_slow_reader_whole(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    payload = bytes(range(256)) * 40_000  # 10 MB
    with Wire(server.port) as client, Wire(server.port) as worker:
        client.send(Kind.SUBMIT_JOB, b"f", b"", b"x")
        handle = client.next()[1]
        worker.send(Kind.CAN_DO, b"f")
        assert worker.ask(Kind.GRAB_JOB)[0] == Kind.JOB_ASSIGN
        worker.send(Kind.WORK_COMPLETE, handle, payload)
        assert worker.ask(Kind.ECHO_REQ, b"done")[0] == Kind.ECHO_RES
        assert client.next() == (Kind.WORK_COMPLETE, handle + b"\0" + payload)


def test_who_never_reads_is_not_read_from_and_the_others_are_unharmed(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    with Wire(server.port) as deaf, Wire(server.port) as other:
        deaf.socket.setblocking(False)
        packet = request(Kind.ECHO_REQ, b"x" * 60_000) * 10
        sent = 0
        stuck_since = time.monotonic()
        while time.monotonic() - stuck_since < 0.5:
            try:
                sent += deaf.socket.send(packet[sent % len(packet) :])
                stuck_since = time.monotonic()
            except BlockingIOError:
                assert other.ask(Kind.ECHO_REQ, b"hello") == (Kind.ECHO_RES, b"hello")
        assert sent < 64 << 20
        links = list(server.server.stalling)
        assert len(links) == 1
        assert links[0].waiting < 8 << 20


def test_who_is_sent_too_much_while_not_reading_is_cut(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    with Wire(server.port) as deaf, Wire(server.port) as worker:
        deaf.send(Kind.SUBMIT_JOB, b"f", b"", b"x")
        handle = deaf.next()[1]
        worker.send(Kind.CAN_DO, b"f")
        assert worker.ask(Kind.GRAB_JOB)[0] == Kind.JOB_ASSIGN
        for _ in range(100):
            worker.send(Kind.WORK_DATA, handle, bytes(1 << 20))
        assert worker.ask(Kind.ECHO_REQ, b"still here") == (Kind.ECHO_RES, b"still here")
        assert len(server.server.broker.peers) == 1


def test_a_thousand_half_open_clients_harm_nobody(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    half = []
    try:
        for _ in range(300):
            connection = socket.create_connection(("127.0.0.1", server.port), 20)
            connection.sendall(b"\0REQ\0\0\0\x07\x0f\xff\xff\xff")
            half.append(connection)
        with Wire(server.port) as other:
            assert other.ask(Kind.ECHO_REQ, b"hello") == (Kind.ECHO_RES, b"hello")
    finally:
        for connection in half:
            connection.close()


def test_graceful_stop_waits_for_the_jobs_and_refuses_new_connections(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    with Wire(server.port) as client, Wire(server.port) as worker:
        client.send(Kind.SUBMIT_JOB, b"f", b"", b"x")
        handle = client.next()[1]
        server.do(lambda: server.server.stop(graceful=True))
        with pytest.raises(ConnectionRefusedError):
            Wire(server.port)
        worker.send(Kind.CAN_DO, b"f")
        assert worker.ask(Kind.GRAB_JOB)[0] == Kind.JOB_ASSIGN
        worker.send(Kind.WORK_COMPLETE, handle, b"done")
        assert client.next() == (Kind.WORK_COMPLETE, handle + b"\0done")
        assert client.socket.recv(1) == b""


def test_shutdown_by_command_stops_the_server(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(b"shutdown\r\n")
        assert connection.recv(100) == b"OK\r\n"
        assert connection.recv(100) == b""


def test_a_scheduled_job_runs_when_its_time_comes(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    with Wire(server.port) as client, Wire(server.port) as worker:
        worker.send(Kind.CAN_DO, b"f")
        worker.send(Kind.PRE_SLEEP)
        assert worker.ask(Kind.ECHO_REQ, b"")[0] == Kind.ECHO_RES
        due = int(time.time()) + 1
        client.send(Kind.SUBMIT_JOB_EPOCH, b"f", b"", b"%d" % due, b"x")
        assert client.next()[0] == Kind.JOB_CREATED
        assert worker.next() == (Kind.NOOP, b"")
        assert time.time() >= due


def test_a_job_that_takes_too_long_fails_at_the_last_attempt(serve: Callable[..., ServerThread]) -> None:
    server = serve(Settings(attempts=1))
    with Wire(server.port) as client, Wire(server.port) as worker:
        worker.send(Kind.CAN_DO_TIMEOUT, b"f", b"1000")
        client.send(Kind.SUBMIT_JOB, b"f", b"", b"x")
        handle = client.next()[1]
        assert worker.ask(Kind.GRAB_JOB)[0] == Kind.JOB_ASSIGN
        assert client.next() == (Kind.WORK_FAIL, handle)


def test_a_mistake_of_ours_ends_one_connection_and_is_logged(
    serve: Callable[..., ServerThread], caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()

    def wrong(*_: object) -> None:
        raise RuntimeError("a bug")

    handlers = server.server.broker._handlers
    handlers |= {code: wrong for code in handlers if code & 0xFF == Kind.ALL_YOURS}
    with Wire(server.port) as victim, Wire(server.port) as other:
        victim.send(Kind.ALL_YOURS)
        assert victim.socket.recv(1) == b""
        assert other.ask(Kind.ECHO_REQ, b"unharmed") == (Kind.ECHO_RES, b"unharmed")
    assert "RuntimeError: a bug" in caplog.text
