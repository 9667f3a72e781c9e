"""From a function's signature and the words of a command line to the values of a call."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.errors import UsageError
from genii.fleet.parameters import bind, parameters_of


class Colour(Enum):
    red = 1
    blue = 2


def function(  # type: ignore[no-untyped-def] # the last one has no annotation
    host: object,
    version: str,
    count: int = 1,
    *,
    ratio: float = 0.5,
    force: bool = False,
    path: Path = Path("/srv"),
    mode: Literal["fast", "slow"] = "fast",
    level: Literal[1, 2] = 1,
    colour: Colour = Colour.red,
    names: list[str] | None = None,
    numbers: Optional[list[int]] = None,  # noqa: UP045 -- the old way to write it is read, too
    untyped: int | None = None,
    guessed=7,
) -> None: ...


def test_the_types_come_from_the_annotations() -> None:
    found = {one.name: one for one in parameters_of(function)}
    assert list(found)[:2] == ["version", "count"]
    assert found["version"].required
    assert found["force"].flag
    assert found["names"].many
    assert found["mode"].choices == ("fast", "slow")
    assert {name: one.kind for name, one in found.items()} == {
        "version": "text", "count": "whole number", "ratio": "number", "force": "yes or no", "path": "path",
        "mode": "fast or slow", "level": "1 or 2", "colour": "red or blue", "names": "text", "numbers": "whole number",
        "untyped": "whole number", "guessed": "whole number",
    }  # fmt: skip


def test_words_become_values_of_their_types() -> None:
    values = bind(
        parameters_of(function),
        {
            "version": "1.2", "count": "3", "ratio": "2", "force": True, "path": "/x", "mode": "slow", "level": "2",
            "colour": "blue", "names": ["a", "b"], "numbers": ["1", "2"], "guessed": "8",
        },
    )  # fmt: skip
    assert values == {
        "version": "1.2", "count": 3, "ratio": 2.0, "force": True, "path": Path("/x"), "mode": "slow", "level": 2,
        "colour": Colour.blue, "names": ["a", "b"], "numbers": [1, 2], "untyped": None, "guessed": 8,
    }  # fmt: skip


def test_what_is_not_given_has_its_default() -> None:
    values = bind(parameters_of(function), {"version": "1"})
    assert values["path"] == Path("/srv")
    assert values["names"] == []


@pytest.mark.parametrize(
    ("given_words", "message"),
    [
        ({}, "--version is missing"),
        ({"version": "1", "count": "many"}, "--count: expected a whole number, not 'many'"),
        ({"version": "1", "mode": "mad"}, "--mode: expected fast or slow, not 'mad'"),
        ({"version": "1", "numbers": ["1", "x"]}, "--numbers: expected a whole number, not 'x'"),
    ],
)
def test_a_wrong_word_is_named(given_words: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bind(parameters_of(function), given_words)


@given(st.text())
def test_any_word_is_a_value_or_a_usage_error(word: str) -> None:
    for name in ("count", "ratio", "mode", "level", "colour", "path"):
        try:
            bind(parameters_of(function), {"version": word, name: word})
        except UsageError as error:
            assert f"--{name}" in str(error)  # noqa: PT017 -- both ends are right


def test_a_type_that_no_word_can_be_is_refused() -> None:
    def odd(host: object, table: dict[str, str]) -> None: ...

    with pytest.raises(UsageError, match="table has the type"):
        parameters_of(odd)


def test_parameters_without_names_are_refused() -> None:
    def many(host: object, *words: str) -> None: ...

    with pytest.raises(UsageError, match=r"\*words"):
        parameters_of(many)


def test_a_function_without_a_host_is_refused() -> None:
    def alone() -> None: ...

    with pytest.raises(UsageError, match="takes no host"):
        parameters_of(alone)
