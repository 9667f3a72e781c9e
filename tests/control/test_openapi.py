"""The description of the API against the API."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from genii.control.api import Api
from genii.control.openapi import OPERATIONS, document
from genii.testing.target import MemoryTarget

if TYPE_CHECKING:
    from genii.supervise.model import Settings


def test_every_route_is_described_and_no_other(settings: Settings) -> None:
    async def routes() -> set[tuple[str, str]]:
        router = Api(MemoryTarget(settings)).handler
        plain = {(method, path) for path, methods in router._plain.items() for method in methods}
        return plain | {("GET", "/api/v1/processes/{name}")}

    assert {(operation.method, operation.path) for operation in OPERATIONS} == asyncio.run(routes())


def test_the_description_is_json_and_all_its_references_lead_somewhere() -> None:
    text = json.dumps(document())
    schemas = document()["components"]["schemas"]
    for reference in text.split('"#/components/schemas/')[1:]:
        assert reference.partition('"')[0] in schemas
    names = [one["operationId"] for path in document()["paths"].values() for one in path.values()]
    assert len(names) == len(set(names))
