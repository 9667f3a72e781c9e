from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from genii.config.json_schema import json_schema
from genii.config.load import examine

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "configuration.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_tables_of_keys_are_those_of_the_schema() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "configuration_reference.py"))
    assert PAGE.read_text() == tool["page"](PAGE.read_text()), "run python tools/configuration_reference.py"


def test_no_key_is_missing() -> None:
    text = PAGE.read_text()
    schema = json_schema()
    keys = [key for table in schema["$defs"].values() for key in table["properties"]]
    assert len(keys) > 80
    assert [key for key in keys if f"| `{key}` |" not in text] == []
    assert [table for table in schema["properties"] if f"[{table}" not in text] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_are_right(example: str, tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    path.write_text(example)
    assert examine(str(path), {}).problems == []
