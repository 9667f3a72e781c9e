"""Finding and executing tasks.py: what is wrong with it is told with its line, never with a traceback of ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from genii.errors import ConfigError, UsageError
from genii.fleet.blame import describe, place_of
from genii.fleet.taskfile import find_tasks, load_tasks

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "import genii\n\n@genii.task\ndef uptime(host):\n    'Say how long it is up.'\n"


def test_it_is_found_from_a_folder_upwards(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(GOOD)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_tasks(str(deep)) == str(tmp_path / "tasks.py")


def test_without_one_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no tasks\.py in"):
        find_tasks(str(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_that_of_somebody_else_is_not_executed(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(GOOD)
    os.chown(tmp_path / "tasks.py", 12345, 12345)
    below = tmp_path / "mine"
    below.mkdir()
    with pytest.raises(UsageError, match="belongs to another user"):
        find_tasks(str(below))


def test_tasks_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tasks.py"
    path.write_text(GOOD + "\n@genii.task\ndef aaa(host): pass\n")
    assert list(load_tasks(str(path))) == ["uptime", "aaa"]


def test_it_can_import_what_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", ["/usr/lib"])
    (tmp_path / "helpers_of_these_tasks.py").write_text("HOSTS = 'web'\n")
    path = tmp_path / "tasks.py"
    path.write_text(
        "import genii\nfrom helpers_of_these_tasks import HOSTS\n@genii.task(hosts=HOSTS)\ndef up(host): pass\n"
    )
    assert load_tasks(str(path))["up"].hosts == ("web",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:\n", r"tasks.py:1:\d+: invalid syntax"),
        ("import genii\nimport no_such_module_at_all\n", "tasks.py:2:1: ModuleNotFoundError: No module named"),
        ("import genii\n\nx = 1 / 0\n", "tasks.py:3:1: ZeroDivisionError"),
        ("import genii\n\n@genii.task\ndef alone(): pass\n", r"tasks.py:3:1: alone\(\) takes no host"),
        ("import sys\nsys.exit(3)\n", "tasks.py:2:1: SystemExit: 3"),
        ("import genii\n@genii.task(host='x')\ndef up(host): pass\n", r"tasks.py:\d:1: TypeError"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "tasks.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_tasks(str(path))


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing.py: No such file or directory"):
        load_tasks(str(tmp_path / "nothing.py"))


def test_the_deepest_line_of_the_users_own_is_blamed(tmp_path: Path) -> None:
    path = tmp_path / "tasks.py"
    path.write_text("import genii\ndef deep():\n    int('x')\n\n@genii.task\ndef up(host):\n    deep()\n")
    task = load_tasks(str(path))["up"]
    with pytest.raises(ValueError, match="invalid literal") as caught:
        task("host")
    assert place_of(caught.value, str(path)) == (str(path), 3, "deep")
    assert describe(caught.value).startswith("ValueError: invalid literal")


def test_system_errors_are_told_without_their_number() -> None:
    assert describe(FileNotFoundError(2, "No such file or directory", "/x")) == "No such file or directory: /x"
