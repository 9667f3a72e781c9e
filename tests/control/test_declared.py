"""What is declared, for people: triggers in words, nothing secret."""

from __future__ import annotations

from genii.control.declared import configuration, declared_programs
from genii.supervise.model import Http, Program, Recycle, Schedule, Settings, Watch

NOON = 1795262400.0


def test_the_next_runs_of_a_schedule_are_told_with_its_meaning() -> None:
    program = Program(name="report", command=("r",), schedule=Schedule(cron="*/5 * * * *", timezone="UTC"))
    (declared,) = declared_programs(Settings(programs={"report": program}), NOON)
    assert declared.kind == "schedule"
    assert declared.schedule is not None
    assert [run - NOON for run in declared.schedule.next] == [300.0, 600.0, 900.0]
    assert "minute" in declared.schedule.words.lower()


def test_kinds_are_told_apart() -> None:
    programs = {
        "web": Program(name="web", command=("w",)),
        "build": Program(name="build", command=("b",), watch=Watch(paths=("/src",))),
        "thumbs": Program(name="thumbs", command=("t",), worker="a:B", processes_max=4, recycle=Recycle(jobs=9)),
    }
    found = declared_programs(Settings(programs=programs), NOON)
    assert [program.kind for program in found] == ["service", "watch", "worker"]
    assert found[1].watches == ("/src",)
    assert (found[2].minimum, found[2].maximum, found[2].recycle["jobs"]) == (1, 4, 9)


def test_the_configuration_shows_no_secret() -> None:
    program = Program(
        name="web",
        command=("w",),
        environment={"DB_PASSWORD": "hunter2", "URL": "http://me:hunter3@host/", "KEY": "hunter4", "MODE": "fast"},
        secret_variables=("KEY",),
    )
    http = Http(username="me", password="hunter5", readonly_username="eye", readonly_password="hunter6")
    shown = configuration(Settings(path="/etc/genii.toml", http=http, programs={"web": program}, supervisord="hunter7"))
    assert "hunter" not in repr(shown)
    assert shown.settings["programs"]["web"]["environment"]["MODE"] == "fast"
    assert shown.settings["http"]["username"] == "me"
