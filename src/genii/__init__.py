"""genii: write a long-running program, run it, keep it alive, scale it, release it, steer it.

The public names are loaded when they are first used, so that ``import genii`` costs next to nothing.
"""

from __future__ import annotations

import sys

from genii.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:  # the names below, for type checkers; importing typing would cost more than all the rest
    from genii.events.app import App as App
    from genii.events.signals import Signals as Signals
    from genii.gearman.async_client import AsyncClient as AsyncClient
    from genii.gearman.client import Client as Client
    from genii.gearman.server import JobServer as JobServer
    from genii.gearman.worker import Worker as Worker

_PUBLIC: dict[str, str] = {
    "App": "genii.events.app",
    "AsyncClient": "genii.gearman.async_client",
    "Client": "genii.gearman.client",
    "Control": "genii.daemon.control",
    "JobServer": "genii.gearman.server",
    "daemonize": "genii.system.daemonize",
    "notify": "genii.system.notify",
    "PidFile": "genii.system.pidfile",
    "prefork": "genii.serve.prefork",
    "Signals": "genii.events.signals",
    "Worker": "genii.gearman.worker",
}
"""Public name -> the module that has it."""

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 -- the table is the list


def __getattr__(name: str) -> object:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'genii' has no attribute {name!r}")
    __import__(module)  # importlib.import_module would do the same a millisecond slower
    return getattr(sys.modules[module], name)


def __dir__() -> list[str]:
    return sorted(__all__)
