"""Wanted states by case files: this is wanted, the host answers so, and then exactly these commands."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from genii.fleet.state import files, git, packages, services, users
from genii.fleet.state.plan import Plan, Question, StateError
from genii.fleet.state.system import SYSTEM

FOLDER = Path(__file__).parent / "cases"
FILES = sorted(FOLDER.glob("*.toml"))


def cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}: {case['name']}")
        for path in FILES
        for case in tomllib.loads(path.read_text())["case"]
    ]


def package(wanted: dict[str, Any]) -> tuple[Question[Any], Any]:
    family, names = wanted.pop("family"), wanted.pop("names")
    question = packages.ask_packages(family, names, newer=wanted.get("state") == "latest")
    return question, lambda facts: packages.plan_packages(family, names, facts, **wanted)


def service(wanted: dict[str, Any]) -> tuple[Question[Any], Any]:
    manager, name = wanted.pop("manager"), wanted.pop("service")
    question = services.ask_service(manager, name, config=wanted.get("config", ""))
    return question, lambda facts: services.plan_service(manager, name, facts, **wanted)


def user(wanted: dict[str, Any]) -> tuple[Question[Any], Any]:
    question = users.ask_user(wanted["name"], password="password" in wanted)
    return question, lambda facts: users.plan_user(users.WantedUser(**wanted), facts)


def group(wanted: dict[str, Any]) -> tuple[Question[Any], Any]:
    name = wanted.pop("name")
    return users.ask_group(name), lambda facts: users.plan_group(name, facts, **wanted)


def file(wanted: dict[str, Any]) -> tuple[Question[Any], Any]:
    if "content" in wanted:
        wanted["content"] = wanted["content"].encode()
    return files.ask_file(wanted["path"]), lambda facts: files.plan_file(files.WantedFile(**wanted), facts)


def checkout(wanted: dict[str, Any]) -> tuple[Question[Any], Any]:
    place = (wanted.pop("repository"), wanted.pop("path"), wanted.pop("revision"))
    return git.ask_checkout(*place), lambda facts: git.plan_checkout(*place, facts, **wanted)


VERBS = {"package": package, "service": service, "user": user, "group": group, "file": file, "git": checkout}


@pytest.mark.parametrize("case", cases())
def test_case(case: dict[str, Any]) -> None:
    def planned() -> Plan:
        question, plan = VERBS[case["verb"]](dict(case["wanted"]))
        found: Plan = plan(question.read(case.get("answer", "").encode()))
        return found

    if "error" in case:
        with pytest.raises(StateError) as caught:
            planned()
        assert case["error"] in str(caught.value)
        return
    plan = planned()
    assert [step.command for step in plan.steps] == case.get("steps", [])
    assert [step.input.decode() for step in plan.steps if step.input] == case.get("input", [])
    assert plan.difference == case.get("difference", "")


@pytest.mark.parametrize("shell", ["sh", "bash", "busybox"])
def test_every_question_and_step_is_good_shell(shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not here")
    words = [path, "sh", "-n"] if shell == "busybox" else [path, "-n"]
    scripts = [SYSTEM.script]
    for parameter in cases():
        (case,) = parameter.values
        if "error" not in case:
            question, plan = VERBS[case["verb"]](dict(case["wanted"]))
            scripts.append(question.script)
            scripts += [step.command for step in plan(question.read(case.get("answer", "").encode())).steps]
    # As functions of one script, so that the shell is started once.
    text = "\n".join(f"f{number}() {{\n{script}\n}}" for number, script in enumerate(scripts))
    ended = subprocess.run(words, input=text, capture_output=True, text=True, timeout=50)
    assert (ended.returncode, ended.stderr) == (0, "")
