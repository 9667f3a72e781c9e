"""Commands that a plugin adds to supervisorctl."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.supervisord.conftest import Daemon

pytestmark = pytest.mark.slow

PLUGIN = '''
import xmlrpc.client

class Greeter:
    def __init__(self, controller, greeting):
        self.ctl, self.greeting = controller, greeting

    def do_greet(self, words):
        """greet WHOM: be polite"""
        if self.ctl.upcheck():
            state = self.ctl.get_supervisor().getState()["statename"]
            self.ctl.output(f"{self.greeting}, {words}: {state}")

    def do_lament(self, words):
        try:
            self.ctl.get_server_proxy().supervisor.startProcess("nobody")
        except xmlrpc.client.Fault as fault:
            self.ctl.output(f"{fault.faultCode} {fault.faultString}")
            self.ctl.exitstatus = 3

    def do_break(self, words):
        raise ValueError("oh")
'''


def ctl(daemon: Daemon, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "genii", "supervisorctl", "-c", str(daemon.config), *words],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(daemon.folder)},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_plugin_adds_commands(daemon: Daemon) -> None:
    (daemon.folder / "greeter.py").write_text(PLUGIN)
    daemon.start("[ctlplugin:polite]\nsupervisor.ctl_factory = greeter:Greeter\ngreeting = Hello\n")
    assert ctl(daemon, "greet", "all", "of", "you") == (0, "Hello, all of you: RUNNING\n")
    assert ctl(daemon, "lament") == (3, "10 BAD_NAME: nobody\n")
    assert ctl(daemon, "break") == (1, "error: ValueError: oh\n")
    assert ctl(daemon, "help", "greet") == (0, "greet WHOM: be polite\n")
    assert "greet" in ctl(daemon, "help")[1]
    assert ctl(daemon, "version")[0] == 0


def test_a_plugin_that_is_not_there_is_named(daemon: Daemon) -> None:
    daemon.write("[ctlplugin:polite]\nsupervisor.ctl_factory = no_such_module:Greeter\n")
    status, text = ctl(daemon, "status")
    assert status == 1
    assert "no_such_module:Greeter could not be resolved" in text
