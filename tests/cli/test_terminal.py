from __future__ import annotations

import io
from typing import TYPE_CHECKING

from genii.cli.terminal import format_table, table_width

if TYPE_CHECKING:
    import pytest


def test_a_table_is_cut_at_a_width() -> None:
    assert format_table([("one", "two three")], 8) == ["one  tw…"]
    assert format_table([("one", "two")], 8) == ["one  two"]


def test_a_cut_leaves_colours_whole() -> None:
    assert format_table([("\x1b[32mrunning\x1b[0m", "why")], 5) == ["\x1b[32mrunn…\x1b[0m"]


def test_columns_say_how_wide_a_table_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "33")
    assert table_width(io.StringIO()) == 33
    monkeypatch.delenv("COLUMNS")
    assert table_width(io.StringIO()) == 0
