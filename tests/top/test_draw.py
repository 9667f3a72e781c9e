"""The lines of the screen."""

from __future__ import annotations

import re
from unicodedata import combining, east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.top.rows import model_of, row

from genii.top.draw import Style, draw
from genii.top.view import View

NOW = 4600.0
SGR = re.compile(r"\x1b\[[0-9;:]*m")
PLAIN = Style(colour=False)


def columns(line: str) -> int:
    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in SGR.sub("", line))


def test_the_table_tells_what_runs_and_why_something_does_not() -> None:
    model = model_of(row("web:0", restarts=2), row("broken", "BACKOFF", reason="exited with 3", next_attempt=NOW + 7.5))
    lines = draw(View(), model, PLAIN, 120, 12, NOW)
    assert "2 processes, 1 running, 1 need attention  live" in lines[0]
    assert re.search(r"web:0 +● running +4711 +1h00m +2 .* 0.0% +1.0 MiB", lines[2])
    assert "↻ backoff" in lines[3]
    assert "exited with 3, next attempt in 8s" in lines[3]
    assert "quit" in lines[-1]


def test_a_lost_supervisor_is_told() -> None:
    model = model_of(row("web"))
    model.lose("the supervisor has ended")
    lines = draw(View(), model, PLAIN, 100, 12, NOW)
    assert "NOT CONNECTED" in lines[0]
    assert "what you see is old: the supervisor has ended" in lines[-2]


def test_without_unicode_there_are_signs_of_ascii() -> None:
    lines = draw(View(), model_of(row("web")), Style(unicode=False), 100, 8, NOW)
    assert all(line.isascii() for line in lines)
    assert "* running" in lines[2]


def test_the_colours_of_a_log_are_kept_and_nothing_else() -> None:
    model, view = model_of(row("web")), View()
    view.page, view.log_name = "log", "web"
    model.take_log(["\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\x07\x07\x00plain"], 2048)
    lines = draw(view, model, Style(), 80, 12, NOW)
    assert "2 KiB left out" in lines[2]
    assert lines[3].startswith("\x1b[31mred\x1b[0m ··plain")


def test_the_row_under_the_bar_is_always_on_the_screen() -> None:
    model, view = model_of(*(row(f"p{number}") for number in range(200))), View()
    for key in ("end", "page-up", "up", "home"):
        view.press(key, model, 6)
        lines = draw(view, model, PLAIN, 100, 10, NOW)
        assert any(f" {view.place.cursor} " in line for line in lines[2:8])


TEXTS = st.text(max_size=40)


@pytest.mark.parametrize("page", ["processes", "log", "events", "help"])
@given(TEXTS, TEXTS, TEXTS, st.integers(20, 160), st.integers(6, 40), st.booleans())
def test_every_line_has_the_width_of_the_screen_and_nothing_the_terminal_obeys(
    page: str, name: str, reason: str, line: str, width: int, height: int, colour: bool
) -> None:
    model, view = model_of(row(name or "x", reason=reason, note=line)), View()
    model.take_log([line, reason], 0)
    model.take("event", {"events": [{"serial": 1, "time": 0.0, "kind": "x", "name": name, "data": {"reason": reason}}]})
    view.page, view.log_name, view.search, view.place.filter = page, name, "", ""
    lines = draw(view, model, Style(colour=colour), width, height, NOW)
    assert len(lines) == height
    for drawn in lines:
        assert SGR.sub("", drawn).isprintable()
        assert columns(drawn) <= width
        if drawn.isascii():
            assert columns(drawn) == width
