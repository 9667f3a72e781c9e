"""Read the plain command lines, as most are, without argparse: its import takes a fifth of a short command. No I/O.

Plain are options written out (``--lines 5``, ``--lines=5``, ``-n 5``) and one row of arguments. All else, such as
``--help``, several flags in one word and every mistake, is left to argparse, and so is a command that declares more
than this knows. Where it does read a line, it reads it as argparse does; a test compares the two.
"""

from __future__ import annotations

from genii.cli.options import HIDDEN
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["NotPlain", "Options", "PlainParser"]

_KNOWN = {"action", "choices", "default", "dest", "help", "metavar", "nargs"}
_ACTIONS = ("store", "store_true", "append", "help")
"""Of these, the last two are only declared: a line that has one of them is not plain."""
_NUMBERS = (None, "*", "+", "?")


class NotPlain(Exception):
    """Say that a command or a command line is not plain."""


class Options:
    """What a command line says, as ``argparse.Namespace``."""

    def __init__(self, **values: object) -> None:
        vars(self).update(values)


class _Argument:
    """One option or argument as it was declared."""

    def __init__(self, names: tuple[str, ...], settings: dict[str, Any]) -> None:
        self.action = settings.get("action", "store")
        self.nargs = settings.get("nargs")
        if settings.keys() - _KNOWN or self.action not in _ACTIONS or self.nargs not in _NUMBERS:
            raise NotPlain
        self.names = names
        self.choices = settings.get("choices")
        long = next((name for name in names if name.startswith("--")), names[0])
        self.dest: str = settings.get("dest") or long.lstrip("-").replace("-", "_")
        self.default = settings.get("default", False if self.action == "store_true" else None)
        self.completion = ""

    def value(self, word: str) -> str:
        """Return the value that a word gives it."""
        if self.choices is not None and word not in self.choices:
            raise NotPlain
        return word


class PlainParser:
    """Take declarations as ``argparse.ArgumentParser`` does, and read words.

    All methods raise ``NotPlain`` where that is to be used instead.
    """

    def __init__(self) -> None:
        self._options: dict[str, _Argument] = {}
        self._row: _Argument | None = None
        self.epilog = self.usage = self.description = ""

    def __getattr__(self, name: str) -> Any:
        raise NotPlain

    def add_argument(self, *names: str, **settings: Any) -> _Argument:
        """Declare an option, or the row of arguments; only one of these is plain."""
        argument = _Argument(names, settings)
        if names[0].startswith("-"):
            if argument.nargs is not None or not self._options.keys().isdisjoint(names):
                raise NotPlain
            self._options.update(dict.fromkeys(names, argument))
        elif self._row is not None or argument.action != "store":
            raise NotPlain
        else:
            self._row = argument
        return argument

    def add_argument_group(self, _title: str = "") -> PlainParser:
        """Return itself: groups are for the help."""
        return self

    def parse(self, words: Sequence[str], **defaults: object) -> Options:
        """Return what the words say; ``defaults`` are what the options before the command said."""
        found = dict(defaults)
        for argument in self._options.values():
            if argument.default != HIDDEN and argument.action != "help":
                found.setdefault(argument.dest, argument.default)
        rows: list[list[str]] = [[]]
        waiting = iter(words)
        for word in waiting:
            if not word.startswith("-"):
                rows[-1].append(word)
                continue
            if rows[-1]:
                rows.append([])
            name, equals, value = word.partition("=")
            self._take(found, name, value if equals else None, waiting)
        rows = [row for row in rows if row] or [[]]
        if len(rows) > 1:
            raise NotPlain
        self._fill(found, rows[0])
        return Options(**found)

    def _take(self, found: dict[str, object], name: str, value: str | None, rest: Any) -> None:
        """Take in one option; its value may be the next word."""
        option = self._options.get(name)
        if option is None or option.action in ("append", "help") or (value is not None and not name.startswith("--")):
            raise NotPlain
        if option.action == "store_true":
            if value is not None:
                raise NotPlain
            found[option.dest] = True
            return
        if value is None:
            value = next(rest, "-")
            if value.startswith("-"):
                raise NotPlain
        found[option.dest] = option.value(value)

    def _fill(self, found: dict[str, object], row: list[str]) -> None:
        """Take in the arguments."""
        argument = self._row
        if argument is None:
            if row:
                raise NotPlain
            return
        values = [argument.value(word) for word in row]
        if argument.nargs == "*":
            found[argument.dest] = values or ([] if argument.default is None else argument.default)
        elif argument.nargs == "?" and not values:
            found[argument.dest] = argument.default
        elif not values or (argument.nargs != "+" and len(values) > 1):
            raise NotPlain
        else:
            found[argument.dest] = values if argument.nargs == "+" else values[0]
