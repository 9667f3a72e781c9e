"""Job servers, asked and steered by the API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.compat.conftest import debian, gearmand, install  # noqa: F401 -- fixtures

from genii.control.queues import Queues
from genii.errors import GeniiError, UsageError
from genii.gearman.client import Client
from genii.testing.job_server import ServerThread, job_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def server() -> Iterator[ServerThread]:
    with job_servers() as start:
        yield start()


def test_jobs_that_wait_are_counted_looked_at_and_cancelled(server: ServerThread) -> None:
    with Client([server.address]) as client:
        handles = [str(client.submit("resize", payload)) for payload in (b"one", b"two\x1b[31m")]

    async def main() -> None:
        queues = Queues(lambda: (server.address,))
        (found,) = await queues.servers()
        assert found.error == ""
        assert [(one.name, one.waiting, one.running, one.workers) for one in found.functions] == [("resize", 2, 0, 0)]
        jobs = await queues.peek(server.address, "resize", 10)
        assert [job.handle for job in jobs] == handles
        assert jobs[0].payload == "one"
        assert all(job.payload.isprintable() for job in jobs)
        await queues.cancel(server.address, handles[0])
        assert [job.handle for job in await queues.peek(server.address, "resize", 10)] == handles[1:]

    asyncio.run(main())


@pytest.mark.compat
def test_gearmand_serves_as_well_and_tells_what_it_knows(gearmand: Callable[..., int]) -> None:  # noqa: F811
    address = f"127.0.0.1:{gearmand()}"
    with Client([address]) as client:
        handle = str(client.submit("resize", b"one"))

    async def main() -> None:
        queues = Queues(lambda: (address,))
        (found,) = await queues.servers()
        (function,) = [one for one in found.functions if one.name == "resize"]
        assert (found.error, function.waiting, function.running, function.workers) == ("", 1, 0, 0)
        assert (function.completed, function.failed, function.median, function.late) == (None,) * 4
        with pytest.raises(GeniiError, match="can't list the jobs of one function"):
            await queues.peek(address, "resize", 10)
        assert [job.handle for job in await queues.peek(address, "", 10)] == [handle]
        with pytest.raises(GeniiError, match="end it where it runs"):
            await queues.drain(address)

    asyncio.run(main())


def test_only_servers_of_the_configuration_can_be_reached(server: ServerThread) -> None:
    async def main() -> None:
        queues = Queues(tuple)
        assert await queues.servers() == []
        with pytest.raises(UsageError, match="no job server of this configuration"):
            await queues.peek(server.address, "", 1)
        with pytest.raises(UsageError):
            await queues.drain("169.254.169.254:80")

    asyncio.run(main())


def test_a_server_that_does_not_answer_is_told_as_such() -> None:
    async def main() -> None:
        (found,) = await Queues(lambda: ("127.0.0.1:1",)).servers()
        assert "no job server answers" in found.error

    asyncio.run(main())


@pytest.mark.parametrize("word", ["a b", "a\r\nshutdown", "a\tb"])
def test_nothing_can_be_smuggled_into_the_text_protocol(server: ServerThread, word: str) -> None:
    async def main() -> None:
        queues = Queues(lambda: (server.address,))
        with pytest.raises(GeniiError):
            await queues.cancel(server.address, word)
        with pytest.raises(GeniiError):
            await queues.peek(server.address, word, 1)

    asyncio.run(main())
