"""What keys do: histories of a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.top.rows import model_of, row

from genii.top.view import View, Wish

if TYPE_CHECKING:
    from genii.top.model import Model

NAMES = ["web:0", "web:1", "broken", "idle"]


@pytest.fixture
def model() -> Model:
    return model_of(row("web:0"), row("web:1"), row("broken", "FATAL", reason="exited with 3"), row("idle", "STOPPED"))


def press(view: View, model: Model, *keys: str) -> list[Wish]:
    return [wish for key in keys if (wish := view.press(key, model, 10)) is not None]


def shown(view: View, model: Model) -> list[str]:
    return [one["name"] for one in view.shown(model)]


def test_the_bar_moves_and_stays_within_the_table(model: Model) -> None:
    view = View()
    press(view, model, "j", "down", "k")
    assert view.cursor == "web:1"
    press(view, model, *["j"] * 10)
    assert view.cursor == "idle"
    press(view, model, "home", "up")
    assert view.cursor == "web:0"


def test_typing_filters_and_escape_takes_the_filter_away(model: Model) -> None:
    view = View()
    press(view, model, "/", *"fatal", "enter")
    assert shown(view, model) == ["broken"]
    press(view, model, "escape")
    assert shown(view, model) == NAMES
    press(view, model, "!")
    assert shown(view, model) == ["broken"]


def test_a_prompt_can_be_corrected_and_left(model: Model) -> None:
    view = View()
    press(view, model, "/", "x", "backspace", "w", "e", "space", "b", "escape")
    assert view.filter == ""
    assert press(view, model, "q") == [Wish("quit")]


def test_sorting_by_processor_puts_the_busiest_first(model: Model) -> None:
    view = View()
    press(view, model, ">", ">", ">", ">", ">")
    assert shown(view, model)[:2] == ["web:1", "web:0"]
    press(view, model, "o")
    assert shown(view, model)[-2:] == ["web:0", "web:1"]
    press(view, model, "<", "<", "<")
    press(view, model, "o")
    assert shown(view, model)[0] == "broken"


def test_starting_is_done_at_once_and_stopping_after_a_question(model: Model) -> None:
    view = View()
    press(view, model, "end")
    assert press(view, model, "s") == [Wish("act", "start", ("idle",))]
    press(view, model, "home")
    assert press(view, model, "s", "n", "enter") == []
    assert view.message == "left as it is"
    assert press(view, model, "s", "y", "enter") == [Wish("act", "stop", ("web:0",))]


def test_several_are_selected_and_restarted_after_a_question(model: Model) -> None:
    view = View()
    press(view, model, "home", "space", "j", "space")
    assert press(view, model, "r") == []
    assert press(view, model, "y", "enter") == [Wish("act", "restart", ("web:0", "web:1"))]


def test_signals_and_numbers_are_asked_for(model: Model) -> None:
    view = View()
    press(view, model, "home")
    assert press(view, model, "x", *["backspace"] * 3, *"usr1", "enter") == [
        Wish("act", "signal", ("web:0",), signal="USR1")
    ]
    assert press(view, model, "+", "backspace", "4", "enter") == [Wish("act", "scale", ("web",), (4, 4))]
    assert press(view, model, "+", "backspace", *"2..8", "enter") == [Wish("act", "scale", ("web",), (2, 8))]
    assert press(view, model, "+", "x", "enter") == []
    assert view.failed


def test_a_log_is_opened_scrolled_searched_and_left(model: Model) -> None:
    view = View()
    assert press(view, model, "home", "enter") == [Wish("log", names=("web:0",))]
    model.take_log([f"line {number}" for number in range(100)], 0)
    press(view, model, "up", "page-up")
    model.take_log(["newer"], 0)
    assert view.lines(model)[-1] == "line 99", "what one looks at stays"
    press(view, model, "f", "/", *"line 7", "enter")
    assert len(view.lines(model)) == 11
    press(view, model, "q")
    assert view.page == "table"


def test_rows_that_are_gone_take_the_bar_to_another(model: Model) -> None:
    view = View()
    press(view, model, "end")
    model.take("change", {"processes": [], "removed": ["idle"]})
    press(view, model, "j")
    assert view.cursor == "broken"
    model.take("change", {"processes": [], "removed": ["broken", "web:0", "web:1"]})
    assert press(view, model, "j", "s", "enter", "r", "space") == []


KEYS = st.sampled_from([
    "j", "k", "up", "down", "enter", "escape", "/", "s", "r", "R", "x", "+", "space", "!", "<",
                        "o", "e", "?", "home", "end", "page-up", "page-down", "y", "1", "backspace", "p", "f",
    ">"])  # fmt: skip


@given(st.lists(KEYS, max_size=60))
def test_no_keys_bring_it_down_and_wishes_are_about_processes_that_there_are(keys: list[str]) -> None:
    model = model_of(row("web:0"), row("web:1"), row("idle", "STOPPED"))
    view = View()
    for key in keys:
        wish = view.press(key, model, 3)
        if wish is not None and wish.kind == "act":
            assert set(wish.names) <= {*model.rows, "web", "idle"}
