from __future__ import annotations

from typing import Any

import msgspec
import pytest

from genii.config.deploy import Command, Deployment, Health, Origin
from genii.deploy.facts import Facts
from genii.deploy.history import read_history
from genii.deploy.plan import Place, Plan, Release, plan_deploy, plan_rollback, refusals
from genii.deploy.tree import Delta, Shipment

OLD, NEW = "20261121110000", "20261121120000"
FACTS = Facts(history=read_history([OLD], OLD, (), ()), current=f"/srv/shop/releases/{OLD}", free=1 << 30)
RELEASE = Release(name=NEW, revision="abc", branch="main", by="alice", control="ci", at="noon", tree="f00")
SHIPMENT = Shipment(Delta(False, ("gone",), ("a",)), 1024, 1024)


def settings(**changes: Any) -> Deployment:
    base = Deployment(name="shop", origin=Origin("git", "/r"), to="/srv/shop", folder="/", hosts=("h1",))
    return msgspec.structs.replace(base, **changes)


def plan(place: Place | None = None, redefined: dict[str, tuple[str, ...]] | None = None, **changes: Any) -> Plan:
    return plan_deploy(settings(**changes), place or Place(host="h1"), FACTS, RELEASE, SHIPMENT, redefined)


def names(plan: Plan) -> list[list[str]]:
    return [[step.name for step in phase] for phase in (plan.prepare, plan.publish, plan.finish)]


def test_the_smallest_deployment() -> None:
    found = plan()
    assert names(found) == [["update", "sync"], ["switch"], ["record"]]
    assert found.round_trips == 4


def test_everything_that_can_fail_is_before_the_switch() -> None:
    found = plan(
        linked_dirs=("log",), install=("i",), check=("c",), programs=("web",), health=Health(tcp="127.0.0.1:80"), keep=1
    )
    assert names(found) == [
        ["update", "link", "install", "check", "intact", "sync"],
        ["switch", "restart", "health"],
        ["record"],
    ]
    assert found.round_trips == 4


def test_the_classic_order() -> None:
    found = plan(order="classic", install=("i",), check=("c",), programs=("web",))
    steps = ["stop", "update", "sync", "switch", "install", "check", "intact", "start"]
    assert names(found) == [[], steps, ["record"]]
    assert found.round_trips == 3


@pytest.mark.parametrize(
    ("how", "verbs"),
    [
        ("restart", ["genii restart web"]),
        ("rolling", ["genii restart --rolling web"]),
        ("reload", ["genii reload web"]),
        ("stop", ["genii stop web", "genii start web"]),
    ],
)
def test_how_programs_get_the_release(how: str, verbs: list[str]) -> None:
    commands = [step.commands[0] for step in plan(programs=("web",), restart=how).publish if step.commands]
    assert commands == [f"cd /srv/shop && {verb}" for verb in verbs]


def test_python_goes_before_the_file_and_the_file_before_the_default() -> None:
    given = {"restart": ("in the file",)}
    assert plan(programs=("web",), steps=given).publish[-1].commands == ("in the file",)
    assert plan(redefined={"restart": ("in python",)}, steps=given).publish[-1].commands == ("in python",)


@pytest.mark.parametrize(
    ("command", "runs"),
    [
        (Command("x"), [True, True, True]),
        (Command("x", once=True), [True, False, False]),
        (Command("x", ("db",)), [False, True, True]),
        (Command("x", ("db",), once=True), [False, True, False]),
        (Command("x", ("other",)), [False, False, False]),
    ],
)
def test_who_runs_a_hook(command: Command, runs: list[bool]) -> None:
    places = [
        Place(host="h1", first_of=("",)), Place(host="h2", roles=("db",), first_of=("db",)),
        Place(host="h3", roles=("db",)),
    ]  # fmt: skip
    assert [place.runs(command) for place in places] == runs


def test_an_undoing_tries_everything() -> None:
    found = plan(programs=("web",), health=Health(command="true"), hooks={"failed": (Command("tell"),)})
    assert [step.name for step in found.revert] == ["record", "switch", "restart", "health", "failed"]
    assert all(step.always for step in (*found.revert, *found.discard))
    assert OLD in found.revert[1].script
    assert (found.revert_env["RELEASE"], found.revert_env["FAILED_RELEASE"]) == (OLD, NEW)


def test_a_roll_back_takes_three_round_trips_and_its_health_is_asked() -> None:
    release = msgspec.structs.replace(RELEASE, name=OLD)
    found = plan_rollback(settings(programs=("web",), health=Health(command="true")), Place(host="h1"), FACTS, release)
    assert names(found) == [[], ["switch", "restart", "health"], ["record"]]
    assert found.round_trips == 3


def test_words_of_the_user_are_quoted() -> None:
    found = plan(linked_dirs=("it's; rm -rf",))
    assert "'shared/it'\"'\"'s; rm -rf'" in found.prepare[1].script


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"current_is": "directory"}, "is a directory, not a link"),
        ({"missing": ("a/b",)}, "/srv/shop/shared/a/b is missing"),
        ({"free": 1 << 20}, "only 1 MiB are free"),
    ],
)
def test_why_a_host_is_refused(changes: dict[str, Any], said: str) -> None:
    (text,) = refusals(settings(), msgspec.structs.replace(FACTS, **changes), need=2 << 20)
    assert said in text
    assert refusals(settings(), FACTS, need=2 << 20) == []
