"""``genii tasks`` and ``genii task`` as people use them, on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Outcome

    Genii = Callable[..., Outcome]

TASKS = '''\
from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import genii

if TYPE_CHECKING:
    from genii import Remote


@genii.task(hosts=["db", "web,!web07"], desc="Say how long it is up")
def uptime(host: Remote) -> None:
    print("up", end=" ")
    print(host.run("echo 3 days"))


@genii.task
def motd(
    host: Remote, text: str, path: str, kind: Literal["short", "long"] = "short", times: int = 1, loud: bool = False
) -> str:
    """Write a message of the day.

    More about it.
    """
    host.file(path, content=f"{text} {kind} {times} {loud}\\n")
    return f"{text}!"


@genii.task
def names(host: Remote, names: list[str]):
    return names


@genii.task(needs=[uptime])
def broken(host: Remote) -> None:
    deeper(host)


def deeper(host: Remote) -> None:
    if host.name != "good":
        host.run("echo no such luck >&2; exit 7")


@genii.task
async def wrong(host: genii.AsyncRemote) -> float:
    return 1 / 0


@genii.task(check="echo 'site.conf:3: unknown directive' >&2; exit 1")
def guarded(host: Remote) -> None:
    host.run("echo never")


@genii.task(timeout="300ms")
def slow(host: Remote) -> None:
    host.run("sleep 600")
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    return tmp_path


@pytest.mark.parametrize("word", ["tasks", "-T"])
def test_tasks_are_listed_with_what_they_do(genii: Genii, word: str) -> None:
    found = genii(word)
    assert found.status == 0
    lines = [line.split("  ") for line in found.out.splitlines()]
    assert lines[0][0] == "TASK"
    assert "uptime" in found.out
    assert "db then web,!web07" in found.out
    assert "Say how long it is up" in found.out
    assert "motd TEXT PATH [--kind KIND] [--times TIMES] [--loud]" in found.out
    assert "Write a message of the day." in found.out


def test_the_list_for_programs(genii: Genii, folder: Path) -> None:
    rows = {row["name"]: row for row in json.loads(genii("tasks", "--json").out)}
    assert rows["uptime"]["hosts"] == ["db", "web,!web07"]
    assert rows["broken"]["needs"] == ["uptime"]
    assert rows["uptime"]["file"] == str(folder / "tasks.py")
    assert rows["motd"]["parameters"][2] == {
        "name": "kind", "type": "short or long", "required": False, "default": "short", "many": False,
        "choices": ["short", "long"],
    }  # fmt: skip


def test_without_a_file_of_tasks_it_says_so(genii: Genii, folder: Path) -> None:
    (folder / "tasks.py").unlink()
    assert genii("tasks").status == 2
    assert genii("task", "uptime").status == 2
    assert "no tasks.py in" in genii("tasks").err


def test_a_broken_file_is_told_with_its_line(genii: Genii, folder: Path) -> None:
    (folder / "other.py").write_text("import genii\nimport nothing_of_that_name\n")
    found = genii("tasks", "-f", str(folder / "other.py"))
    assert found.status == 2
    assert found.err.startswith(f"{folder}/other.py:2:1: ModuleNotFoundError")
    assert "Traceback" not in found.err


def test_what_one_host_prints_is_printed_as_it_is(genii: Genii) -> None:
    found = genii("task", "uptime", "--local")
    assert (found.status, found.out) == (0, "up 3 days\n")
    assert "1 of 1 hosts ok" in found.err


def test_what_several_print_comes_in_lines_with_their_names(genii: Genii) -> None:
    found = genii("task", "uptime", "--on", "one,two", "--transport", "local")
    assert sorted(found.out.splitlines()) == ["one | up 3 days", "two | up 3 days"]


def test_parameters_have_their_types(genii: Genii, folder: Path) -> None:
    path = f"{folder}/motd"
    found = genii("task", "--local", "motd", "hello", "--times", "3", path, "--kind=long", "--loud")
    assert (found.status, found.out) == (0, "hello!\n")
    assert (folder / "motd").read_text() == "hello long 3 True\n"
    assert f"localhost: file {path} present: changed" in found.err
    again = genii("task", "motd", "--local", "--text", "hello", "--path", path, "--times", "3", "--kind=long", "--loud")
    assert "1 of 1 hosts ok (" in again.err


def test_a_list_is_many_words(genii: Genii) -> None:
    assert genii("task", "names", "a", "b", "--local").out == "['a', 'b']\n"
    assert genii("task", "names", "--names", "a", "--names", "b", "--local").out == "['a', 'b']\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["uptme"], "there is no task 'uptme'; did you mean 'uptime'?"),
        (["motd"], "--text is missing: text"),
        (["motd", "x", "/y", "--times", "often"], "--times: expected a whole number, not 'often'"),
        (["motd", "x", "/y", "--kind", "huge"], "--kind: expected short or long, not 'huge'"),
        (["motd", "x", "/y", "--tiems", "3"], "there is no option or argument '--tiems' here; did you mean '--times'"),
        (["motd", "x", "/y", "z"], "there is no option or argument 'z' here"),
        (["motd", "x", "--text", "y", "/z"], "--text is given twice"),
        (["guarded"], "guarded names no hosts"),
        (["uptime"], "!web07: there is no such host or group"),
        (["uptime", "--local", "--timeout", "soon"], "'soon'"),
        (["uptime", "--local", "--sudo-password", "hunter2"], "--sudo-password says where the password is"),
    ],
)
def test_mistakes_are_told_and_nothing_is_run(genii: Genii, words: list[str], message: str) -> None:
    found = genii("task", *words)
    assert (found.status, found.out) == (2, "")
    assert message in found.err
    assert "hunter2" not in found.err


def test_the_help_of_a_task_tells_its_parameters(genii: Genii) -> None:
    found = genii("task", "motd", "--help")
    assert found.status == 0
    assert "Write a message of the day." in found.out
    assert "--times TIMES" in found.out
    assert "(default: 1)" in found.out
    assert genii("task", "--help").status == 0


def test_a_dry_run_shows_the_difference(genii: Genii, folder: Path) -> None:
    found = genii("task", "motd", "hello", f"{folder}/motd", "--local", "--dry-run")
    assert found.status == 0
    assert f"localhost: file {folder}/motd present: would change" in found.err
    assert "  +hello short 1 False" in found.err
    assert "1 would change" in found.err
    assert not (folder / "motd").exists()


def test_a_failure_names_the_line_of_the_task_and_passes_its_code_on(genii: Genii) -> None:
    found = genii("task", "broken", "--local")
    assert found.status == 7
    line = 1 + TASKS[: TASKS.index("exit 7")].count("\n")
    assert (
        f"tasks.py:{line}: in deeper: 'echo no such luck >&2; exit 7' ended with exit status 7: no such luck"
        in found.err
    )
    assert "Traceback" not in found.err
    assert "genii/fleet" not in found.err


def test_a_failure_on_one_host_does_not_stop_the_others(genii: Genii) -> None:
    found = genii("task", "broken", "--on", "bad,good", "--transport", "local")
    assert found.status == 1
    assert "bad: failed: " in found.err
    assert "broken: 1 of 2 hosts ok, 1 failed" in found.err
    assert "good | up 3 days" in found.out


def test_an_error_of_the_task_itself_is_told_with_its_line(genii: Genii) -> None:
    found = genii("task", "wrong", "--local")
    assert found.status == 1
    assert "in wrong: ZeroDivisionError: division by zero" in found.err
    assert "Traceback" not in found.err


def test_a_check_that_fails_shows_its_output(genii: Genii) -> None:
    found = genii("task", "guarded", "--local")
    assert found.status == 5
    assert "  site.conf:3: unknown directive" in found.err
    assert found.out == ""


def test_a_time_out_has_its_code(genii: Genii) -> None:
    found = genii("task", "slow", "--local")
    assert found.status == 124
    assert "the task took longer than 0.3 s" in found.err


def test_the_result_for_programs(genii: Genii, folder: Path) -> None:
    found = genii(
        "task", "motd", "hi", f"{folder}/motd", "--on", "one,two", "--transport", "local", "--json", "--limit", "1"
    )
    rows = json.loads(found.out)
    assert [row["host"] for row in rows] == ["one", "two"]
    assert [row["changed"] for row in rows] == [True, False]
    assert rows[0]["value"] == "hi!"
    assert rows[0]["results"][0]["difference"].endswith("+hi short 1 False\n")
    failed = json.loads(genii("task", "broken", "--local", "--json").out)
    assert failed[0]["ok"] is False
    assert failed[0]["output"] == ["up 3 days"]
    assert failed[0]["error"]["line"] == 1 + TASKS[: TASKS.index("exit 7")].count("\n")


def test_a_log_file_tells_what_was_done_where(genii: Genii, folder: Path) -> None:
    log = folder / "tasks.log"
    genii("task", "uptime", "--on", "one", "--transport", "local", "--log", str(log))
    genii("task", "broken", "--on", "one", "--transport", "local", "--log", str(log))
    text = log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert " one uptime: 'echo 3 days': done\n" in text
    assert " one uptime: | up 3 days\n" in text
    assert "exit status 7" in text
    assert " one broken: failed in " in text


def test_verbose_shows_every_command(genii: Genii) -> None:
    assert "localhost: echo 3 days: done" in genii("task", "uptime", "--local", "-v").err


def test_an_interruption_tells_what_was_done(folder: Path) -> None:
    (folder / "tasks.py").write_text(
        "import genii\n@genii.task(limit=1)\ndef wait(host):\n"
        "    if host.name == 'slow':\n        host.run('echo waiting; exec sleep 600', stream=True)\n"
    )
    words = [sys.executable, "-m", "genii", "task", "wait", "--on", "quick,slow", "--transport", "local"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "slow | waiting\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=50)
    assert process.returncode == 130
    assert "wait: 1 of 2 hosts ok, 1 not done" in errors
    assert "Traceback" not in errors
