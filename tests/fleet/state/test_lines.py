"""One line in a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.fleet.state.lines import with_line, without_line
from genii.fleet.state.plan import StateError

TEXT = "a = 1\nb = 2\n# b = 3\n"


@pytest.mark.parametrize(
    ("options", "line", "expected"),
    [
        ({}, "c = 3", TEXT + "c = 3\n"),
        ({}, "b = 2", TEXT),
        ({"matching": r"^b\b"}, "b = 9", "a = 1\nb = 9\n# b = 3\n"),
        ({"matching": r"^#?\s*b\b"}, "b = 9", "a = 1\nb = 2\nb = 9\n"),
        ({"matching": r"^nothing"}, "c = 3", TEXT + "c = 3\n"),
        ({"after": "^a"}, "c = 3", "a = 1\nc = 3\nb = 2\n# b = 3\n"),
        ({"before": "^a"}, "c = 3", "c = 3\n" + TEXT),
        ({"before": "^nothing"}, "c = 3", TEXT + "c = 3\n"),
    ],
)
def test_a_line_goes_where_it_belongs(options: dict[str, str], line: str, expected: str) -> None:
    assert with_line(TEXT, line, **options) == expected


def test_a_last_line_without_its_end_gets_one() -> None:
    assert with_line("a", "b") == "a\nb\n"


def test_lines_go() -> None:
    assert without_line(TEXT, "b = 2") == "a = 1\n# b = 3\n"
    assert without_line(TEXT, matching="b") == "a = 1\n"
    assert without_line(TEXT, "zzz") == TEXT


@pytest.mark.parametrize("line", ["", "a\nb", "a\0b"])
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(StateError):
        with_line(TEXT, line)


def test_wrong_patterns_are_named() -> None:
    with pytest.raises(StateError, match="no regular expression"):
        with_line(TEXT, "x", matching="(")
    with pytest.raises(StateError, match="leave out one"):
        with_line(TEXT, "x", after="a", before="b")
    with pytest.raises(StateError, match="name the line"):
        without_line(TEXT)


LINE = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8)


@given(st.lists(LINE, max_size=6), LINE)
def test_twice_is_the_same_as_once(lines: list[str], line: str) -> None:
    text = "".join(f"{one}\n" for one in lines)
    once = with_line(text, line)
    assert line in once.splitlines()
    assert with_line(once, line) == once
    assert line not in without_line(once, line).splitlines()
