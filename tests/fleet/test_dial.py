"""TCP connections by name, to addresses that answer, refuse, or are silent."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.ports import free_port

from genii.fleet import dial as module
from genii.fleet.dial import dial, interleave

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genii.fleet.dial import Address


def address(place: str, port: int = 22) -> Address:
    family = socket.AF_INET6 if ":" in place else socket.AF_INET
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (place, port))


@contextmanager
def listening(backlog: int = 5) -> Iterator[tuple[socket.socket, int]]:
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        yield listener, listener.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of 127.0.0.1 at which nobody answers: its queue is full, and the kernel drops what comes."""
    with listening(backlog=0) as (_, port):
        queued = [socket.socket() for _ in range(3)]
        for link in queued:
            link.setblocking(False)
            link.connect_ex(("127.0.0.1", port))
        yield port
        for link in queued:
            link.close()


def resolves_to(*found: Address) -> object:
    async def resolve(host: str, port: int, family: int) -> list[Address]:
        return list(found)

    return resolve


def reach(host: str, port: int, family: int = socket.AF_UNSPEC) -> tuple[str, int]:
    """Dial, and return whom the socket is connected to."""

    async def main() -> tuple[str, int]:
        with closing(await dial(host, port, family)) as link:
            assert link.gettimeout() == 0.0
            name = link.getpeername()
            return name[0], name[1]

    return asyncio.run(main())


def test_the_families_take_turns_and_the_first_is_as_it_was() -> None:
    six, four = [address(f"2001:db8::{number}") for number in range(3)], [address("192.0.2.1"), address("192.0.2.2")]
    assert interleave([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert interleave([*four, *six[:1]]) == [four[0], six[0], four[1]]
    assert interleave(four) == four


def test_an_address_needs_no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be looked up")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", never)
    with listening() as (_, port):
        assert reach("127.0.0.1", port) == ("127.0.0.1", port)


def test_a_name_is_looked_up() -> None:
    with listening() as (_, port):
        assert reach("localhost", port, socket.AF_INET) == ("127.0.0.1", port)


def test_a_name_that_does_not_resolve_is_told() -> None:
    with pytest.raises(socket.gaierror):
        reach("nowhere.invalid", 22)


def test_an_address_that_refuses_is_told() -> None:
    with pytest.raises(ConnectionRefusedError):
        reach("127.0.0.1", free_port())


def test_the_next_address_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as (_, port):
        found = resolves_to(address("127.0.0.1", free_port()), address("127.0.0.1", port))
        monkeypatch.setattr(module, "_resolve", found)
        assert reach("both", 22) == ("127.0.0.1", port)


def test_the_next_address_is_tried_while_one_is_silent(monkeypatch: pytest.MonkeyPatch, silent: int) -> None:
    with listening() as (_, port):
        monkeypatch.setattr(module, "_resolve", resolves_to(address("127.0.0.1", silent), address("127.0.0.1", port)))
        assert reach("both", 22) == ("127.0.0.1", port)


def test_the_last_error_is_told_when_all_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    unreachable = address("255.255.255.255", 22)  # no TCP to all
    monkeypatch.setattr(module, "_resolve", resolves_to(unreachable, address("127.0.0.1", free_port())))
    with pytest.raises(ConnectionRefusedError):
        reach("both", 22)


def test_nothing_stays_open_when_it_is_given_up(monkeypatch: pytest.MonkeyPatch, silent: int) -> None:
    monkeypatch.setattr(module, "_resolve", resolves_to(*[address("127.0.0.1", silent)] * 2))
    opened: list[socket.socket] = []

    async def main() -> None:
        loop, both = asyncio.get_running_loop(), asyncio.Event()
        connect = loop.sock_connect

        async def noted(link: socket.socket, place: tuple[str, int]) -> None:
            opened.append(link)
            if len(opened) == 2:
                both.set()
            await connect(link, place)

        monkeypatch.setattr(loop, "sock_connect", noted)
        task = asyncio.create_task(dial("both", 22))
        await both.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [link.fileno() for link in opened] == [-1, -1]
