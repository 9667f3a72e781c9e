"""Order of starts and stops, and what an update changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from genii.supervise import plan
from genii.supervise.model import Program, Settings


def program(name: str, *depends_on: str, priority: int = 999) -> Program:
    return Program(name=name, command=("true",), depends_on=depends_on, priority=priority)


def programs(*several: Program) -> dict[str, Program]:
    return {each.name: each for each in several}


SHOP = programs(program("web", "jobs", "db"), program("jobs", "db"), program("db"), program("mail"))


def test_starts_what_others_depend_on_first() -> None:
    assert plan.start_order(SHOP, SHOP) == ["db", "jobs", "web", "mail"]


def test_priority_decides_where_dependencies_do_not() -> None:
    several = programs(program("a", "c", priority=1), program("b", priority=2), program("c", priority=3))
    assert plan.start_order(several, several) == ["c", "a", "b"]


def test_orders_only_what_is_named() -> None:
    assert plan.start_order(SHOP, ["web", "jobs"]) == ["jobs", "web"]


def test_adds_what_is_needed() -> None:
    assert plan.with_dependencies(SHOP, ["web"]) == ["db", "jobs", "web"]


def test_finds_all_dependents() -> None:
    assert plan.dependents(SHOP, ["db"]) == {"jobs", "web"}
    assert plan.dependents(SHOP, ["mail"]) == set()


def test_may_start_when_everything_it_depends_on_may_be_relied_on() -> None:
    assert plan.may_start(SHOP["web"], {"db"}.__contains__) == ["jobs"]
    assert plan.may_start(SHOP["web"], {"db", "jobs"}.__contains__) == []


def test_names_a_cycle_in_full() -> None:
    assert plan.cycle({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}) in (
        ["a", "b", "c", "a"],
        ["b", "c", "a", "b"],
        ["c", "a", "b", "c"],
    )
    assert plan.cycle({"a": ["b"], "b": []}) == []


@given(st.lists(st.tuples(st.integers(0, 30), st.lists(st.integers(0, 30), max_size=4)), max_size=31))
def test_any_order_respects_all_dependencies(edges: list[tuple[int, list[int]]]) -> None:
    """Numbers depend only on smaller ones, so there is no cycle."""
    names = {f"p{number}" for first, others in edges for number in (first, *others)}
    depends = {f"p{number}": tuple(f"p{other}" for other in others if other < number) for number, others in edges}
    several = programs(*(program(name, *depends.get(name, ())) for name in sorted(names)))
    order = plan.start_order(several, several)
    assert sorted(order) == sorted(several)
    position = {name: number for number, name in enumerate(order)}
    assert all(position[other] < position[name] for name in order for other in several[name].depends_on)
    assert plan.cycle({name: each.depends_on for name, each in several.items()}) == []


def settings(*several: Program, **changes: object) -> Settings:
    return replace(Settings(programs=programs(*several)), **changes)


def test_nothing_changed_is_an_empty_difference() -> None:
    assert plan.difference(settings(*SHOP.values()), settings(*SHOP.values())).empty


def test_tells_added_removed_and_changed_with_their_keys() -> None:
    after = [SHOP["db"], replace(SHOP["jobs"], command=("false",), priority=5), program("new")]
    found = plan.difference(settings(*SHOP.values()), settings(*after))
    assert found.added == ("new",)
    assert found.removed == ("web", "mail")
    assert found.changed == {"jobs": ("command", "priority")}
    assert not found.empty


def test_some_keys_need_no_restart() -> None:
    after = replace(SHOP["db"], retries=1, limits={"nofile": (10, 10)}, processes=3, processes_max=3)
    found = plan.difference(settings(SHOP["db"]), settings(after))
    assert found.changed == {}
    assert found.adjusted == {"db": ("processes", "processes_max", "retries", "limits")}


def test_tells_settings_of_the_supervisor_itself() -> None:
    found = plan.difference(settings(SHOP["db"]), settings(SHOP["db"], log_level="debug"))
    assert found.settings == ("log_level",)
