"""A file as it was read, and the faults found in it, each with its place. No I/O."""

from __future__ import annotations

from posixpath import dirname
from typing import TYPE_CHECKING, Any

import msgspec

from genii.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from genii.config.locate import Locator, Path

__all__ = ["Faults", "Layer", "Scope", "Source", "did_you_mean", "quote"]

_MOST_FAULTS = 100
_MOST_REPORTS = 2000


def quote(value: object) -> str:
    """Show a value of the user in a message: on one line, and not endless."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:70]}…{shown[-1]}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'known'?)"`` for a word that is nearly one of the known ones, else ``""``."""
    if len(word) > 60:
        return ""
    from difflib import get_close_matches
    from posixpath import commonprefix

    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), by_lower, n=3, cutoff=0.6)
    # People rarely get the beginning wrong: "retry" is rather "retries" than "directory".
    best = max(close, key=lambda name: len(commonprefix((name, word.lower()))), default=None)
    return f" (did you mean {by_lower[best]!r}?)" if best else ""


class Source(msgspec.Struct):
    """One file: its path, its text, and what TOML makes of it."""

    path: str
    text: str
    data: dict[str, Any]
    mode: int = 0o600
    _locator: Locator | None = None

    @property
    def folder(self) -> str:
        """Return the folder of the file, which ``{here}`` stands for."""
        return dirname(self.path)

    def problem(self, path: Path, message: str, *, key: bool = False) -> Problem:
        """Return a problem placed at the value (or the key) that ``path`` leads to."""
        if self._locator is None:
            from genii.config.locate import Locator

            self._locator = Locator(self.text)
        line, column = self._locator.key(path) if key else self._locator.value(path)
        return Problem(self.path, line, column, message)


class Layer(msgspec.Struct, frozen=True):
    """A table of a file that gives keys to a program: its own, or ``[defaults]``."""

    source: Source
    path: Path
    table: Mapping[str, Any]

    def reach(self, path: Path) -> int:
        """Return how many steps of a path lead somewhere in this table."""
        found: Any = self.table
        for steps, step in enumerate(path):
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                return steps
        return len(path)


class Faults(msgspec.Struct):
    """Collect what is wrong and what is doubtful, each once and not without end."""

    problems: dict[Problem, None] = msgspec.field(default_factory=dict)
    warnings: dict[Problem, None] = msgspec.field(default_factory=dict)
    kinds: dict[type, Any] = msgspec.field(default_factory=dict)
    """What msgspec knows of the schema's records, asked when something is wrong for the first time."""
    _reports: int = 0

    @property
    def full(self) -> bool:
        """Say whether there are more faults than anybody wants to read, or than are worth the time to look for."""
        return len(self.problems) >= _MOST_FAULTS or self._reports >= _MOST_REPORTS

    def add(self, problem: Problem) -> None:
        """Note an error; one of the defaults comes once for each program and is noted once."""
        self._reports += 1
        self.problems.setdefault(problem)

    def warn(self, problem: Problem) -> None:
        """Note what is legal and probably a mistake."""
        if len(self.warnings) < _MOST_FAULTS:
            self.warnings.setdefault(problem)

    def all_problems(self) -> list[Problem]:
        """Return the errors in the order of files and lines, and whether there may be more."""
        order = {path: number for number, path in enumerate(dict.fromkeys(found.path for found in self.problems))}
        ordered = sorted(self.problems, key=lambda found: (order[found.path], found.line, found.column))
        if self.full:
            ordered.append(Problem(ordered[0].path, 0, 0, "there may be more errors; mend these first"))
        return ordered


class Scope(msgspec.Struct, frozen=True):
    """Report faults of one table that is made of layers, the foremost first."""

    faults: Faults
    layers: tuple[Layer, ...]

    def has(self, path: Path) -> bool:
        """Say whether anything was written at ``path``, right or wrong."""
        return any(layer.reach(path) == len(path) for layer in self.layers)

    def place(self, path: Path, message: str, *, key: bool = False) -> Problem:
        """Return the problem, placed where the longest part of ``path`` was written."""
        layer = max(self.layers, key=lambda layer: layer.reach(path))
        label = ".".join(str(step) for step in path if isinstance(step, str))
        text = f"{label}: {message}" if label else message
        return layer.source.problem((*layer.path, *path), text, key=key)

    def error(self, path: Path, message: str, *, key: bool = False) -> None:
        """Note an error at ``path``."""
        if self.faults.full:
            return
        self.faults.add(self.place(path, message, key=key))

    def warn(self, path: Path, message: str, *, key: bool = False) -> None:
        """Note a warning at ``path``."""
        self.faults.warn(self.place(path, message, key=key))
