"""The hidden ``genii __complete``: what the shell needs to know while somebody types. Silent, whatever goes wrong."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

__all__ = ["print_names"]

_PATIENCE = 1.0
_BEFORE_A_HOST = ",!&@ "
_VALUED = ("-c", "--config", "--server")


def print_names(words: Sequence[str]) -> int:
    """Print the names of programs and processes, of tasks or of hosts, one per line.

    ``words`` is the command line without its first word, up to and with the word that is typed; empty: nothing of it.
    """
    from genii.errors import GeniiError

    typed = words[-1] if words else ""
    try:
        if words[-2:-1] == ["--on"]:
            head = typed[: max(typed.rfind(mark) for mark in _BEFORE_A_HOST) + 1]
            names: Iterable[str] = [f"{head}{name}" for name in _hosts(words)]
        elif _command(words) == "task":
            names = _tasks(words)
        else:
            names = _programs(words)
    except (GeniiError, OSError):
        return 1
    print("\n".join(names))
    return 0


def _programs(words: Sequence[str]) -> Iterable[str]:
    from genii.cli.connect import connect

    options = SimpleNamespace(config=_value(words, "-c", "--config"), server=_value(words, "--server"))
    rows = connect(cast("argparse.Namespace", options), timeout=_PATIENCE).statuses()
    return [*dict.fromkeys(name for row in rows for name in (row["program"], row["name"])), "all"]


def _tasks(words: Sequence[str]) -> Iterable[str]:
    from genii.fleet.taskfile import find_tasks, load_tasks

    return load_tasks(_value(words, "-f", "--file") or find_tasks(os.getcwd()))


def _hosts(words: Sequence[str]) -> Iterable[str]:
    from genii.cli.fleet import read_inventories, read_settings

    settings = read_settings(cast("argparse.Namespace", SimpleNamespace(config=_value(words, "-c", "--config"))))
    file = _value(words, "-i", "--inventory")
    inventory = read_inventories(settings, [file] if file else [])
    return [*inventory.groups, *inventory.names(), "all"]


def _command(words: Sequence[str]) -> str:
    """Return the first word that is neither an option nor its value."""
    rest = iter(words[:-1])
    for word in rest:
        if word in _VALUED:
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return ""


def _value(words: Sequence[str], *options: str) -> str | None:
    """Return the value that one of the options has on the command line."""
    for position, word in enumerate(words[:-1]):
        name, equals, value = word.partition("=")
        if name in options:
            return value if equals else words[position + 1]
    return None
