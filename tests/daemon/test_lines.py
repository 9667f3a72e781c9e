from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.daemon.lines import is_coloured, status_line


def test_the_message_ends_at_column_71() -> None:
    assert status_line("Counter", "Started") == "Counter" + " " * 55 + "[Started]"


def test_colours_take_no_room() -> None:
    line = status_line("Counter", "Not Running", "red")
    assert line.endswith("\033[31m[Not Running]\033[0m")
    assert line.replace("\033[31m", "").replace("\033[0m", "") == status_line("Counter", "Not Running")


def test_an_unknown_colour_is_green() -> None:
    assert "\033[32m" in status_line("n", "m", "mauve")
    assert "\033[35m" in status_line("n", "m", "mauve", {"mauve": 35, "green": 32})


@given(st.text(), st.text())
def test_nothing_is_cut(name: str, message: str) -> None:
    line = status_line(name, message)
    assert line.startswith(name)
    assert line.endswith(f"[{message}]")
    assert len(line) >= 71


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals(*, terminal: bool, environment: dict[str, str], coloured: bool) -> None:
    assert is_coloured(terminal=terminal, environment=environment) is coloured
