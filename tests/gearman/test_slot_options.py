"""What a slot manager is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from genii.errors import UsageError
from genii.gearman.slot_options import LIFELINE, read_slots, worker_of

if TYPE_CHECKING:
    from genii.supervise.model import Program


def read(slots: dict[str, Any]) -> dict[str, Program]:
    return read_slots(slots, "python", 7)


@pytest.mark.parametrize(
    ("name", "worker"),
    [("Thumbs", "Thumbs:Thumbs"), ("shop.workers.Thumbs", "shop.workers:Thumbs"), ("a.b:C", "a.b:C")],
)
def test_a_name_stands_for_a_class(name: str, worker: str) -> None:
    assert worker_of(name) == worker


def test_a_class_overrides_what_holds_for_all() -> None:
    found = read(
        {
            "global": {"job_servers": ["a:1", ""], "libs": ["lib"], "min": 2, "max": 5, "workleft": 10},
            "TestWorker": {},
            "shop:Other": {"min": 0, "max": 1, "workleft": 0, "libs": []},
        }
    )
    assert list(found) == ["TestWorker", "Other"]
    test = found["TestWorker"]
    assert (test.processes, test.processes_max) == (2, 5)
    assert test.command[1:] == (
        *("-m", "genii", "work", "TestWorker:TestWorker"),
        *("-s", "a:1", "-s", "127.0.0.1:4730", "-I", "lib", "--jobs", "10"),
    )
    assert test.environment == {LIFELINE: "7"}
    other = found["Other"]
    assert (other.processes, other.processes_max, other.recycle) == (0, 1, None)
    assert "--jobs" not in other.command


def test_the_defaults_are_those_of_the_original() -> None:
    program = read({"T": {}})["T"]
    assert (program.processes, program.processes_max, program.recycle) == (1, 1, None)
    assert read({"T": {"min": 3}})["T"].processes_max == 3


@pytest.mark.parametrize(
    ("slots", "says"),
    [
        ({}, "names no class"),
        ({"global": {"min": 1}}, "names no class"),
        ({"T": {"workeft": 3}}, "did you mean 'workleft'"),
        ({"T": {"min": 3, "max": 2}}, "maximum number of workers is 2"),
        ({"T": {"min": -1, "max": 2}}, "minimum number of workers is -1"),
        ({"T": {"min": 0, "max": 0}}, "maximum number of workers is 0"),
        ({"T": {"workleft": -1}}, "workleft is -1"),
        ({"T": {"min": "2"}}, "min can't be '2'"),
        ({"T": {"libs": "lib"}}, "is a list"),
        ({"T": {"follow": "moon"}}, "'busy', 'queue' or 'cpu'"),
        ({"T": {"grace": -1}}, "can't be negative"),
        ({"a b": {}}, "module:Class"),
        ({"a:T": {}, "b:T": {}}, "two classes"),
    ],
)
def test_says_what_is_wrong(slots: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read(slots)
