"""The scripts, in the shells they are for where these are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from genii.cli.completion import known_commands
from genii.cli.shells import render

if TYPE_CHECKING:
    from pathlib import Path

    from genii.testing.served import ServedTarget


def run(shell: str, script: str, cwd: Path) -> str:
    wrapper = cwd / "bin"
    wrapper.mkdir(exist_ok=True)
    (wrapper / "genii").write_text(f'#!/bin/sh\nexec {sys.executable} -m genii "$@"\n')
    (wrapper / "genii").chmod(0o755)
    environ = {**os.environ, "PATH": f"{wrapper}:{os.environ['PATH']}", "HOME": str(cwd)}
    done = subprocess.run([shell, "-c", script], cwd=cwd, env=environ, capture_output=True, text=True, timeout=50)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_good_syntax(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(render(shell, list(known_commands())))
    run(shell, f"{shell} -n {path}", tmp_path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("genii sta", {"status", "start"}),
        ("genii status --js", {"--json"}),
        ("genii -c x.toml stop jo", {"jobs"}),
        ("genii restart we", {"web", "web:0", "web:1"}),
        ("genii logs --stream st", {"stdout", "stderr"}),
        ("genii export sch", {"schema"}),
        ("genii start --timeout ", set()),
    ],
)
def test_bash_completes(line: str, expected: set[str], served: ServedTarget, site: Path) -> None:
    (site / "x.toml").write_text("")
    assert completed(line, site) == expected


def completed(line: str, site: Path) -> set[str]:
    """Return what bash would offer for the last word of a line."""
    (site / "script").write_text(render("bash", list(known_commands())))
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    found = run(
        "bash",
        f"compopt() {{ :; }}; source ./script; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _genii; "
        'printf "%s\\n" "${COMPREPLY[@]}"',
        site,
    )
    return set(found.split())


def test_fish_completes(served: ServedTarget, site: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    (site / "script").write_text(render("fish", list(known_commands())))
    found = run("fish", "source ./script; complete -C 'genii sta'; complete -C 'genii stop jo'", site)
    assert {line.split("\t")[0] for line in found.splitlines()} == {"status", "start", "jobs"}


TASKS = "import genii\n@genii.task\ndef uptime(host): ...\n@genii.task\ndef update_all(host): ...\n"
HOSTS = '[hosts]\n"web[1-2]" = {}\ndb = {}\n[groups]\nweb = ["web[1-2]"]\n'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("genii task up", {"uptime", "update-all"}),
        ("genii -c genii.toml task --dry-run upt", {"uptime"}),
        ("genii run --on we", {"web", "web1", "web2"}),
        ("genii run --on db,!we", {"db,!web", "db,!web1", "db,!web2"}),
        ("genii status --on d", {"db"}),
        ("genii task uptime --on al", {"all"}),
    ],
)
def test_bash_completes_tasks_and_hosts(line: str, expected: set[str], tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "genii.toml").write_text(HOSTS)
    assert completed(line, tmp_path) == expected


def test_a_broken_file_of_tasks_completes_nothing(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("import nothing_of_this_name\n")
    assert completed("genii task up", tmp_path) == set()


def test_names_are_not_asked_of_a_supervisor_that_is_not_there(site: Path) -> None:
    from genii.cli.main import main

    assert main(["__complete", "status"]) == 1
