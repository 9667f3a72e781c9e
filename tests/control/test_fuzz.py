"""The API survives garbage: whatever is sent, the answer is a refusal in words, never a failure of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from genii.control.api import Api
from genii.events.message import HttpError, Peer, Request, Response
from genii.supervise.model import Program, Settings
from genii.testing.target import MemoryTarget

if TYPE_CHECKING:
    from pathlib import Path

ACTIONS = ("start", "stop", "restart", "reload", "signal", "scale", "update", "upgrade", "pause", "resume", "drain")
KEYS = ("names", "wait", "timeout", "rolling", "signal", "minimum", "maximum", "dry_run", "origin", "server", "handle")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["web", "all"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)
BODIES = st.binary(max_size=40) | st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5).map(msgspec.json.encode)


def answer(tmp_path: Path, request: Request) -> int:
    """Return the status of the answer to a request."""

    async def ask() -> int:
        target = MemoryTarget(
            Settings(state_dir=str(tmp_path), programs={"web": Program(name="web", command=("web",))})
        )
        api = Api(target)
        try:
            found: Any = api.handler(request)
            response: Response = await found if isinstance(found, Awaitable) else found
            return response.status
        except HttpError as error:
            return error.status
        finally:
            await api.close()

    return asyncio.run(ask())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.sampled_from(ACTIONS), BODIES)
@example("start", b'{"names": ["\x80"]}')
def test_bodies(tmp_path: Path, action: str, body: bytes) -> None:
    request = Request("POST", f"/api/v1/{action}", {}, body, peer=Peer("", 0, 1))
    assert answer(tmp_path, request) < 500


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(
    st.sampled_from(["processes", "processes/web", "events", "logs", "history", "difference", "supervisor"]),
    st.text(alphabet="abn=&%+;0123456789-_.~/?", max_size=40),
)
def test_queries(tmp_path: Path, path: str, query: str) -> None:
    assert answer(tmp_path, Request("GET", f"/api/v1/{path}?{query}", {})) < 500
