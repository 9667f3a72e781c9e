from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.config.variables import parse_variables

TEXT = """\
# a comment

PLAIN=value
export EXPORTED = spaced out   # comment
EMPTY=
HASH=a#b
SINGLE='as it $is "here" \\n' # comment
DOUBLE="tab\\tquote\\" dollar\\$ \\\\"
LINES="one
two"
"""


def test_reads_each_form() -> None:
    assert parse_variables(TEXT) == {
        "PLAIN": "value",
        "EXPORTED": "spaced out",
        "EMPTY": "",
        "HASH": "a#b",
        "SINGLE": 'as it $is "here" \\n',
        "DOUBLE": 'tab\tquote" dollar$ \\',
        "LINES": "one\ntwo",
    }


def test_windows_line_ends_do_not_matter() -> None:
    assert parse_variables("A=1\r\n\r\nB='2'\r\n") == {"A": "1", "B": "2"}


@pytest.mark.parametrize(("text", "line"), [("A=1\nnonsense\n", 2), ("A='open\n", 1), ("1A=2", 1), ('A="x" y', 1)])
def test_names_the_line_that_is_wrong(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"line {line}: expected NAME=value"):
        parse_variables(text)


@given(st.text(st.characters(exclude_characters="'\r\0")))
def test_a_value_in_single_quotes_comes_back(value: str) -> None:
    assert parse_variables(f"A='{value}'\n") == {"A": value}


@given(st.text() | st.text("A=\"' #\\\n\t"))
def test_garbage_is_refused_or_read(text: str) -> None:
    with suppress(ValueError):
        assert "\0" not in "".join(parse_variables(text.replace("\0", "")))
