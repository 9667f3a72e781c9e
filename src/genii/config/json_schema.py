"""The JSON Schema of genii.toml, for editors: made from the records of ``schema``. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from genii.config.schema import File

__all__ = ["json_schema"]

_EXAMPLES: list[dict[str, Any]] = [
    {"program": {"web": {"command": "python3 -m http.server 8000", "ready": {"tcp": 8000}}}},
    {
        "defaults": {"logs": {"size": "10MB"}},
        "program": {
            "thumbs": {"worker": "shop.workers:Thumbs", "processes": {"min": 2, "max": 5}},
            "report": {"command": ["python3", "report.py"], "schedule": "*/5 * * * *"},
        },
    },
]


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12), with the description, default and an example of each key."""
    (reference,), components = msgspec.json.schema_components([File], ref_template="#/$defs/{name}")
    definitions = {name: _tidy(schema) for name, schema in components.items()}
    root = definitions.pop(reference["$ref"].rpartition("/")[2])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "title": "genii.toml",
        "examples": _EXAMPLES,
        "$defs": definitions,
    }


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    if not schema.get("required"):
        schema.pop("required", None)
    return schema
