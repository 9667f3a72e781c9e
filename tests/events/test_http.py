"""The server on real sockets: transcripts of the wire, bad manners, faults."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from genii.events.http import Server
from genii.events.message import HttpError, Request, Response
from genii.events.router import Router
from genii.events.wire import Limits
from genii.system.listen import listen_tcp, listen_unix

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from genii.events.http import Handler

PATIENCE = 20.0


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)

    async def answer(self, *, head_only: bool = False) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = b"" if head_only else await self.reader.readexactly(int(headers.get("content-length", 0)))
            return int(status.split()[1]), headers, body

    async def rest(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read(-1)

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return


@asynccontextmanager
async def serving(
    handler: Handler, limits: Limits | None = None
) -> AsyncIterator[tuple[Server, Callable[[], Awaitable[Client]]]]:
    server = Server(handler, limits=limits)
    sockets = listen_tcp("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    await server.listen(sockets)
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        return clients[-1]

    try:
        yield server, connect
    finally:
        await server.close(grace=0.1)
        for client in clients:
            await client.close()


def hello(request: Request) -> Response:
    return Response.text(f"{request.method} {request.target} {request.body.decode()}")


def test_answers_get_in_one_piece() -> None:
    async def main() -> None:
        async with serving(hello) as (_, connect):
            client = await connect()
            client.send("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n")
            status, headers, body = await client.answer()
            assert (status, body) == (200, b"GET /a?b=c ")
            assert headers["content-type"] == "text/plain; charset=utf-8"
            assert "date" in headers

    asyncio.run(main())


def test_keeps_the_connection_for_more_requests() -> None:
    async def main() -> None:
        async with serving(hello) as (server, connect):
            client = await connect()
            for number in range(3):
                client.send(f"POST /{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
                assert (await client.answer())[2] == f"POST /{number} hi".encode()
            assert server.statistics().accepted == 1
            assert server.statistics().requests == 3

    asyncio.run(main())


def test_answers_pipelined_requests_in_order_although_the_first_takes_longest() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def first(request: Request) -> Response:
            await gate.wait()
            return Response.text(request.path)

        def handler(request: Request) -> Response | Awaitable[Response]:
            return first(request) if request.path == "/0" else Response.text(request.path)

        async with serving(handler) as (server, connect):
            client = await connect()
            client.send("".join(f"GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n" for number in range(200)))
            await client.writer.drain()
            asyncio.get_running_loop().call_later(0.05, gate.set)
            for number in range(200):
                assert (await client.answer())[2] == f"/{number}".encode()
            assert server.statistics().requests == 200

    asyncio.run(main())


def test_head_is_get_without_the_body() -> None:
    async def main() -> None:
        router = Router()
        router.add("GET", "/", lambda request: Response.text("12345"))
        async with serving(router) as (_, connect):
            client = await connect()
            client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await client.answer(head_only=True))[1]["content-length"] == "5"
            assert (await client.rest()).endswith(b"\r\n\r\n12345")

    asyncio.run(main())


def test_a_request_in_single_bytes_is_understood() -> None:
    async def main() -> None:
        async with serving(hello) as (_, connect):
            client = await connect()
            for byte in b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
                client.send(bytes((byte,)))
                await client.writer.drain()
                await asyncio.sleep(0)
            assert (await client.answer())[2] == b"POST /x abc"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00\xff\xfe garbage\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" + b"x" * 4096 + b"\r\nzz\r\n",
            400,
        ),
        (b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"a" * 40000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(5000)) + b"\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
def test_what_is_broken_is_refused_and_the_connection_closed(sent: bytes, status: int) -> None:
    async def main() -> None:
        async with serving(hello) as (_, connect):
            client = await connect()
            client.send(sent)
            answer, headers, _ = await client.answer()
            assert answer == status
            assert headers["connection"] == "close"
            assert await client.rest() == b""
            other = await connect()
            other.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await other.answer())[0] == 200

    asyncio.run(main())


def test_requests_before_the_broken_one_are_answered() -> None:
    async def main() -> None:
        async with serving(hello) as (_, connect):
            client = await connect()
            client.send("GET /good HTTP/1.1\r\nHost: x\r\n\r\nrubbish\r\n\r\n")
            assert (await client.answer())[2] == b"GET /good "
            assert (await client.answer())[0] == 400

    asyncio.run(main())


def test_a_chunked_body_beyond_the_limit_is_refused() -> None:
    async def main() -> None:
        async with serving(hello, Limits(body=1000)) as (_, connect):
            client = await connect()
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n0\r\n\r\n")
            assert (await client.answer())[0] == 413

    asyncio.run(main())


def test_half_a_header_is_answered_408_and_half_a_body_too() -> None:
    async def main() -> None:
        async with serving(hello, Limits(head_time=0.2, body_time=0.2)) as (_, connect):
            for sent in ("GET / HTTP/1.1\r\nHo", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab", ""):
                client = await connect()
                client.send(sent)
                assert (await client.answer())[0] == 408
                assert await client.rest() == b""

    asyncio.run(main())


def test_an_idle_connection_is_closed_without_a_word() -> None:
    async def main() -> None:
        async with serving(hello, Limits(idle_time=0.2)) as (_, connect):
            client = await connect()
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.answer()
            assert await client.rest() == b""

    asyncio.run(main())


def test_hundreds_of_half_requests_do_not_keep_others_out() -> None:
    async def main() -> None:
        async with serving(hello, Limits(connections=2000)) as (_, connect):
            for _ in range(200):
                (await connect()).send("GET / HTTP/1.1\r\nHo")
            client = await connect()
            client.send("GET /through HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.answer())[2] == b"GET /through "

    asyncio.run(main())


def test_who_only_sits_there_makes_room_for_who_asks() -> None:
    async def main() -> None:
        async with serving(hello, Limits(connections=10)) as (server, connect):
            sitting = [await connect() for _ in range(10)]
            for client in sitting[:5]:
                client.send("GET / HTTP/1.1\r\nHo")
            for client in sitting[5:]:
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await client.answer())[0] == 200
            for _ in range(8):
                client = await connect()
                client.send("GET /asked HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await client.answer())[2] == b"GET /asked "
            assert (await sitting[0].answer())[0] == 503
            assert await sitting[5].rest() == b""
            assert server.statistics().refused == 0

    asyncio.run(main())


def test_connections_beyond_the_limit_are_told_so_when_all_others_are_at_work() -> None:
    async def main() -> None:
        gate, begun = asyncio.Event(), asyncio.Semaphore(0)

        async def slow(request: Request) -> Response:
            begun.release()
            await gate.wait()
            return Response.text("done")

        async with serving(slow, Limits(connections=2)) as (server, connect):
            working = [await connect(), await connect()]
            for client in working:
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                async with asyncio.timeout(PATIENCE):
                    await begun.acquire()
            third = await connect()
            assert (await third.answer())[0] == 503
            assert server.statistics().refused == 1
            gate.set()
            assert [(await client.answer())[2] for client in working] == [b"done", b"done"]

    asyncio.run(main())


def test_a_broken_handler_is_logged_and_answered_500(caplog: pytest.LogCaptureFixture) -> None:
    def broken(request: Request) -> Response:
        raise RuntimeError("secret detail")

    async def broken_later(request: Request) -> Response:
        raise RuntimeError("secret detail")

    async def main() -> None:
        for handler in (broken, broken_later):
            async with serving(handler) as (server, connect):
                client = await connect()
                client.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
                status, _, body = await client.answer()
                assert status == 500
                assert b"secret" not in body
                client.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await client.answer())[0] == 500
                assert server.statistics().failures == 2

    with caplog.at_level(logging.ERROR, "genii.http"):
        asyncio.run(main())
    assert "GET /x failed" in caplog.text
    assert "secret detail" in caplog.text


def test_a_header_with_a_line_break_is_never_sent(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        evil = Response(200, b"", headers={"X": "a\r\nSet-Cookie: b"})
        async with serving(lambda request: evil) as (_, connect):
            client = await connect()
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            status, headers, _ = await client.answer()
            assert status == 500
            assert "set-cookie" not in headers

    asyncio.run(main())
    assert "line break" in caplog.text


def test_a_stream_comes_in_chunks_and_the_connection_lives_on() -> None:
    async def numbers() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d," % number
            yield b""

    async def main() -> None:
        async with serving(lambda request: Response(stream=numbers())) as (_, connect):
            client = await connect()
            for _ in range(2):
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await client.answer(head_only=True))[1]["transfer-encoding"] == "chunked"
                async with asyncio.timeout(PATIENCE):
                    body = await client.reader.readuntil(b"0\r\n\r\n")
                assert body == b"2\r\n0,\r\n2\r\n1,\r\n2\r\n2,\r\n0\r\n\r\n"

    asyncio.run(main())


def test_a_client_of_http_1_0_gets_the_stream_as_it_is() -> None:
    async def numbers() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async def main() -> None:
        async with serving(lambda request: Response(stream=numbers())) as (_, connect):
            client = await connect()
            client.send("GET / HTTP/1.0\r\n\r\n")
            assert (await client.rest()).endswith(b"\r\n\r\nonetwo")

    asyncio.run(main())


def test_a_stream_that_breaks_is_cut_so_that_the_client_sees_it(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise RuntimeError("disk gone")

    async def main() -> None:
        async with serving(lambda request: Response(stream=broken())) as (_, connect):
            client = await connect()
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with suppress(ConnectionResetError):
                assert not (await client.rest()).endswith(b"0\r\n\r\n")

    asyncio.run(main())
    assert "disk gone" in caplog.text


def test_a_stream_ends_when_its_client_leaves() -> None:
    async def main() -> None:
        left = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await asyncio.Event().wait()
            finally:
                left.set()

        async with serving(lambda request: Response.events(endless())) as (_, connect):
            client = await connect()
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.answer(head_only=True)
            await client.close()
            async with asyncio.timeout(PATIENCE):
                await left.wait()

    asyncio.run(main())


def test_a_slow_reader_holds_the_source_back_instead_of_filling_memory() -> None:
    async def main() -> None:
        produced = 0
        stalled = asyncio.Event()
        loop = asyncio.get_running_loop()

        def look(seen: int) -> None:
            if seen == produced:
                stalled.set()

        async def source() -> AsyncIterator[bytes]:
            nonlocal produced
            for _ in range(1000):
                produced += 1
                loop.call_later(0.3, look, produced)
                yield b"x" * 65536

        async with serving(lambda request: Response(stream=source())) as (_, connect):
            client = await connect()
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                await stalled.wait()
                assert produced < 900
                total = 0
                while total < 1000 * 65536:
                    total += len(await client.reader.read(1 << 20))

    asyncio.run(main())


def test_a_client_that_reads_nothing_is_cut_off() -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def source() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 65536
            finally:
                ended.set()

        async with serving(lambda request: Response(stream=source()), Limits(send_time=0.3)) as (_, connect):
            client = await connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                await ended.wait()

    asyncio.run(main())


def test_a_client_that_waits_for_continue_gets_it() -> None:
    async def main() -> None:
        async with serving(hello) as (_, connect):
            client = await connect()
            client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send("ok")
            assert (await client.answer())[2] == b"POST / ok"

    asyncio.run(main())


def test_a_client_that_has_sent_its_last_byte_still_gets_its_answer() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def slow(request: Request) -> Response:
            await gate.wait()
            return Response.text("late")

        async with serving(slow) as (_, connect):
            client = await connect()
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            client.writer.write_eof()
            asyncio.get_running_loop().call_later(0.1, gate.set)
            assert (await client.rest()).endswith(b"\r\n\r\nlate")

    asyncio.run(main())


def test_a_handler_is_not_interrupted_when_its_client_leaves() -> None:
    async def main() -> None:
        begun, gate, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(request: Request) -> Response:
            begun.set()
            await gate.wait()
            done.set()
            return Response.text("for nobody")

        async with serving(slow) as (_, connect):
            client = await connect()
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                await begun.wait()
                client.writer.transport.abort()
                gate.set()
                await done.wait()

    asyncio.run(main())


def test_closing_lets_the_running_request_finish_and_ends_streams() -> None:
    async def main() -> None:
        begun, gate = asyncio.Event(), asyncio.Event()

        async def slow(request: Request) -> Response:
            begun.set()
            await gate.wait()
            return Response.text("done")

        async def endless() -> AsyncIterator[bytes]:
            yield b"tick"
            await asyncio.Event().wait()

        def handler(request: Request) -> Response | Awaitable[Response]:
            return slow(request) if request.path == "/slow" else Response.events(endless())

        async with serving(handler) as (server, connect):
            working, listening, idle = await connect(), await connect(), await connect()
            working.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            listening.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            await listening.answer(head_only=True)
            async with asyncio.timeout(PATIENCE):
                await begun.wait()
            closing = asyncio.create_task(server.close(grace=PATIENCE))
            assert (await listening.rest()).endswith(b"0\r\n\r\n")
            assert await idle.rest() == b""
            gate.set()
            status, headers, body = await working.answer()
            assert (status, headers["connection"], body) == (200, "close", b"done")
            for client in (working, listening):
                await client.close()
            await closing

    asyncio.run(main())


def test_who_connects_before_it_serves_is_answered_then() -> None:
    async def main() -> None:
        served = False
        server = Server(lambda _request: Response.text(str(served)))
        listener = socket.create_server(("127.0.0.1", 0))
        await server.listen([listener], start_serving=False)
        client = Client(*await asyncio.open_connection(*listener.getsockname()))
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(20):
            await asyncio.sleep(0)
        served = True
        await server.start_serving()
        assert (await client.answer())[2] == b"True"
        await client.close()
        await server.close(0.1)

    asyncio.run(main())


def test_an_inherited_socket_without_a_protocol_number_still_answers_without_delay() -> None:
    async def main() -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        seen: list[int] = []

        def handler(request: Request) -> Response:
            (connection,) = server.open
            raw = connection._transport.get_extra_info("socket")
            seen.append(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            return Response.text("")

        server = Server(handler)
        await server.listen([listener])
        client = Client(*await asyncio.open_connection(*listener.getsockname()))
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.answer()
        assert seen == [1]
        await client.close()
        await server.close(0.1)

    asyncio.run(main())


def test_a_unix_socket_tells_who_is_there(tmp_path: Path) -> None:
    import os

    async def main() -> None:
        def who(request: Request) -> Response:
            return Response.text(f"{request.peer.uid} {request.peer.pid}")

        server = Server(who)
        path = str(tmp_path / "s")
        await server.listen([listen_unix(path)])
        assert os.stat(path).st_mode & 0o777 == 0o600
        client = Client(*await asyncio.open_unix_connection(path))
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer())[2] == f"{os.getuid()} {os.getpid()}".encode()
        await client.close()
        await server.close(0.1)

    asyncio.run(main())


def test_errors_meant_for_the_client_keep_their_status_and_headers() -> None:
    def refuse(request: Request) -> Response:
        raise HttpError(429, "not so fast", headers={"Retry-After": "3"})

    async def main() -> None:
        async with serving(refuse) as (_, connect):
            client = await connect()
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            status, headers, body = await client.answer()
            assert (status, headers["retry-after"], body) == (429, "3", b"not so fast\n")

    asyncio.run(main())
