"""Commands that plugins add to supervisorctl: ``[ctlplugin:x]`` with ``supervisor.ctl_factory = module:callable``.

A factory is called with a session (see below) and the section's other options as keywords; the methods ``do_NAME`` of
what it returns are commands, which get the rest of the line, and ``help_NAME`` or their docstrings tell about them.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from genii.supervisord.client import RemoteFault
from genii.supervisord.plugins import load_callable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from genii.config.ini.control import ControlPlugin
    from genii.supervisord.ctl import Controller

__all__ = ["Plugins"]


class Plugins:
    """All plugins of one session."""

    def __init__(self, controller: Controller, declared: Iterable[ControlPlugin]) -> None:
        """Make the plugins.

        Raises:
            NotAllowed: a factory can't be found.
        """
        session = Session(controller)
        self._plugins: list[Any] = []
        for one in declared:
            plugin = load_callable(one.factory)(session, **one.options)
            plugin.name = one.name
            self._plugins.append(plugin)
        session.options.plugins = self._plugins
        session.vocab += self.names()

    def names(self) -> list[str]:
        """Return the names of their commands."""
        found = {name[3:] for plugin in self._plugins for name in dir(plugin) if name.startswith("do_")}
        return sorted(found - {"help"})

    def command(self, name: str) -> Callable[[str], object] | None:
        """Return a command by name."""
        for plugin in self._plugins:
            found: Callable[[str], object] | None = getattr(plugin, f"do_{name}", None)
            if found is not None:
                return found
        return None

    def help(self, name: str) -> str | None:
        """Return what there is to tell about a command; None: it is not theirs, or tells it itself."""
        for plugin in self._plugins:
            tell = getattr(plugin, f"help_{name}", None)
            if tell is not None:
                tell()
                return ""
        command = self.command(name)
        return None if command is None else (command.__doc__ or f"*** No help on {name}").strip()


class Session:
    """What plugins know of supervisorctl: the part of its ``Controller`` that they use."""

    nohelp = "*** No help on %s"

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.vocab: list[str] = ["help"]
        self.options = SimpleNamespace(
            serverurl=controller.url,
            username=controller.username,
            password=controller.password,
            interactive=controller.interactive,
            getServerProxy=self.get_server_proxy,
            plugins=[],
        )

    @property
    def exitstatus(self) -> int:
        """The exit code as it stands."""
        return self._controller.status

    @exitstatus.setter
    def exitstatus(self, status: int) -> None:
        self._controller.status = status

    def output(self, message: str) -> None:
        """Print a line."""
        self._controller.output(message)

    def upcheck(self) -> bool:
        """Say whether a supervisord answers; where not, that is printed."""
        return self._controller.is_up()

    def get_supervisor(self) -> Any:
        """Return an object with the methods of the namespace ``supervisor``."""
        return self.get_server_proxy("supervisor")

    def get_server_proxy(self, namespace: str | None = None) -> Any:
        """Return an object with the namespaces of the server, or with the methods of one; faults are xmlrpc's own."""
        return _Proxy(self._controller, namespace or "")

    def print_topics(self, header: str, names: list[str], _indent: int = 15, _width: int = 80) -> None:
        """Print names under a heading."""
        if names:
            self.output("\n".join((header, "=" * len(header), "  ".join(names), "")))


class _Proxy:
    """A namespace, or a method, of the server."""

    def __init__(self, controller: Controller, name: str) -> None:
        self._controller = controller
        self._name = name

    def __getattr__(self, name: str) -> _Proxy:
        return _Proxy(self._controller, f"{self._name}.{name}" if self._name else name)

    def __call__(self, *params: Any) -> Any:
        try:
            return self._controller.client.call(self._name, *params)
        except RemoteFault as fault:
            from xmlrpc.client import Fault

            raise Fault(fault.number, fault.text) from None
