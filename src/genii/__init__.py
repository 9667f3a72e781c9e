"""genii: write a long-running program, run it, keep it alive, scale it, release it, steer it.

The public names are loaded when they are first used, so that ``import genii`` costs next to nothing.
"""

from __future__ import annotations

from genii.version import __version__

_PUBLIC: dict[str, str] = {
    "App": "genii.events.app",
    "Control": "genii.daemon.control",
    "daemonize": "genii.system.daemonize",
    "notify": "genii.system.notify",
    "PidFile": "genii.system.pidfile",
    "prefork": "genii.serve.prefork",
    "Signals": "genii.events.signals",
}
"""Public name -> the module that has it."""

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 -- the table is the list


def __getattr__(name: str) -> object:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'genii' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
