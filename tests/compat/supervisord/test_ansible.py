"""Ansible's module for supervisorctl: the same playbook against the real supervisord and ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.supervisord.conftest import Daemon

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.compat, pytest.mark.slow, pytest.mark.timeout(600)]

PROGRAMS = """
[program:cat]
command = /bin/cat
startsecs = 0
[program:web]
command = /bin/cat
process_name = %(program_name)s_%(process_num)02d
numprocs = 2
startsecs = 0
"""
FRESH = "[program:fresh]\ncommand = /bin/cat\nstartsecs = 0\n"
STEPS = (
    ("fresh", "present", ""),
    ("fresh", "present", ""),
    ("cat", "started", ""),
    ("cat", "stopped", ""),
    ("cat", "stopped", ""),
    ("cat", "started", ""),
    ("cat", "restarted", ""),
    ("cat", "signalled", "CONT"),
    ("web:", "stopped", ""),
    ("web:", "started", ""),
    ("all", "restarted", ""),
    ("nobody", "started", ""),
    ("nobody", "present", ""),
    ("fresh", "absent", ""),
    ("cat", "stopped", ""),
    ("cat", "absent", ""),
    ("cat", "absent", ""),
)


def playbook(daemon: Daemon, client: Path) -> list[dict[str, object]]:
    """Return the tasks, each of which keeps its result."""
    tasks: list[dict[str, object]] = []
    for number, (name, state, signal) in enumerate(STEPS):
        words = {"name": name, "state": state, "config": str(daemon.config), "supervisorctl_path": str(client)}
        if signal:
            words["signal"] = signal
        tasks.append({"supervisorctl": words, "register": f"step{number}", "ignore_errors": True})
    results = ", ".join(f"step{number}" for number in range(len(STEPS)))
    content = f"{{{{ [{results}] | to_json }}}}"
    tasks.append({"ansible.builtin.copy": {"content": content, "dest": str(daemon.folder / "results")}})
    return [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]


def results(daemon: Daemon, client: Path, ansible: Path) -> list[dict[str, object]]:
    daemon.start(PROGRAMS)
    try:
        daemon.write(PROGRAMS, FRESH)
        book = daemon.folder / "book.json"
        book.write_text(json.dumps(playbook(daemon, client)))
        environment = {
            **os.environ,
            "ANSIBLE_LIBRARY": str(ansible.parents[1] / "library"),
            "ANSIBLE_LOCAL_TEMP": str(daemon.folder / "local"),
            "ANSIBLE_REMOTE_TEMP": str(daemon.folder / "remote"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            [ansible / "ansible-playbook", "-i", "localhost,", book],
            env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads((daemon.folder / "results").read_text())
    finally:
        daemon.stop()
    return [{key: step.get(key) for key in ("changed", "failed", "msg", "affected", "rc")} for step in found]


def test_every_state_has_the_same_outcome(folder: Path, peer: Path, ansible: Path) -> None:
    expected = results(Daemon(folder, [str(peer / "supervisord")]), peer / "supervisorctl", ansible)
    assert [step["changed"] for step in expected[:4]] == [True, False, False, True]
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    assert results(Daemon(folder), peer / "supervisorctl", ansible) == expected
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    ours = folder / "supervisorctl"
    ours.write_text(f'#!/bin/sh\nexec {sys.executable} -m genii supervisorctl "$@"\n')
    ours.chmod(0o755)
    assert results(Daemon(folder), ours, ansible) == expected
