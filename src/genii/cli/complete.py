"""The hidden ``genii __complete``: what the shell needs to know while somebody types. Silent, whatever goes wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["print_programs"]

_PATIENCE = 1.0


def print_programs(words: Sequence[str]) -> int:
    """Print the names of programs and processes, one per line; ``words`` is the command line so far."""
    from genii.cli.connect import connect
    from genii.errors import GeniiError

    options = SimpleNamespace(config=_value(words, "-c", "--config"), server=_value(words, "--server"))
    try:
        rows = connect(cast("argparse.Namespace", options), timeout=_PATIENCE).statuses()
    except (GeniiError, OSError):
        return 1
    names = dict.fromkeys(name for row in rows for name in (row["program"], row["name"]))
    print("\n".join([*names, "all"]))
    return 0


def _value(words: Sequence[str], *options: str) -> str | None:
    """Return the value that one of the options has on the command line."""
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in options:
            return value if equals else next(iter(words[position + 1 :]), None)
    return None
