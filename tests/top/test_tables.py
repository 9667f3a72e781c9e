"""Pools, jobs and schedules as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.top.rows import function, job, model_of, pool, program, row, server

from genii.top.draw import Style, draw
from genii.top.tables import TABLES
from genii.top.view import View

if TYPE_CHECKING:
    from genii.control.rows import StatusRow

NOW = 4600.0


def test_a_pool_tells_who_is_busy_and_what_waits() -> None:
    model = model_of(
        row("thumbs:0", busy=True, busy_since=NOW - 7), row("thumbs:1", busy=False), row("thumbs:2", "STARTING"),
        row("web:0"), row("web:1", "FATAL"), row("single"),
    )  # fmt: skip
    model.take_pools([pool("thumbs", minimum=2, maximum=5, waiting=9)], [])
    thumbs, web = TABLES["pools"].rows(model, NOW, 0)
    assert thumbs.cells == ("thumbs", "2 of 2..5", "█████░░░░░ 1/2", "", "9", "7s", "3.0 MiB", "▮▯◐")
    assert web.cells[:3] == ("web", "1 of 2", "")
    assert (web.cells[-1], web.colour) == ("▯✖", "red")


def worker(name: str, more: dict[str, int]) -> StatusRow:
    return row(name, **dict[str, Any](more))


def test_the_rate_of_a_pool_counts_workers_that_were_replaced() -> None:
    model = model_of(row("w", pid=1, jobs_done=5, jobs_left=5), row("v"))
    lives = ({"pid": 1, "jobs_done": 9, "jobs_left": 1}, {"pid": 2, "jobs_done": 3}, {"pid": 2, "jobs_done": 8})
    for second, more in enumerate(lives):
        model.take("change", {"processes": [worker("w", more)], "removed": []})
        model.take("usage", {"time": 100.0 + second, "usage": {}})
    assert model.rates == {"w": pytest.approx((4 + 1 + 3 + 5 - 4) / 2)}


def test_the_rate_of_a_function_is_that_of_its_server_and_begins_anew_with_it() -> None:
    model = model_of()
    for now, completed in ((10.0, 100), (12.0, 300), (14.0, 500), (16.0, 20), (18.0, 60)):
        model.take_servers([server("a:1", function("f", completed=completed, median=0.0123, late=2.5, failed=3))], now)
        if now == 14.0:
            assert model.rates == {"a:1 f": 100.0}
    assert model.rates == {"a:1 f": 20.0}
    (entry,) = TABLES["jobs"].rows(model, NOW, 0)
    assert entry.cells == ("f", "0", "0", "0", "20.0", "12.3 ms", "2.5 s", "3", "a:1")


def test_gearmand_tells_no_rates_and_a_dead_server_why() -> None:
    model = model_of()
    model.take_servers([server("a:1", function("f", waiting=3)), server("b:1", error="no job server answers")], 1.0)
    first, second = TABLES["jobs"].rows(model, NOW, 0)
    assert first.cells == ("f", "3", "0", "0", "-", "-", "-", "-", "a:1")
    assert first.colour == "red"
    assert second.cells[0] == "(no job server answers)"


def test_schedules_and_watches_tell_when_next_and_how_it_ended() -> None:
    model = model_of(
        row("report", "EXITED", exit_status=3, started=NOW - 60, since=NOW - 50, next_run=NOW + 90),
        row("backup", started=NOW - 5), row("assets", "STOPPED", started=0.0),
    )  # fmt: skip
    model.take_programs(
        [program("report", "0 3 * * *"), program("backup", "@daily"), program("assets", watches=("src", "css"))]
    )
    report, backup, assets = TABLES["schedules"].rows(model, NOW, 0)
    assert report.cells == ("report", "0 3 * * *", "01:18:10, in 1m31s", "exit 3 at 01:15:50, took 10s")
    assert report.colour == "red"
    assert backup.cells[3] == "runs for 5s"
    assert assets.cells[1:] == ("when src css change", "-", "not yet")


TEXTS = st.text(max_size=30)


@pytest.mark.parametrize("page", [*TABLES])
@given(TEXTS, TEXTS, st.integers(20, 160), st.booleans(), st.integers(0, 9))
def test_every_table_fills_the_screen_whatever_it_holds(
    page: str, name: str, text: str, width: int, unicode: bool, sort: int
) -> None:
    model, view = model_of(row(f"{name}:0", reason=text), row(f"{name}:1")), View()
    plan = program(name, "* * * * *", watches=(text,))
    model.take_pools([pool(model.rows[f"{name}:0"]["program"])], [plan])
    model.take_servers([server(text, function(name)), server(name, error=text)], 1.0)
    model.take_queue([job(name)])
    view.page = page
    view.place.sort = sort % (len(TABLES[page].columns) + 1)
    lines = draw(view, model, Style(colour=False, unicode=unicode), width, 12, NOW)
    assert len(lines) == 12
    for line in lines:
        assert line.replace("\x1b[7m", "").replace("\x1b[1m", "").replace("\x1b[0m", "").isprintable()
