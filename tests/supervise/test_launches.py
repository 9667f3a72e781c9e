"""Starts that happen together are spawned in a row; those that happen alone at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from genii.supervise.launches import Launches
from genii.system.spawn import Command

if TYPE_CHECKING:
    import pytest

    from genii.supervise.process import Process

COMMAND = Command(("true",), {}, 0, 1, 2)


class Starting:
    """A process as far as it is spawned; writes down what it was told."""

    def __init__(self, name: str, told: list[str], result: int | Exception = 1, *, fails: bool = False) -> None:
        self.name = name
        self.told = told
        self.result = result
        self.fails = fails

    def launch(self, _command: Command) -> int | Exception:
        self.told.append(f"spawn {self.name}")
        return self.result

    def launched(self, result: int | Exception) -> None:
        self.told.append(f"{self.name} {result}")
        if self.fails:
            raise ValueError("as said")


def add(launches: Launches, process: Starting) -> None:
    launches.add(cast("Process", process), COMMAND)


def test_spawns_at_once_by_default() -> None:
    launches, told = Launches(), list[str]()
    add(launches, Starting("a", told))
    assert told == ["spawn a", "a 1"]


def test_spawns_those_together_in_a_row_and_tells_them_then() -> None:
    launches, told = Launches(), list[str]()
    with launches:
        add(launches, Starting("a", told, 11))
        add(launches, Starting("b", told, OSError("no")))
        assert told == []
    assert told == ["spawn a", "spawn b", "a 11", "b no"]
    add(launches, Starting("c", told))
    assert told[4:] == ["spawn c", "c 1"]


def test_lets_the_first_of_very_many_not_wait_for_the_last() -> None:
    launches, told = Launches(), list[str]()
    with launches:
        for number in range(100):
            add(launches, Starting(str(number), told))
        assert 50 < sum(word.startswith("spawn") for word in told) < 100
    assert sorted(told) == sorted(line for number in range(100) for line in (f"spawn {number}", f"{number} 1"))


def test_spawns_what_was_prepared_when_the_rest_fails() -> None:
    launches, told = Launches(), list[str]()
    try:
        with launches:
            add(launches, Starting("a", told))
            raise KeyError
    except KeyError:
        told.append("raised")
    assert told == ["spawn a", "a 1", "raised"]


def test_a_mistake_with_one_leaves_the_others_started(caplog: pytest.LogCaptureFixture) -> None:
    launches, told = Launches(), list[str]()
    with launches:
        add(launches, Starting("a", told, fails=True))
        add(launches, Starting("b", told))
    assert told == ["spawn a", "spawn b", "a 1", "b 1"]
    assert "the start of a" in caplog.text
