"""The clients and the worker with our own server, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.waiting import wait_until

from genii.errors import ConnectionLost, JobFailed, JobRefused, NotRunning, TimedOut, UsageError
from genii.gearman.admin import Admin
from genii.gearman.async_client import AsyncClient
from genii.gearman.calls import Report
from genii.gearman.client import Client
from genii.gearman.pool import read_servers
from genii.gearman.worker import RunningJob, Worker
from genii.testing.job_server import job_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genii.testing.job_server import ServerThread


@pytest.fixture
def serve() -> Iterator[Callable[..., ServerThread]]:
    """Start job servers that are stopped after the test."""
    with job_servers() as start:
        yield start


class Text(Worker):
    def reverse(self, data: bytes) -> bytes:
        return data[::-1]

    def fail(self, data: bytes) -> bytes:
        raise ValueError(f"can't do {data.decode()}")

    def refuse(self, data: bytes) -> bytes:
        raise JobFailed("no reason given")

    def tell(self, data: bytes, job: RunningJob) -> bytes:
        job.progress(1, 2)
        job.send(b"part")
        job.warn("careful")
        return data

    def _helper(self, data: bytes) -> bytes:
        return data

    def CONSTANT(self, data: bytes) -> bytes:  # noqa: N802 -- that is the point
        return data


class Slow(Text):
    async def wait(self, data: bytes) -> bytes:
        await asyncio.sleep(0.01)
        return data


@contextlib.contextmanager
def working(worker: Worker) -> Iterator[Worker]:
    thread = threading.Thread(target=worker.run, kwargs={"signals": False}, daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("kind", [Text, Slow])
def test_jobs_run_and_their_results_come_back(serve: Callable[..., ServerThread], kind: type[Text]) -> None:
    server = serve()
    name = kind.__name__
    with working(kind(server.address)), Client(server.address, timeout=20) as client:
        assert client.call(f"{name}::reverse", b"hello") == b"olleh"
        reports: list[Report] = []
        assert client.call(f"{name}::tell", b"x", on_report=reports.append) == b"x"
        assert reports == [Report("status", (1, 2)), Report("data", b"part"), Report("warning", b"careful")]
        assert list(client.map(f"{name}::reverse", [b"%03d" % n for n in range(300)], window=50))[123] == b"321"


@pytest.mark.parametrize("kind", [Text, Slow])
def test_an_exception_reaches_the_client_and_the_worker_goes_on(
    serve: Callable[..., ServerThread], kind: type[Text]
) -> None:
    server = serve()
    name = kind.__name__
    with working(kind(server.address)), Client(server.address, timeout=20) as client:
        with pytest.raises(JobFailed, match="ValueError: can't do this") as caught:
            client.call(f"{name}::fail", b"this")
        assert caught.value.exception == b"ValueError: can't do this"
        with pytest.raises(JobFailed, match=r"failed$"):
            client.call(f"{name}::refuse", b"")
        assert client.call(f"{name}::reverse", b"ab") == b"ba"


def test_only_public_methods_are_jobs() -> None:
    assert Text().functions == ["Text::fail", "Text::refuse", "Text::reverse", "Text::tell"]
    assert Text(prefix="x", separator=".").functions[0] == "x.fail"
    assert Text(prefix="").functions[0] == "fail"
    assert "Slow::reverse" in Slow().functions


def test_a_job_can_not_replace_a_method_of_the_worker() -> None:
    class Wrong(Worker):
        def stop(self) -> None: ...

    with pytest.raises(UsageError, match=r"Wrong\.stop can't be a job"):
        Wrong()


def test_plain_functions_and_values_by_codec(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    worker = Worker(server.address, codec="json")
    worker.register(sum, "sum")
    worker.register(lambda value: value * 2, "double")
    with working(worker), Client(server.address, codec="json", timeout=20) as client:
        assert client.call("double", 21) == 42
        assert client.map_reduce("double", [1, 2, 3], "sum") == 12
        with pytest.raises(JobFailed, match="TypeError"):
            client.call("sum", 1)


def test_a_worker_without_jobs_says_so() -> None:
    with pytest.raises(UsageError, match="Worker offers no jobs"):
        Worker().run()


def test_a_worker_ends_after_its_jobs(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    with Client(server.address, timeout=20) as client:
        handles = client.submit_many("Text::reverse", [b"x"] * 5)
        Text(server.address, max_jobs=3).run(signals=False)
        assert [client.status(handle).known for handle in handles] == [False, False, False, True, True]


def test_background_jobs_wait_and_their_status_is_known(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    with Client(server.address, timeout=20) as client:
        handle = client.submit("Text::reverse", b"x", unique="once", priority="high")
        assert client.submit("Text::reverse", b"x", unique="once") == handle
        assert client.status(handle).known
        assert client.status_unique("once").known
        assert not client.status_unique("twice").known
        with working(Text(server.address)):
            wait_until(lambda: not client.status(handle).known)


def test_a_job_for_later_runs_later(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    with Client(server.address, timeout=20) as client, working(Text(server.address)):
        begin = time.time()
        handle = client.submit("Text::reverse", b"x", after=0.5)
        wait_until(lambda: not client.status(handle).known)
        assert time.time() - begin >= 0.5


def test_a_time_out_does_not_spoil_the_connection(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    with Client(server.address, timeout=20) as client:
        with pytest.raises(TimedOut, match="Text::reverse"):
            client.call("Text::reverse", b"too late", timeout=0.05)
        with working(Text(server.address)):
            assert client.call("Text::reverse", b"ab") == b"ba"


def test_a_full_queue_refuses(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    with Client(server.address, timeout=20) as client, Admin(read_servers(server.address)[0]) as admin:
        admin.create_function("f")
        admin.limit("f", 1, 1, 1)
        client.submit("f", b"one")
        with pytest.raises(JobRefused, match="Job queue is full"):
            client.submit("f", b"two")


def test_the_next_server_is_used_when_one_fails(serve: Callable[..., ServerThread]) -> None:
    first, second = serve(), serve()
    with Client([first.address, second.address], timeout=20, shuffle=False) as client:
        assert client.submit("f", b"x").server == read_servers(first.address)[0]
        first.stop()
        handle = client.submit("f", b"x")
        assert handle.server == read_servers(second.address)[0]
        assert client.status(handle).known


def test_tells_that_no_server_answers() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        client = Client(f"127.0.0.1:{port}")
        with pytest.raises(NotRunning, match=rf"no job server answers: 127.0.0.1:{port} \(Connection refused\)"):
            client.call("f")


def test_a_lost_connection_is_told_and_tried_again_if_asked_to(serve: Callable[..., ServerThread]) -> None:
    first, second = serve(), serve()
    with Client([first.address, second.address], timeout=20, shuffle=False) as client, working(Text(second.address)):
        stopper = threading.Timer(0.2, first.stop)
        stopper.start()
        assert client.call("Text::reverse", b"ab", retries=1) == b"ba"
        stopper.join()
        third = serve()
    with Client(third.address, timeout=20) as lonely:
        stopper = threading.Timer(0.2, third.stop)
        stopper.start()
        with pytest.raises(ConnectionLost):
            lonely.call("f")
        stopper.join()


def test_a_worker_comes_back_to_a_server_that_was_gone(serve: Callable[..., ServerThread]) -> None:
    first = serve()
    with working(Text([first.address])):
        with Client(first.address, timeout=20) as client:
            assert client.call("Text::reverse", b"ab") == b"ba"
        first.stop()
        second = serve(port=first.port)
        with Client(second.address, timeout=20) as client:
            assert client.call("Text::reverse", b"cd") == b"dc"


def test_a_worker_leaves_a_connection_that_died_unseen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(20)
        worker = Text(f"127.0.0.1:{mute.getsockname()[1]}", heartbeat=0.05)
        with working(worker):
            first, _ = mute.accept()
            second, _ = mute.accept()
            with first, second:
                assert first.recv(100)


def test_a_worker_serves_several_servers(serve: Callable[..., ServerThread]) -> None:
    servers = [serve() for _ in range(3)]
    with working(Text([server.address for server in servers])):
        for server in servers * 3:
            with Client(server.address, timeout=20) as client:
                assert client.call("Text::reverse", b"ab") == b"ba"


def test_asyncio_client_and_worker_share_a_loop(serve: Callable[..., ServerThread]) -> None:
    server = serve()

    async def main() -> None:
        worker = Slow(server.address)
        working = asyncio.create_task(worker.serve(concurrency=20))
        async with AsyncClient(server.address, timeout=20) as client:
            results = [result async for result in client.map("Slow::wait", [b"%d" % n for n in range(100)])]
            assert results == [b"%d" % n for n in range(100)]
            with pytest.raises(JobFailed, match="ValueError"):
                await client.call("Slow::fail", b"x")
            handle = await client.submit("Slow::reverse", b"x", after=3600)
            assert (await client.status(handle)).known
            handles = await client.submit_many("nobody", [b"1", b"2", b"3"], window=2)
            assert [(await client.status(handle)).known for handle in handles] == [True] * 3
            assert await client.echo(b"hello") == b"hello"
            with pytest.raises(TimedOut):
                await client.call("nobody", timeout=0.05)
            assert await client.call("Slow::reverse", b"ab") == b"ba"
        worker.stop()
        await working

    asyncio.run(main())


def test_asyncio_client_goes_to_the_next_server(serve: Callable[..., ServerThread]) -> None:
    first, second = serve(), serve()

    async def main() -> None:
        async with AsyncClient([first.address, second.address], timeout=20, shuffle=False) as client:
            assert (await client.submit("f", b"x")).server == read_servers(first.address)[0]
            await asyncio.to_thread(first.stop)
            with contextlib.suppress(ConnectionLost):  # if the end has not reached the client yet
                await client.submit("f", b"x")
            handle: Any = await client.submit("f", b"x")
            assert handle.server == read_servers(second.address)[0]

    asyncio.run(main())


class Unlucky(AsyncClient):
    """A client whose connections are lost as soon as they are open, before anything is asked on them."""

    async def _open(self, address: Any) -> Any:
        connection = await super()._open(address)
        assert connection.transport is not None
        connection.transport.abort()
        return connection


def test_nothing_waits_on_a_connection_that_was_lost_as_it_opened(serve: Callable[..., ServerThread]) -> None:
    async def main() -> None:
        async with Unlucky(serve().address, timeout=20) as client:
            calls = [client.call("f", b"x") for _ in range(3)]
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(error) for error in found] == [NotRunning] * 3, found

    asyncio.run(main())


def test_jobs_that_run_are_finished_before_a_worker_ends(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    begun, go = threading.Event(), threading.Event()

    def slow(data: bytes) -> bytes:
        begun.set()
        go.wait(20)
        return data

    worker = Worker(server.address)
    worker.register(slow)
    results: list[bytes] = []
    with Client(server.address, timeout=20) as client:
        calling = threading.Thread(target=lambda: results.append(client.call("slow", b"x")))
        with working(worker):
            calling.start()
            assert begun.wait(20)
            worker.stop()
            go.set()
        calling.join(20)
    assert results == [b"x"]


def test_admin_tells_what_the_server_has(serve: Callable[..., ServerThread]) -> None:
    server = serve()
    with Admin(read_servers(server.address)[0]) as admin, Client(server.address, timeout=20) as client:
        handle = client.submit("f", b"pay\tload", unique="key", priority="low")
        assert admin.status() == [("f", 1, 0, 0, 0, 0, 1)]
        rows = admin.jobs("f")
        assert [(row.handle, row.state, row.priority, row.unique, row.size, row.payload) for row in rows] == [
            (handle, "queued", "low", "key", 8, "pay\\tload")
        ]
        with working(Text(server.address, client_id="me")):
            wait_until(admin.workers)
            assert admin.workers()[0].client_id == "me"
        admin.cancel(handle)
        assert admin.jobs() == []
        admin.drop_function("f")
        assert "f" not in [row.name for row in admin.status()]
