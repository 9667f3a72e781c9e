"""docs/cli.md against the parsers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genii.cli.completion import known_commands
from genii.cli.table import COMMANDS

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
SECTIONS = dict(re.findall(r"^### genii (\w+)\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL))
OF_ALL = {"-h", "--help", "-c", "--config", "--server"}
ELSEWHERE = {"up", "init", "check", "export", "daemonize", "nohup", "jobs", "work", "supervisord", "supervisorctl",
             "echo_supervisord_conf", "pidproxy", "tasks", "task", "bootstrap"}  # fmt: skip
"""Commands with a page of their own."""


def test_every_command_has_a_section_and_no_other() -> None:
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize(
    "command", [known for known in known_commands() if known.name not in ELSEWHERE], ids=lambda known: known.name
)
def test_every_option_is_described_and_no_other(command: object) -> None:
    from genii.cli.shells import Known

    assert isinstance(command, Known)
    options = {name for option in command.options for name in option.names} - OF_ALL
    assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", SECTIONS[command.name].partition("```")[0])) == options
