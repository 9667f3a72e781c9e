"""What keys do: histories of a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.top.rows import function, job, model_of, pool, program, row, server

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
    assert view.place.cursor == "web:1"
    press(view, model, *["j"] * 10)
    assert view.place.cursor == "idle"
    press(view, model, "home", "up")
    assert view.place.cursor == "web:0"


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
    assert view.place.filter == ""
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
    assert view.page == "processes"


def test_rows_that_are_gone_take_the_bar_to_another(model: Model) -> None:
    view = View()
    press(view, model, "end")
    model.take("change", {"processes": [], "removed": ["idle"]})
    press(view, model, "j")
    assert view.place.cursor == "broken"
    model.take("change", {"processes": [], "removed": ["broken", "web:0", "web:1"]})
    assert press(view, model, "j", "s", "enter", "r", "space") == []


def test_the_processes_of_a_program_are_folded_into_one_row_that_stands_for_all(model: Model) -> None:
    view = View()
    press(view, model, "home", "g")
    assert shown(view, model) == ["web", "broken", "idle"]
    assert view.place.cursor == "web"
    assert "2 of 2 running" in view.shown(model)[0]["reason"]
    assert press(view, model, "R") == [Wish("act", "reload", ("web",))]
    assert press(view, model, "enter") == [Wish("log", names=("web:0",))]
    press(view, model, "q", "g")
    assert shown(view, model) == NAMES
    press(view, model, "G")
    assert shown(view, model) == ["web", "broken", "idle"], "one of one is no group"
    press(view, model, "G")
    assert shown(view, model) == NAMES


def test_numbers_and_tab_show_the_pages_and_have_them_asked_for(model: Model) -> None:
    view = View()
    assert [press(view, model, key) for key in "2345"] == [
        [Wish("ask", page)] for page in ("pools", "jobs", "schedules", "events")
    ]
    assert press(view, model, "tab") == [Wish("ask", "processes")]
    assert press(view, model, "tab") == [Wish("ask", "pools")]
    press(view, model, "?")
    assert view.page == "help"
    press(view, model, "escape")
    assert view.page == "pools"
    assert press(view, model, "q") == [Wish("quit")]


def test_pools_are_paused_drained_scaled_and_restarted_in_turn(model: Model) -> None:
    view = View()
    model.take_pools([pool("web", minimum=2, maximum=8)], [])
    press(view, model, "2")
    assert [entry.key for entry in view.entries(model)] == ["web"]
    assert press(view, model, "p") == [Wish("act", "pause", ("web",))]
    model.take_pools([pool("web", minimum=2, maximum=8, paused=True)], [])
    assert press(view, model, "p") == [Wish("act", "resume", ("web",))]
    assert press(view, model, "d", "y", "enter") == [Wish("act", "drain", ("web",))]
    assert press(view, model, "+", *["backspace"] * 4, *"3..9", "enter") == [Wish("act", "scale", ("web",), (3, 9))]
    assert press(view, model, "r", "y", "enter") == [Wish("act", "restart", ("web",), text="rolling")]
    assert press(view, model, "enter") == [Wish("ask", "processes")]
    assert shown(view, model) == ["web:0", "web:1"]


def test_the_jobs_of_a_function_are_looked_into_and_cancelled(model: Model) -> None:
    view = View()
    model.take_servers([server("127.0.0.1:4730", function("resize", waiting=2), function("mail", workers=1))], 1.0)
    press(view, model, "3", ">", ">")
    assert [entry.key.split()[1] for entry in view.entries(model)] == ["resize", "mail"]
    assert view.entries(model)[0].colour == "red", "jobs wait and nobody comes"
    assert press(view, model, "enter") == [Wish("ask", "queue", ("127.0.0.1:4730", "resize"))]
    model.take_queue([job("H:1", "queued"), job("H:2", "queued")])
    assert press(view, model, "j", "c", "y", "enter") == [Wish("cancel", names=("H:2",), server="127.0.0.1:4730")]
    assert press(view, model, "q") == [Wish("ask", "jobs")]
    assert press(view, model, "d", "n", "enter") == []
    assert press(view, model, "d", "y", "enter") == [Wish("drain-server", server="127.0.0.1:4730")]


def test_a_schedule_is_run_now(model: Model) -> None:
    view = View()
    model.take_programs([program("idle", schedule="0 3 * * *"), program("web")])
    press(view, model, "4")
    assert [entry.key for entry in view.entries(model)] == ["idle"]
    assert press(view, model, "s") == [Wish("act", "start", ("idle",))]
    assert press(view, model, "l") == [Wish("log", names=("idle",))]


def test_who_is_attached_types_for_the_process_until_escape(model: Model) -> None:
    view = View()
    assert press(view, model, "home", "a") == [Wish("log", names=("web:0",))]
    assert press(view, model, *"q?", "space", *"x", "enter") == [Wish("input", names=("web:0",), text="q? x")]
    assert press(view, model, *"again", "enter") == [Wish("input", names=("web:0",), text="again")]
    press(view, model, "escape")
    assert (view.page, view.attached, view.prompt) == ("log", False, "")
    press(view, model, "q")
    assert view.page == "processes"


def test_what_is_said_in_words_is_done_and_nonsense_is_told(model: Model) -> None:
    view = View()
    assert press(view, model, ":", *"sta", "tab", *"id", "tab", "enter") == [Wish("act", "start", ("idle",))]
    assert press(view, model, ":", *"scale", "space", *"web=2..8", "enter") == [Wish("act", "scale", ("web",), (2, 8))]
    assert press(view, model, ":", *"stop", "space", *"web", "enter") == []
    assert view.prompt == "stop web? [y/N] "
    assert press(view, model, "y", "enter") == [Wish("act", "stop", ("web",))]
    assert press(view, model, ":", *"signal", "space", *"hup", "space", *"web:0", "enter") == [
        Wish("act", "signal", ("web:0",), signal="HUP")
    ]
    assert press(view, model, ":", *"log", "space", *"web", "enter") == [Wish("log", names=("web:0",))]
    press(view, model, "q")
    assert press(view, model, ":", *"pools", "enter") == [Wish("ask", "pools")]
    assert press(view, model, ":", *"start", "space", *"nobody", "enter") == []
    assert (view.failed, view.message) == (True, "there is no 'nobody'")
    assert press(view, model, ":", *"explode", "enter") == []
    assert "can be done here" in view.message
    assert press(view, model, ":", *"quit", "enter") == [Wish("quit")]


KEYS = st.sampled_from([
    "2", "3", "4", "5", "tab", "a", "g", "G", "w", ":", "d", "c", "e",
    "j", "k", "up", "down", "enter", "escape", "/", "s", "r", "R", "x", "+", "space", "!", "<",
                        "o", "e", "?", "home", "end", "page-up", "page-down", "y", "1", "backspace", "p", "f",
    ">"])  # fmt: skip


@given(st.lists(KEYS, max_size=60))
def test_no_keys_bring_it_down_and_wishes_are_about_processes_that_there_are(keys: list[str]) -> None:
    model = model_of(row("web:0"), row("web:1"), row("idle", "STOPPED"))
    model.take_pools([pool("web")], [program("web"), program("idle", schedule="* * * * *")])
    model.take_servers([server("here:1", function("f")), server("there:1", error="gone")], 1.0)
    model.take_queue([job("H:1")])
    view = View()
    for key in keys:
        wish = view.press(key, model, 3)
        if wish is not None and wish.kind == "act":
            assert set(wish.names) <= {*model.rows, "web", "idle"}
