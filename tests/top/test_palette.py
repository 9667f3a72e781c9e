from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.top.palette import Order, bounds, complete, read

NAMES = ["web", "web:0", "web:1", "idle"]


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("start web", Order("start", ("web",))),
        ("  restart  web:0 idle ", Order("restart", ("web:0", "idle"))),
        ("pa web", Order("pause", ("web",))),
        ("signal usr1 web", Order("signal", ("web",), "usr1")),
        ("scale web=2..8", Order("scale", ("web",), "2..8")),
        ("filter two words", Order("filter", value="two words")),
        ("pools", Order("pools")),
        ("q", Order("quit")),
    ],
)
def test_words_become_orders(text: str, order: Order) -> None:
    assert read(text, NAMES) == order


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("re web", "can be done here"),
        ("start", "say which: start NAME"),
        ("start nobody", "there is no 'nobody'"),
        ("scale web", "scale NAME=4"),
        ("signal", "signal HUP NAME"),
    ],
)
def test_what_can_not_be_done_is_told_with_what_can(text: str, problem: str) -> None:
    assert problem in read(text, NAMES).problem


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("sig", "signal "),
        ("res", "res"),
        ("rest", "restart "),
        ("start w", "start web"),
        ("start id", "start idle "),
        ("scale id", "scale idle"),
        ("start x", "start x"),
    ],
)
def test_words_are_completed_as_far_as_there_is_one_way(text: str, whole: str) -> None:
    assert complete(text, NAMES) == whole


def test_numbers_are_one_or_two() -> None:
    assert [bounds(text) for text in ("4", " 2..8 ", "", "x", "2..", "..3", "-1", "\u0662")] == [
        (4, 4), (2, 8), None, None, (2, 2), None, None, None
    ]  # fmt: skip


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=5), max_size=4))
def test_whatever_is_said_is_read_and_never_shortened(text: str, names: list[str]) -> None:
    assert isinstance(read(text, names), Order)
    assert len(complete(text, names)) >= len(text)
