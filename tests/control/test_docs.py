"""docs/api.md against the routes."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

from genii.control.api import Api
from genii.control.query import ActionQuery, UpdateQuery
from genii.testing.target import MemoryTarget

if TYPE_CHECKING:
    from genii.supervise.model import Settings

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def test_every_route_is_described_and_no_other(settings: Settings) -> None:
    async def routes() -> set[tuple[str, str]]:
        router = Api(MemoryTarget(settings)).handler
        plain = {(method, path) for path, methods in router._plain.items() for method in methods}
        return plain | {("GET", "/api/v1/processes/NAME")}

    described = set(re.findall(r"^\| `(GET|POST) ([^`?]+)", TEXT, re.MULTILINE))
    assert described == asyncio.run(routes())


def test_every_key_of_an_action_is_described() -> None:
    for key in (*ActionQuery.__struct_fields__, *UpdateQuery.__struct_fields__):
        assert f"`{key}`" in TEXT
