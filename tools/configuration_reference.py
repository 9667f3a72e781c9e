# ruff: noqa: INP001 -- a script, no package
"""Write the tables of keys in docs/configuration.md from the schema: python tools/configuration_reference.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from genii.config.json_schema import json_schema

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"
BEGIN = "<!-- keys: written by tools/configuration_reference.py -->\n"
END = "<!-- end of keys -->\n"

SECTIONS = {
    "ProgramTable": "`[program.NAME]` and `[defaults]`",
    "ProcessesTable": "`processes`",
    "ScalingTable": "`scaling`",
    "ReadyTable": "`ready`",
    "HealthTable": "`health`",
    "StopTable": "`stop`",
    "BackoffTable": "`backoff`",
    "ScheduleTable": "`schedule`",
    "WatchTable": "`watch`",
    "RecycleTable": "`recycle`",
    "LogsTable": "`logs`",
    "LogTable": "`logs.stdout`, `logs.stderr` and `[supervisor] log`",
    "SocketTable": "`sockets.NAME`",
    "LimitTable": "`limits.NAME`",
    "SupervisorTable": "`[supervisor]`",
    "HttpTable": "`[http]`",
    "TlsTable": "`[http] tls`",
    "JobsTable": "`[jobs]`",
    "FleetTable": "`[fleet]`",
    "HostTable": "`[hosts]`",
    "GroupTable": "`[groups.NAME]`",
    "DeployTable": "`[deploy.NAME]`",
    "InstallTable": "`install` of a deployment",
    "DeployHealthTable": "`health` of a deployment",
    "HookTable": "a hook of a deployment",
}
TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`", "array": "list"}


def kind(schema: dict[str, Any]) -> str:
    """Name the values that a key takes."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in sorted(schema["enum"]))
    if "anyOf" in schema:
        kinds = [kind(one) for one in schema["anyOf"]]
        named = next((name for name, mark in (("duration", "a-zA-Z"), ("size", "kmgt")) if mark in str(schema)), None)
        if named and "number" in " ".join(kinds):
            others = [one for one in kinds if one in ("list", "table")]
            return " or ".join([named, *others])
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in schema or schema.get("type") == "object":
        return "table"
    if schema.get("type") == "array" and "items" in schema:
        return "list of " + {"string": "texts", "integer": "numbers"}.get(schema["items"].get("type", ""), "values")
    return TYPES[schema["type"]]


def shown(value: object) -> str:
    """Write a value as TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {shown(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def row(key: str, schema: dict[str, Any]) -> str:
    """Write the line of one key."""
    default = f"`{shown(schema['default'])}`" if "default" in schema else schema.get("x-default", "")
    example = "".join(f" Example: `{key} = {shown(value)}`." for value in schema.get("examples", []))
    cells = (f"`{key}`", kind(schema), default, schema["description"] + example)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def reference() -> str:
    """Write all tables of keys."""
    definitions = json_schema()["$defs"]
    parts = []
    for name, title in SECTIONS.items():
        table = definitions[name]
        rows = [row(key, schema) for key, schema in table["properties"].items()]
        head = f"### {title}\n\n{table['description']}\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
        parts.append(head + "\n".join(rows) + "\n")
    assert set(SECTIONS) == set(definitions), set(definitions) ^ set(SECTIONS)
    return "\n".join(parts)


def page(text: str) -> str:
    """Return the page with its tables as they should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{reference()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
