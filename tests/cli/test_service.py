from __future__ import annotations

import math

import pytest

from genii.cli.service import describe, stop_seconds
from genii.supervise.model import Program, Settings, Stop


def program(name: str, timeout: float, *depends_on: str, **more: object) -> Program:
    return Program(name=name, command=("x",), stop=Stop(timeout=timeout), depends_on=depends_on, **more)  # type: ignore[arg-type]


def settings(*programs: Program, path: str = "/srv/My shop/genii.toml", **more: object) -> Settings:
    return Settings(path=path, programs={each.name: each for each in programs}, **more)  # type: ignore[arg-type]


def test_what_depends_on_another_is_stopped_before_it_and_the_rest_at_once() -> None:
    programs = settings(
        program("web", 20.0, "jobs"), program("jobs", 5.0, "db"), program("db", 7.0), program("a", 30.0)
    )
    assert stop_seconds(programs.programs) == 32.0
    assert stop_seconds({}) == 0.0
    assert math.isinf(stop_seconds({"a": program("a", math.inf)}))


def test_the_supervisor_has_time_of_its_own_to_stop() -> None:
    assert describe(settings(program("a", 30.0)), ["genii"], "").stop_seconds > 30.0


def test_a_file_of_somebody_else_is_not_run_as_root() -> None:
    assert describe(settings(program("a", 1.0)), ["genii"], "ann").user == "ann"
    assert describe(settings(program("a", 1.0)), ["genii"], "").user == ""


def test_a_file_that_says_who_runs_what_is_started_as_root() -> None:
    assert describe(settings(program("a", 1.0), user="www"), ["genii"], "ann").user == ""
    assert describe(settings(program("a", 1.0, user="www")), ["genii"], "ann").user == ""


@pytest.mark.parametrize(
    ("path", "identifier", "name"),
    [
        ("/srv/My shop/genii.toml", "genii", "genii-My-shop"),
        ("/srv/shop/genii.toml", "till", "till"),
        ("/etc/genii/genii.toml", "genii", "genii"),
        ("/etc/supervisor/supervisord.conf", "supervisor", "genii-supervisor"),
        ("/genii.toml", "genii", "genii"),
    ],
)
def test_the_name_is_that_of_the_supervisor_or_of_its_folder(path: str, identifier: str, name: str) -> None:
    assert describe(settings(path=path, identifier=identifier), ["genii"], "").name == name


def test_the_limit_of_open_files_is_what_the_programs_need() -> None:
    assert describe(settings(program("a", 1.0)), ["genii"], "").open_files == 524288
    more = program("a", 1.0, limits={"nofile": (10, 1_000_000)})
    assert describe(settings(more), ["genii"], "").open_files == 1_000_000
    unlimited = program("b", 1.0, limits={"nofile": (10, -1)})
    assert describe(settings(more, unlimited), ["genii"], "").open_files == -1


def test_each_command_line_names_the_configuration() -> None:
    service = describe(settings(), ["/bin/python", "-m", "genii"], "")
    assert service.words("up", "-d") == ("/bin/python", "-m", "genii", "-c", "/srv/My shop/genii.toml", "up", "-d")
