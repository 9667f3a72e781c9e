"""The environment of programs."""

from __future__ import annotations

from genii.supervise.environment import for_process, inherited, masked
from genii.supervise.model import Program

BASE = {"PATH": "/bin", "HOME": "/root", "LANG": "C"}


def build(program: Program, **account: str) -> dict[str, str]:
    return for_process(BASE, program, "web:0", 0, state_dir="/run/genii", notify="/run/n", account=account)


def test_tells_a_process_who_it_is() -> None:
    variables = build(Program(name="web", command=("true",)))
    assert variables["GENII_PROCESS"] == "web:0"
    assert variables["GENII_PROGRAM"] == "web"
    assert variables["GENII_STATE_DIR"] == "/run/genii"
    assert variables["NOTIFY_SOCKET"] == "/run/n"
    assert variables["LANG"] == "C"


def test_the_programs_own_variables_win() -> None:
    program = Program(name="web", command=("true",), environment={"HOME": "/srv", "LANG": "de"})
    assert build(program, HOME="/home/www", USER="www")["HOME"] == "/srv"
    assert build(program, HOME="/home/www", USER="www")["USER"] == "www"


def test_a_cleared_environment_keeps_a_path() -> None:
    variables = build(Program(name="web", command=("true",), clear_environment=True, environment={"A": "1"}))
    assert "LANG" not in variables
    assert variables["PATH"] == "/bin"
    assert variables["A"] == "1"


def test_programs_do_not_inherit_what_speaks_of_the_supervisor() -> None:
    kept = inherited(BASE | {"LISTEN_FDS": "1", "NOTIFY_SOCKET": "/x", "LISTEN_PID": "1", "WATCHDOG_USEC": "5"})
    assert kept == BASE


def test_masks_secrets_by_name_by_look_and_in_urls() -> None:
    variables = {
        "DB_PASSWORD": "x", "API_KEY": "y", "PIN": "1234", "URL": "postgres://me:secret@host/db", "PLAIN": "shown",
    }  # fmt: skip
    assert masked(variables, ("PIN",)) == {
        "DB_PASSWORD": "****", "API_KEY": "****", "PIN": "****", "URL": "postgres://me:****@host/db", "PLAIN": "shown",
    }  # fmt: skip
