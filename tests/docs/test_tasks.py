"""docs/tasks.md against what is there, and its first example as a reader would run it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

from genii.cli.completion import known_commands
from genii.fleet.blocking import Remote
from genii.fleet.taskfile import load_tasks

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
OF_RUN = {"--on", "-i", "--inventory", "--transport", "-l", "--limit", "--connect-timeout", "--known-hosts"}
"""Told in the page about the fleet, and only named here."""


def test_the_first_example_runs_as_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(EXAMPLES[0].replace("/tmp/motd", f"{tmp_path}/motd"))

    def genii(*words: str) -> subprocess.CompletedProcess[str]:
        words = (sys.executable, "-m", "genii", *words)
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=50)

    assert "motd TEXT [--loud]  web    Write a message of the day." in genii("tasks").stdout
    assert "load average" in genii("task", "uptime", "--local").stdout
    dry = genii("task", "motd", "hello there", "--loud", "--local", "--dry-run")
    assert "localhost: file" in dry.stderr
    assert "  +HELLO THERE" in dry.stderr
    assert genii("task", "motd", "hello", "--local").stdout == "changed\n"
    assert genii("task", "motd", "hello", "--local").stdout == "as it was\n"
    assert (tmp_path / "motd").read_text() == "hello\n"


def test_the_other_examples_are_tasks_and_hooks(tmp_path: Path) -> None:
    path = tmp_path / "tasks.py"
    path.write_text("import genii\n" + EXAMPLES[1] + EXAMPLES[2])
    site = load_tasks(str(path))["site"]
    assert (len(site.hooks.before), len(site.hooks.around), len(site.hooks.after)) == (1, 1, 1)


def test_every_option_is_described_and_no_other() -> None:
    (command,) = (one for one in known_commands() if one.name == "task")
    options = {name for option in command.options for name in option.names} - {
        "-h",
        "--help",
        "-c",
        "--config",
        "--server",
    }
    told = PAGE.partition("## The command")[2]
    assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", told)) | {"-i", "-l"} == options | OF_RUN


def test_every_method_of_the_host_is_described() -> None:
    methods = {name for name, _ in inspect.getmembers(Remote) if not name.startswith("_")}
    told = set(re.findall(r"host\.(\w+)", PAGE))
    assert methods - {"wait_for", "abandon"} <= told
    assert told <= methods


def test_every_setting_of_a_task_is_described() -> None:
    from genii.fleet.task import Task

    settings = set(inspect.signature(Task).parameters) - {"function"}
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.partition("### Parameters")[0], re.MULTILINE)) == settings


def test_every_argument_of_run_is_described() -> None:
    table = PAGE.partition("### Commands")[2].partition("### Dialogues")[0]
    told = set(re.findall(r"`(\w+)(?:=False)?`", "\n".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))))
    assert told == set(inspect.signature(Remote.run).parameters) - {"self", "command"}
