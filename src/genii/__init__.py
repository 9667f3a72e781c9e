"""genii: write a long-running program, run it, keep it alive, scale it, release it, steer it.

The public names are loaded when they are first used, so that ``import genii`` costs next to nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # the names below, for type checkers; importing typing would cost more than all the rest
    from genii import errors as errors
    from genii import patterns as patterns
    from genii import signals as signals
    from genii import testing as testing
    from genii.daemon.control import Control as Control
    from genii.deploy.steps import step as step
    from genii.events.app import App as App
    from genii.events.signals import Signals as Signals
    from genii.fleet.blocking import Remote as Remote
    from genii.fleet.expect import expect as expect
    from genii.fleet.secret import Secret as Secret
    from genii.fleet.task import task as task
    from genii.fleet.task_result import TaskResult as TaskResult
    from genii.fleet.verbs import AsyncRemote as AsyncRemote
    from genii.gearman.async_client import AsyncClient as AsyncClient
    from genii.gearman.client import Client as Client
    from genii.gearman.server import JobServer as JobServer
    from genii.gearman.slots import SlotManager as SlotManager
    from genii.gearman.worker import Worker as Worker
    from genii.serve.prefork import prefork as prefork
    from genii.system.daemonize import daemonize as daemonize
    from genii.system.notify import notify as notify
    from genii.system.pidfile import PidFile as PidFile
    from genii.version import __version__ as __version__

_PUBLIC: dict[str, str] = {
    "App": "genii.events.app",
    "AsyncClient": "genii.gearman.async_client",
    "AsyncRemote": "genii.fleet.verbs",
    "Client": "genii.gearman.client",
    "Control": "genii.daemon.control",
    "JobServer": "genii.gearman.server",
    "PidFile": "genii.system.pidfile",
    "Remote": "genii.fleet.blocking",
    "Secret": "genii.fleet.secret",
    "Signals": "genii.events.signals",
    "SlotManager": "genii.gearman.slots",
    "TaskResult": "genii.fleet.task_result",
    "Worker": "genii.gearman.worker",
    "__version__": "genii.version",
    "daemonize": "genii.system.daemonize",
    "errors": "genii.errors",
    "expect": "genii.fleet.expect",
    "notify": "genii.system.notify",
    "patterns": "genii.patterns",
    "prefork": "genii.serve.prefork",
    "signals": "genii.signals",
    "step": "genii.deploy.steps",
    "task": "genii.fleet.task",
    "testing": "genii.testing",
}
"""Public name -> the module that has it, or that it is."""

__all__ = [*_PUBLIC]  # noqa: PLE0604 -- the table is the list


def __getattr__(name: str) -> object:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'genii' has no attribute {name!r}")
    __import__(module)  # importlib.import_module would do the same a millisecond slower
    found = sys.modules[module]
    return found if module == f"genii.{name}" else getattr(found, name)


def __dir__() -> list[str]:
    return sorted(__all__)
