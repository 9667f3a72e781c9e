from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.config.ini.expand import environment, expand


def test_formats_numbers_as_python_does() -> None:
    assert expand("%(n)s %(n)02d %(n)d%%", {"n": 7}) == "7 07 7%"


@pytest.mark.parametrize("text", ["%(nothing)s", "50%", "%(n", "%(n)q", "%(ENV_X)s"])
def test_refuses_what_has_no_value_or_is_not_well_formed(text: str) -> None:
    with pytest.raises(ValueError, match=r"no value|not well formed"):
        expand(text, {"n": 7})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=1,B=2", {"A": "1", "B": "2"}),
        ("A=\"x,y\",B='p q'", {"A": "x,y", "B": "p q"}),
        ("A=/usr/bin:/bin,", {"A": "/usr/bin:/bin"}),
        ('A=1,\n  B="2"', {"A": "1", "B": "2"}),
        (r'A="say \"hi\""', {"A": 'say "hi"'}),
        ("", {}),
    ],
)
def test_reads_lists_of_variables(text: str, found: dict[str, str]) -> None:
    assert environment(text) == found


@pytest.mark.parametrize("text", ["A", "A=", "A=1 B=2", 'A="1', "=1", "A=1,B", "A=a@b"])
def test_refuses_lists_that_are_broken(text: str) -> None:
    with pytest.raises(ValueError, match=r"list of variables|comma is missing|not closed"):
        environment(text)


@given(st.text(max_size=60))
def test_never_fails_otherwise_than_by_saying_why(text: str) -> None:
    with suppress(ValueError):
        environment(text)
    with suppress(ValueError):
        expand(text, {"n": 1})
