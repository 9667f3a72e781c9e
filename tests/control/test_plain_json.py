"""JSON is read as json.loads reads it."""

from __future__ import annotations

import json
import math
import signal
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genii.control.plain_json import dumps, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_json_writes_is_read(value: object, ascii_only: bool) -> None:
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(VALUES)
@example(signal.SIGTERM)
def test_what_is_written_is_what_json_writes(value: object) -> None:
    assert dumps(value) == json.dumps(value)


def test_what_json_can_not_say_is_refused() -> None:
    for value in (b"bytes", {1: 2}, [object()], math.inf, -math.inf, math.nan):
        with pytest.raises(TypeError):
            dumps(value)


@given(st.text(alphabet='{}[]":,0123456789.eE-+truefalsn \\u\n\t\x00', max_size=12))
def test_nonsense_is_refused_as_json_refuses_it(text: str) -> None:
    try:
        wanted = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            loads(text)
    else:
        assert loads(text) == wanted


@pytest.mark.parametrize("text", ["", " ", "[1] [2]", '{"a": 1}x', "\xa01", "nul"])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)


def test_constants_are_numbers() -> None:
    nan, infinite = loads("[NaN, -Infinity]")
    assert math.isnan(nan)
    assert infinite == -math.inf


def test_what_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(RecursionError):
        loads("[" * 100_000)


def test_json_itself_is_asked_where_its_inner_part_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_json", None)
    assert loads(b'{"a": [1, "\xc3\xa4"]}') == {"a": [1, "ä"]}
    assert dumps({"a": ["ä"]}) == '{"a": ["\\u00e4"]}'
