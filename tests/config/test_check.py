from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from genii.config.check import cycles
from genii.config.load import examine

if TYPE_CHECKING:
    from pathlib import Path

NODES = st.sampled_from("abcdefg")


def test_names_each_cycle_in_full_and_once() -> None:
    graph = {"a": ("b",), "b": ("c", "x"), "c": ("a",), "d": ("d", "a"), "e": ()}
    assert list(cycles(graph)) == [("a", "b", "c"), ("d",)]


def test_a_long_chain_is_no_trouble() -> None:
    size = 50_000
    graph: dict[str, tuple[str, ...]] = {str(number): (str(number + 1),) for number in range(size)}
    assert list(cycles(graph)) == []
    graph[str(size)] = ("0",)
    assert len(next(cycles(graph))) == size + 1


@given(st.dictionaries(NODES, st.lists(NODES, max_size=3).map(tuple)))
def test_finds_a_cycle_exactly_if_there_is_no_order(graph: dict[str, tuple[str, ...]]) -> None:
    left = dict(graph)
    while free := [name for name, needs in left.items() if not any(need in left for need in needs)]:
        for name in free:
            del left[name]
    found = list(cycles(graph))
    assert bool(found) == bool(left)
    for cycle in found:
        for name, following in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            assert following in graph[name]


def test_warns_of_a_log_that_several_processes_write(tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    path.write_text(
        '[program.a]\ncommand = "true"\nlogs = "one.log"\n[program.b]\ncommand = "true"\nlogs.stderr = "one.log"\n'
        '[program.c]\ncommand = "true"\nlogs = "two.log"\nprocesses = 2\n'
        '[program.d]\ncommand = "true"\nlogs = "/dev/null"\n[program.e]\ncommand = "true"\nlogs = "/dev/null"\n'
    )
    warnings = [problem.message for problem in examine(str(path), {}).warnings]
    assert [message.split(";")[0] for message in warnings] == [
        f"logs: {tmp_path}/one.log is the log of 'a' too",
        f"logs: {tmp_path}/two.log is the log of 'c:0' too",
    ]
