"""Namespaces that plugins add to the XML-RPC interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from genii.supervisord.client import Client, RemoteFault

if TYPE_CHECKING:
    from tests.supervisord.conftest import Daemon

pytestmark = pytest.mark.slow

PLUGIN = '''
class Greeter:
    def __init__(self, greeting):
        self._greeting = greeting

    def greet(self, name, *more):
        """Be polite.

        @param string name   whom
        @return string       what is said
        """
        return " ".join([self._greeting, name, *more])

    def _hidden(self):
        return "no"


def make(supervisord, greeting="Hello"):
    return Greeter(greeting)


def needs_internals(supervisord):
    return supervisord.options.get_pid()
'''


def test_a_plugin_adds_a_namespace_and_one_that_needs_internals_is_named(daemon: Daemon) -> None:
    (daemon.folder / "greeter.py").write_text(PLUGIN)
    daemon.start(
        "[rpcinterface:polite]\nsupervisor.rpcinterface_factory = greeter:make\ngreeting = Good morning\n"
        "[rpcinterface:curious]\nsupervisor.rpcinterface_factory = greeter:needs_internals\n",
        PYTHONPATH=str(daemon.folder),
    )
    client = Client(f"unix://{daemon.socket}")
    assert client.call("polite.greet", "all", "of you") == "Good morning all of you"
    assert "polite.greet" in client.call("system.listMethods")
    assert "Be polite." in client.call("system.methodHelp", "polite.greet")
    for name in ("polite._hidden", "polite.greet.__globals__", "curious.anything", "polite.__init__"):
        with pytest.raises(RemoteFault, match="UNKNOWN_METHOD"):
            client.call(name)
    client.close()
    assert "RPC interface 'polite' initialized" in daemon.log()
    assert "[rpcinterface:curious] can't be served" in daemon.log()
