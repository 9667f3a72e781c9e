"""Passwords over TCP, with the real server."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from genii.control.auth import PasswordGuard
from genii.control.client import Client
from genii.control.password import hash_password
from genii.errors import NotAllowed
from genii.events.message import HttpError, Peer, Request, Response
from genii.supervise.model import Http
from genii.testing.served import ServedTarget

if TYPE_CHECKING:
    from pathlib import Path

    from genii.supervise.model import Settings

SECRET = hash_password("right", b"0123456789abcdef")
HTTP = Http(username="me", password=SECRET, readonly_username="eye", readonly_password="look")


def with_http(settings: Settings, http: Http) -> Settings:
    from msgspec.structs import replace

    return replace(settings, http=http)


def test_the_right_password_lets_in_and_the_wrong_one_does_not(settings: Settings, tmp_path: Path) -> None:
    with ServedTarget(with_http(settings, HTTP), str(tmp_path / "s")) as served:
        assert Client(served.tcp, user="me", password="right").act("start", ["web"])[0]["ok"]
        for user, password in (("me", "wrong"), ("you", "right"), ("eye", "right"), ("", "")):
            with pytest.raises(NotAllowed, match="password"):
                Client(served.tcp, user=user, password=password).statuses()


def test_a_reader_may_look_and_not_touch(settings: Settings, tmp_path: Path) -> None:
    with ServedTarget(with_http(settings, HTTP), str(tmp_path / "s")) as served:
        reader = Client(served.tcp, user="eye", password="look")
        assert len(reader.statuses()) == 3
        with pytest.raises(NotAllowed, match="only read"):
            reader.act("stop", ["all"])


def test_the_unix_socket_needs_no_password(settings: Settings, tmp_path: Path) -> None:
    with ServedTarget(with_http(settings, HTTP), str(tmp_path / "s")) as served:
        assert len(served.client().statuses()) == 3


def header(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def request(authorization: str = "", path: str = "/api/v1/processes", address: str = "10.0.0.9:1") -> Request:
    headers = {"host": "x", **({"authorization": authorization} if authorization else {})}
    return Request("GET", path, headers, peer=Peer(address))


async def ask(guard: PasswordGuard, asked: Request) -> int:
    try:
        answer = guard(asked)
        return (answer if isinstance(answer, Response) else await answer).status
    except HttpError as error:
        return error.status


def test_a_verified_password_is_not_hashed_again() -> None:
    async def main() -> None:
        guard = PasswordGuard(lambda _: Response.text("in"), HTTP)
        assert await ask(guard, request(header("me", "right"))) == 200
        assert isinstance(guard(request(header("me", "right"))), Response)

    asyncio.run(main())


def test_guessing_is_slowed_down_for_the_guesser_alone() -> None:
    async def main() -> None:
        now = [0.0]
        guard = PasswordGuard(lambda _: Response.text("in"), Http(username="me", password="right"), lambda: now[0])
        assert await ask(guard, request(header("me", "right"))) == 200
        assert [await ask(guard, request(header("me", f"guess {n}"))) for n in range(6)] == [401] * 5 + [429]
        assert await ask(guard, request(header("me", "right"))) == 200, "who is known already is not held up"
        assert await ask(guard, request(header("me", "no"), address="10.0.0.10:1")) == 401
        now[0] = 61.0
        assert await ask(guard, request(header("me", "no"))) == 401

    asyncio.run(main())


def test_a_crowd_of_checks_does_not_queue_for_ever() -> None:
    async def main() -> None:
        guard = PasswordGuard(lambda _: Response.text("in"), HTTP)
        asked = [request(header("me", f"guess {n}"), address=f"10.0.0.{n}:1") for n in range(30)]
        answers = await asyncio.gather(*(ask(guard, one) for one in asked))
        assert set(answers) == {401, 429}

    asyncio.run(main())


def test_health_is_public_and_metrics_only_where_said() -> None:
    async def main() -> None:
        for public, status in ((False, 401), (True, 200)):
            http = Http(username="me", password="x", metrics_public=public)
            guard = PasswordGuard(lambda _: Response.text("in"), http)
            assert await ask(guard, request(path="/metrics")) == status
            assert await ask(guard, request(path="/health")) == 200

    asyncio.run(main())
